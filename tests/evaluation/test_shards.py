"""`--shard` of a benchmark: parts of the frames, whose records one call joins to the result."""

import json

import numpy as np
import pytest

from csl_plugin.cli import main
from csl_plugin.errors import OptionError
from csl_plugin.evaluation import FramesFailedError
from csl_plugin.io import write_png, write_scores
from tests.helpers.tracks import FRAMES, SIZE, make_frame, make_place, run, write_jpg

QUICK = {"proposer": "superpixels:40"}


@pytest.fixture
def place(tmp_path):
    """AnomalyTrack's validation split, smaller, with score files."""
    return make_place(tmp_path)


def content(folder):
    """What is in a folder, without the journal, whose lines are in the order of the work."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.endswith(".jsonl")}


def test_shards_give_the_files_of_one_benchmark(place, capsys):
    run(place, out="one", **QUICK)
    assert run(place, shard="2/4", **QUICK) is None
    assert run(place, shard="1/4", **QUICK) is None
    assert len(list((place / "out" / "records").iterdir())) == 4
    assert not (place / "out" / "result.json").exists()
    assert run(place, shard="3/4", **QUICK) is None
    capsys.readouterr()
    run(place, **QUICK)
    said = capsys.readouterr().err
    assert "shards joined: 1/4, 2/4, 3/4; measured now what they had left: validation0003\n" in said
    assert content(place / "out") == content(place / "one")
    run(place, **QUICK)
    assert "shards" not in capsys.readouterr().err


def test_a_result_goes_where_a_shard_measures_a_frame_again(place):
    for number in (1, 2):
        run(place, shard=f"{number}/2", **QUICK)
    run(place, **QUICK)
    write_scores(place / "scores" / "validation0002.npy", np.full(SIZE, 0.5, np.float32))
    run(place, shard="2/2", **QUICK)
    assert (place / "out" / "result.json").exists()
    run(place, shard="1/2", **QUICK)
    assert not (place / "out" / "result.json").exists()
    run(place, **QUICK)
    run(place, out="one", **QUICK)
    assert content(place / "out") == content(place / "one")


def test_frames_that_are_added_are_measured_by_other_shards(place):
    for number in (1, 2):
        run(place, shard=f"{number}/2", **QUICK)
    image, label, score = make_frame(FRAMES)
    write_jpg(place / "data" / "images" / "validation00005.jpg", image)
    write_png(place / "data" / "labels_masks" / "validation00005_labels_semantic.png", label)
    write_scores(place / "scores" / "validation00005.npy", score)
    names = {path.name: path.stat().st_mtime_ns for path in (place / "out" / "records").iterdir()}
    for number in (1, 2, 3):
        run(place, shard=f"{number}/3", **QUICK)
    assert len(list((place / "out" / "records").iterdir())) == FRAMES + 1
    assert all((place / "out" / "records" / name).stat().st_mtime_ns == time for name, time in names.items())
    run(place, **QUICK)
    run(place, out="one", **QUICK)
    assert content(place / "out") == content(place / "one")


def test_a_bad_frame_fails_its_shard_alone(place):
    np.save(place / "scores" / "validation0002.npy", np.full(SIZE, np.nan, np.float32))
    with pytest.raises(FramesFailedError, match="1 of 3 frames that could not be measured: validation0002"):
        run(place, shard="1/2", **QUICK)
    run(place, shard="2/2", **QUICK)
    with pytest.raises(FramesFailedError, match="1 of 6 frames that could not be measured: validation0002"):
        run(place, **QUICK)


def test_other_settings_and_overwrite_are_refused(place):
    run(place, shard="1/2", **QUICK)
    with pytest.raises(OptionError, match="settings: got rule 'mean', expected rule 'adaptive'"):
        run(place, shard="2/2", rule="mean", **QUICK)
    with pytest.raises(OptionError, match="overwrite: got it with shard 2/2"):
        run(place, shard="2/2", overwrite=True, **QUICK)
    with pytest.raises(OptionError, match="shard: got '3/2', expected I/N"):
        run(place, shard="3/2", **QUICK)


def test_the_command_in_processes_of_torchrun(place, monkeypatch, capsys):
    """With `--shard auto` they exchange nothing, and each answers for itself."""
    given = ["benchmark", "smiyc-anomaly-track", "--data", str(place / "data"), "--json", "--draws", "20"]
    given += ["--scores", str(place / "scores"), "--out", str(place / "out"), "--proposer", "superpixels:40"]
    with monkeypatch.context() as patched:
        patched.setenv("WORLD_SIZE", "2")
        for rank in "10":
            patched.setenv("RANK", rank)
            assert main([*given, "--shard", "auto", "--jobs", "1"]) == 0
            facts = json.loads(capsys.readouterr().out)
            shard = f"{int(rank) + 1}/2"
            assert facts == {
                "command": "benchmark",
                "out": str(place / "out"),
                "shard": shard,
                "exit_code": 0,
            }
    assert main(given) == 0
    assert json.loads(capsys.readouterr().out)["num_frames"] == FRAMES

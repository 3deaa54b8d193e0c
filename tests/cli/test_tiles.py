"""`csl-plugin fuse --tile`: what the command gives without it, from files that are read by parts."""

import json

import numpy as np
import pytest

from csl_plugin.cli import main
from csl_plugin.io import write_png
from tests.tiles.pictures import blobs

SIZE = 96, 120


def _inputs(folder, dtype=np.float16):
    folder.mkdir(exist_ok=True)
    image = blobs(*SIZE)
    write_png(folder / "a.png", image)
    np.save(folder / "a.npy", image)
    scores = np.random.default_rng(0).random(SIZE).astype(dtype)
    (folder / "scores").mkdir()
    np.save(folder / "scores" / "a.npy", scores)
    return folder


def _run(capsys, *arguments):
    code = main(["fuse", *map(str, arguments), "--proposer", "superpixels", "--json"])
    out, errors = capsys.readouterr()
    return code, json.loads(out) if out else None, errors


def test_one_tile_is_the_command_without_it(tmp_path, capsys):
    given = _inputs(tmp_path / "in")
    assert _run(capsys, given / "a.png", given / "scores", tmp_path / "whole")[0] == 0
    for name in ("a.png", "a.npy"):
        out = tmp_path / name
        assert _run(capsys, given / name, given / "scores", out, "--tile", 128)[0] == 0
        assert (out / "a.npy").read_bytes() == (tmp_path / "whole" / "a.npy").read_bytes()


def test_tiles_are_part_of_the_settings_and_what_is_done_is_skipped(tmp_path, capsys):
    given = _inputs(tmp_path / "in")
    call = [given / "a.npy", given / "scores" / "a.npy", tmp_path / "out", "--tile", 64, "--overlap", 16]
    assert _run(capsys, *call)[1]["done"] == 1
    assert _run(capsys, *call)[1]["skipped"] == 1
    code, _, errors = _run(capsys, *call[:-1], 32)
    assert code == 2
    assert "overlap" in errors
    left = {path.name for path in (tmp_path / "out").iterdir()} - {".csl-plugin.lock"}
    assert left == {"a.npy", "csl-plugin.json", "csl-plugin.jsonl"}


def test_masks_may_be_arrays(tmp_path, capsys):
    given = _inputs(tmp_path / "in")
    mask = np.ones(SIZE, np.uint8)
    mask[:, :30] = 0
    np.save(tmp_path / "mask.npy", mask)
    write_png(tmp_path / "mask.png", mask)
    fused = []
    for name in ("mask.npy", "mask.png"):
        out = tmp_path / f"out-{name}"
        code, _, _ = _run(
            capsys,
            given / "a.png",
            given / "scores",
            out,
            "--tile",
            64,
            "--overlap",
            16,
            "--valid",
            tmp_path / name,
        )
        assert code == 0
        fused.append(np.load(out / "a.npy"))
    assert np.array_equal(*fused)
    assert np.array_equal(fused[0][:, :30], np.load(given / "scores" / "a.npy")[:, :30])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--overlap", "64"], "--overlap"),
        (["--tile", "64", "--overlap", "40"], "--overlap"),
        (["--tile", "8"], "--tile"),
        (["--tile", "64", "--overlap", "16", "--overlays"], "--tile, --overlays"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, named, tmp_path, capsys):
    given = _inputs(tmp_path / "in")
    code, _, errors = _run(capsys, given / "a.png", given / "scores", tmp_path / "out", *options)
    assert code == 2
    assert named in errors
    assert not (tmp_path / "out").exists()


def test_scores_of_another_size_or_sign_fail_by_name_and_leave_nothing(tmp_path, capsys):
    given = _inputs(tmp_path / "in")
    for number, scores in enumerate((np.ones((48, 60), np.float32), -np.ones(SIZE, np.float32))):
        np.save(given / "scores" / "a.npy", scores)
        out = tmp_path / f"out{number}"
        code, _, errors = _run(capsys, given / "a.png", given / "scores", out, "--tile", 64, "--overlap", 16)
        assert code == 1
        assert "SCORES" in errors
        assert [path.name for path in out.iterdir() if path.suffix in (".npy", ".tmp")] == []

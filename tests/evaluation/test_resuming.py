"""Benchmarks into a folder that holds something: what changed is noticed, what is damaged is made again."""

import io
import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from csl_plugin import Calibration
from csl_plugin.cli import main
from csl_plugin.errors import FileError, OptionError
from csl_plugin.evaluation import FramesFailedError, run_benchmark
from csl_plugin.io import read_scores, write_png, write_region_map, write_scores
from csl_plugin.io.output_folder import OutputFolder
from csl_plugin.models import CSLNetwork, NetworkConfig
from tests.helpers.tracks import (
    FRAMES,
    SIZE,
    command,
    environment,
    make_frame,
    make_place,
    result_values,
    run,
    write_jpg,
)

QUICK = {"proposer": "superpixels:40"}
PLUG_IN = """
import numpy as np
import torch

WEIGHTS = torch.tensor(np.load("weights.npy"))

def score(image):
    return image[..., 0].astype(np.float32) / 255 * float(WEIGHTS)
"""


@pytest.fixture
def place(tmp_path):
    """AnomalyTrack's validation split, smaller, with score files."""
    return make_place(tmp_path)


def content(folder):
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items()}


def times(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


# --- damage ---------------------------------------------------------------------------------------------


def arrays(data):
    with np.load(io.BytesIO(data)) as held:
        return {name: held[name] for name in held.files}


def stored(members):
    file = io.BytesIO()
    np.savez_compressed(file, **members)
    return file.getvalue()


def other_arrays(data, rng):
    return stored({"x": np.zeros(3)})


def one_array_less(data, rng):
    held = arrays(data)
    del held[sorted(held)[int(rng.integers(len(held)))]]
    return stored(held)


def other_type(data, rng):
    return stored({name: value.astype(np.float32) for name, value in arrays(data).items()})


def other_shape(data, rng):
    return stored({name: value[None] for name, value in arrays(data).items()})


def other_values(data, rng):
    return stored({name: value + value.dtype.type(1) for name, value in arrays(data).items()})


def flipped_bits(data, rng):
    damaged = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        damaged[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    return bytes(damaged) if bytes(damaged) != data else data[:-1]


def huge_declared_size(data, rng):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in arrays(data):
            head = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,), }"
            archive.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head)
    return file.getvalue()


DAMAGES = {
    "truncated": lambda data, rng: data[: int(rng.integers(1, len(data)))],
    "empty": lambda data, rng: b"",
    "zeros": lambda data, rng: bytes(len(data)),
    "zeros at the end": lambda data, rng: data[: len(data) // 2] + bytes(len(data) - len(data) // 2),
    "longer": lambda data, rng: data + b"x",
    "text": lambda data, rng: b"not a record",
    "noise": lambda data, rng: rng.bytes(len(data)),
    "other arrays": other_arrays,
    "an array less": one_array_less,
    "other type": other_type,
    "other shape": other_shape,
    "other values": other_values,
    "flipped bits": flipped_bits,
    "huge": huge_declared_size,
}


def test_damaged_files_of_frames_are_made_again(place, capsys):
    run(place, **QUICK)
    whole = (place / "out" / "result.json").read_bytes()
    names = [
        *(f"records/validation{frame:04}.npz" for frame in range(FRAMES)),
        *(f"records/validation{frame:04}.components.npz" for frame in range(FRAMES)),
        *(path.relative_to(place / "out").as_posix() for path in (place / "out" / "scores").rglob("v*")),
    ]
    cases = [(kind, seed) for kind in DAMAGES for seed in range(2)]
    good = {name: (place / "out" / name).read_bytes() for name in names}
    for first in range(0, len(cases), 7):
        hit = {}
        for index, (kind, seed) in enumerate(cases[first : first + 7]):
            rng = np.random.default_rng([first, index, seed])
            records = [name for name in names if name.startswith("records/") and name not in hit]
            path = place / "out" / (hit_name := records[int(rng.integers(len(records)))])
            hit[hit_name] = kind
            before = path.stat()
            path.write_bytes(DAMAGES[kind](good[hit_name], rng))
            if seed:  # not even the time tells
                os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        predicted = place / "out" / names[-1 - first % FRAMES]
        predicted.write_bytes(predicted.read_bytes()[::-1])
        capsys.readouterr()
        run(place, **QUICK)
        assert (place / "out" / "result.json").read_bytes() == whole, hit
        told = capsys.readouterr().err
        for name in hit:
            frame = name.rpartition("/")[2].partition(".")[0]
            assert f"{frame}." in told, (name, hit[name])


def test_a_damaged_record_of_a_frame_that_cannot_be_made_again_is_an_error(place, capsys):
    run(place, **QUICK)
    record = place / "out" / "records" / "validation0001.npz"
    record.write_bytes(b"damaged")
    (place / "scores" / "validation0001.npy").write_bytes(b"damaged too")
    with pytest.raises(FramesFailedError, match="validation0001"):
        run(place, **QUICK)
    assert not (place / "out" / "result.json").exists(), "not the result of the files before"
    write_scores(place / "scores" / "validation0001.npy", make_frame(1)[2])
    run(place, **QUICK)
    run(place, out="fresh", **QUICK)
    assert result_values(place) == result_values(place, "fresh")


def test_a_torn_journal_is_no_harm(place):
    run(place, **QUICK)
    whole = (place / "out" / "result.json").read_bytes()
    journal = place / "out" / "csl-plugin.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    # The last lines are those of the result; without them its files are not known as this command's.
    journal.write_bytes(b"".join(lines[:3]) + b"\x00torn\n" + b"".join(lines[4:]))
    run(place, **QUICK)
    assert (place / "out" / "result.json").read_bytes() == whole


# --- what changed ---------------------------------------------------------------------------------------


def changed_frame(place, name="validation0004"):
    return {
        "image": lambda: write_jpg(place / "data" / "images" / f"{name}.jpg", make_frame(40)[0]),
        "label": lambda: write_png(
            place / "data" / "labels_masks" / f"{name}_labels_semantic.png", make_frame(40)[1]
        ),
        "score": lambda: write_scores(place / "scores" / f"{name}.npy", make_frame(40)[2]),
        "region map": lambda: write_region_map(place / "maps" / f"{name}.png", np.zeros(SIZE, np.int32)),
    }


@pytest.mark.parametrize("what", ["image", "label", "score", "region map"])
def test_a_frame_with_another_input_is_made_again_and_only_it(place, what):
    for seed in range(FRAMES):
        labels = np.arange(SIZE[0] * SIZE[1], dtype=np.int32).reshape(SIZE) // 400
        write_region_map(place / "maps" / f"validation{seed:04}.png", labels + seed)
    options = {"proposer": f"{place / 'maps'}+superpixels:80"}
    run(place, **options)
    first, before = result_values(place), times(place / "out" / "records")
    changed_frame(place)[what]()
    run(place, **options)
    after = times(place / "out" / "records")
    firsts = {name for name in after if not name.endswith(".components.npz")}
    assert {name for name in firsts if after[name] != before[name]} == {"validation0004.npz"}
    run(place, out="fresh", **options)
    assert result_values(place) == result_values(place, "fresh") != first


def test_another_data_set_of_the_same_names_is_refused(place):
    run(place, **QUICK)
    (place / "data").rename(place / "data2")
    make_place(place)
    with pytest.raises(OptionError, match=r"settings: got data '.*data2', expected data '.*data', as"):
        run_benchmark("smiyc-anomaly-track", place / "data2", place / "out", scores=place / "scores", **QUICK)


def test_other_weights_at_the_same_place_are_refused(place):
    config = NetworkConfig(num_queries=4, embedding_width=8, query_width=16, num_heads=1, num_layers=1)
    network = CSLNetwork(config).eval()
    network.save_pretrained(place / "net")
    options = {"proposer": str(place / "net")}
    run(place, **options)
    next(network.parameters()).data.add_(0.5)
    network.save_pretrained(place / "net")
    with pytest.raises(OptionError, match="proposer"):
        run(place, **options)
    next(network.parameters()).data.sub_(0.5)
    heads = CSLNetwork(NetworkConfig(**{**config.to_json(), "num_heads": 2})).eval()
    heads.load_state_dict(network.state_dict())
    heads.save_pretrained(place / "net")
    with pytest.raises(OptionError, match="configuration"):
        run(place, **options)


def test_another_calibration_of_the_same_name_is_refused(place):
    Calibration.sigmoid(0.5, 0.2).save(place / "c.json")
    run(place, calibration=place / "c.json", **QUICK)
    Calibration.sigmoid(0.4, 0.2).save(place / "c.json")
    with pytest.raises(OptionError, match="calibration"):
        run(place, calibration=place / "c.json", **QUICK)


@pytest.mark.slow
def test_a_teacher_of_other_code_or_other_weights_is_refused(place):
    (place / "teachers.py").write_text(PLUG_IN)
    np.save(place / "weights.npy", np.array(0.5))

    def start():
        arguments = [*command(place, "out"), "--proposer", "superpixels:40"]
        done = subprocess.run(
            [sys.executable, *arguments], cwd=place, env=environment(), capture_output=True, text=True
        )
        return done.returncode, done.stderr

    assert start()[0] == 0
    assert start()[0] == 0
    np.save(place / "weights.npy", np.array(0.6))
    code, told = start()
    assert code == 2
    assert "teacher_identity" in told
    np.save(place / "weights.npy", np.array(0.5))
    (place / "teachers.py").write_text(PLUG_IN + "\n# another version\n")
    code, told = start()
    assert code == 2
    assert "teacher_sha256" in told


def test_a_run_that_failed_on_all_frames_pins_nothing(place):
    for file in (place / "scores").iterdir():
        write_scores(file, 4 * read_scores(file) - 2)
    with pytest.raises(FramesFailedError):
        run(place, **QUICK)
    Calibration.sigmoid(0, 1).save(place / "c.json")
    run(place, calibration=place / "c.json", **QUICK)
    with pytest.raises(OptionError, match="calibration"):
        run(place, **QUICK)


# --- files of others ------------------------------------------------------------------------------------


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "name", ["result.json", "report.html", "records/validation0002.npz", "settings.json", "records/mine.npz"]
)
def test_a_folder_of_others_is_refused(place, name, overwrite):
    (place / "out" / name).parent.mkdir(parents=True, exist_ok=True)
    (place / "out" / name).write_text("mine")
    before = content(place / "out")
    with pytest.raises(OptionError, match=f"--out: got .*holds {name.partition('/')[0]}, and no csl-plugin"):
        run(place, overwrite=overwrite, **QUICK)
    assert content(place / "out") == before


def test_files_of_others_among_its_own_survive(place):
    out = place / "out"
    (place / "scores" / "validation0003.npy").rename(place / "kept.npy")
    write_scores(place / "scores" / "validation0003.npy", np.zeros((2, 2), np.float32) - 1)
    with pytest.raises(FramesFailedError):
        run(place, **QUICK)
    mine = {}
    for name in (
        "result.txt",
        "result.mine.json",
        "records/mine.npz",
        "records/notes.txt",
        "predictions.zip",
    ):
        (out / name).write_text("mine")
        mine[name] = b"mine"
    (place / "kept.npy").replace(place / "scores" / "validation0003.npy")
    for name in ("result.json", "report.html", "records/validation0003.npz"):
        (out / name).write_text("mine")
        for overwrite in (False, True):
            with pytest.raises(FileError, match=f"{name}: got a file that this command did not write"):
                run(place, overwrite=overwrite, **QUICK)
        assert (out / name).read_text() == "mine"
        (out / name).unlink()
    for overwrite in (False, True):
        run(place, overwrite=overwrite, **QUICK)
        assert mine.items() <= content(out).items()
    run(place, out="fresh", **QUICK)
    assert result_values(place) == result_values(place, "fresh")


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("where", ["scores", "data", "data/images", "maps"])
def test_the_output_folder_holds_no_input(place, where, overwrite):
    for seed in range(FRAMES):
        write_region_map(place / "maps" / f"validation{seed:04}.png", np.zeros(SIZE, np.int32))
    before = content(place)
    with pytest.raises(OptionError, match=r"which holds inputs|and no csl-plugin"):
        run(place, out=where, overwrite=overwrite, proposer=f"{place / 'maps'}+superpixels:80")
    assert content(place) == before


def test_the_command_says_that_another_job_is_at_work(place, capsys):
    with OutputFolder(place / "out", {"command": "benchmark"}).taken():
        (place / "out" / ".csl-plugin-1.tmp").touch()
        code = main([*command(place, "out", teacher=False)[2:], "--json"])
        assert code == 2
        printed = capsys.readouterr()
        assert "in which another job is at work" in json.loads(printed.out)["error"]
        assert (place / "out" / ".csl-plugin-1.tmp").exists()

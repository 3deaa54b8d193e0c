"""The command line on real files: what it writes, what it says, and what it does when things go wrong."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
import torch

from csl_plugin import Calibration, RegionMap, RegionProposals, __version__, fuse, load_proposer
from csl_plugin.cli import main
from csl_plugin.io import (
    image_batch,
    read_image,
    read_region_map,
    read_score_file,
    read_scores,
    write_png,
    write_region_map,
    write_scores,
)
from csl_plugin.io.job_settings import fingerprint
from csl_plugin.proposers.identity import identity_of
from csl_plugin.proposers.on_files import propose_regions

SIZE = 40, 56
VERSIONS = {"csl_plugin": __version__, "torch": str(torch.__version__), "numpy": np.__version__}


def make_image(seed, size=SIZE):
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (5, 7, 3)).astype(np.uint8)
    return cv2.resize(blocks, size[::-1], interpolation=cv2.INTER_NEAREST)


def make_scores(seed, shape=SIZE):
    return np.random.default_rng(seed).random(shape).astype(np.float32)


@pytest.fixture
def place(tmp_path):
    """A folder with images a, b, c, their scores, and nothing at `out`."""
    for seed, stem in enumerate("abc"):
        write_png(tmp_path / "images" / f"{stem}.png", make_image(seed))
        write_scores(tmp_path / "scores" / f"{stem}.npy", make_scores(seed))
    return tmp_path


def run(place, *options, images="images", scores="scores", out="out"):
    return main(["fuse", *(str(place / name) for name in (images, scores, out)), *options])


def names(folder):
    """Every file but those of the job itself: settings, journal and lock."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(
        name
        for name in found
        if not name.rpartition("/")[2].startswith(("csl-plugin.json", ".csl-plugin.lock"))
    )


def expected(image, scores, **options):
    return fuse(scores, load_proposer()(image_batch(image)), **options)


# --- fuse -----------------------------------------------------------------------------------------------


def test_fuse_writes_what_the_library_gives(place, capsys):
    assert run(place) == 0
    assert names(place / "out") == ["a.npy", "b.npy", "c.npy"]
    for seed, stem in enumerate("abc"):
        fused = np.load(place / "out" / f"{stem}.npy")
        assert fused.dtype == np.float32
        np.testing.assert_array_equal(fused, expected(make_image(seed), make_scores(seed)))
    printed = capsys.readouterr()
    assert "fuse: 3 done, 0 skipped, 0 failed" in printed.out
    assert "rule adaptive, split yes, proposer csl-tiny:auto,5, calibration none" in printed.out
    assert printed.err == ""


@pytest.mark.parametrize(
    ("name", "dtype", "shape"),
    [
        ("a.npy", np.float16, SIZE),
        ("a.NPY", np.float64, (3, *SIZE)),
        ("a.npz", np.float16, (1, *SIZE)),
        ("a.hdf5", np.float16, SIZE),
        ("a.h5", np.float32, (2, *SIZE)),
        ("a.png", np.uint8, SIZE),
        ("a.png", np.uint16, SIZE),
        ("a.npy", np.uint8, SIZE),
    ],
)
def test_format_and_element_type_are_kept(tmp_path, name, dtype, shape):
    if name.endswith(("h5", "hdf5")):
        pytest.importorskip("h5py", reason="the extra hdf5 is not installed")
    write_png(tmp_path / "images" / "a.png", make_image(5))
    write_scores(tmp_path / "scores" / name, make_scores(5, shape), dtype=dtype, key="value")
    before, storage = read_score_file(tmp_path / "scores" / name)
    assert run(tmp_path) == 0
    fused, storage_after = read_score_file(tmp_path / "out" / name)
    assert storage_after == storage
    assert storage.dtype == dtype
    assert fused.shape == shape
    wide = before if before.dtype == np.float64 else before.astype(np.float32)
    step = {np.float16: 5e-4, np.uint8: 0.5001 / 255, np.uint16: 0.5001 / 65535}.get(dtype, 0)
    np.testing.assert_allclose(fused.astype(wide.dtype), expected(make_image(5), wide), atol=step, rtol=1e-6)


def test_json_is_one_object_and_done_files_are_skipped(place, capsys):
    assert run(place, "--json", "--rule", "mean") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["done"], facts["skipped"], facts["failed"], facts["images"]) == (3, 0, [], 3)
    assert facts["settings"] == {
        "command": "fuse",
        "versions": VERSIONS,
        "images": str((place / "images").resolve()),
        "scores": str((place / "scores").resolve()),
        "rule": "mean",
        "split": True,
        "proposer": identity_of(load_proposer()),
        "calibration": None,
    }
    (place / "out" / "b.npy").unlink()
    before = (place / "out" / "a.npy").stat().st_mtime_ns
    assert run(place, "--json", "--rule", "mean") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["done"], facts["skipped"], facts["exit_code"]) == (1, 2, 0)
    assert (place / "out" / "a.npy").stat().st_mtime_ns == before
    assert run(place, "--json", "--rule", "mean", "--overwrite") == 0
    assert json.loads(capsys.readouterr().out)["done"] == 3


def test_overlays(place, capsys):
    assert run(place) == 0
    assert run(place, "--overlays") == 0
    assert "3 done, 0 skipped" in capsys.readouterr().out
    for stem in "abc":
        assert read_image(place / "out" / "overlays" / f"{stem}.png").shape[2] == 3
    (place / "out" / "overlays" / "c.png").unlink()
    assert run(place, "--overlays") == 0
    assert "1 done, 2 skipped" in capsys.readouterr().out
    assert run(place, "--overwrite") == 0
    assert not list((place / "out" / "overlays").iterdir()), "pictures of the results before are gone"


def test_bad_files_are_named_and_the_rest_goes_on(place, capsys):
    images, scores = place / "images", place / "scores"
    whole = cv2.imencode(".jpg", make_image(1))[1].tobytes()
    (images / "cut ü.jpg").write_bytes(whole[: len(whole) // 2])
    (images / "text.png").write_text("not a picture")
    (images / "zero.png").touch()
    (images / "folder.png").mkdir()
    (images / "gone.png").symlink_to(place / "nowhere.png")
    for stem in ("alone", "size", "negative", "broken", "integers"):
        write_png(images / f"{stem}.png", make_image(1))
    for stem in ("cut ü", "text", "zero", "folder", "gone"):
        write_scores(scores / f"{stem}.npy", make_scores(1))
    write_scores(scores / "size.npy", make_scores(1, (5, 5)))
    write_scores(scores / "negative.npy", make_scores(1) - 0.5)
    (scores / "broken.npz").write_bytes(b"PK")
    np.save(scores / "integers.npy", np.zeros(SIZE, np.int64))
    write_scores(scores / "unused.npy", make_scores(1))
    assert run(place, "--json") == 1
    printed = capsys.readouterr()
    facts = json.loads(printed.out)
    reasons = {failure["name"]: failure["reason"] for failure in facts["failed"]}
    assert facts["done"] == 3
    assert facts["scores_without_image"] == 1
    assert names(place / "out") == ["a.npy", "b.npy", "c.npy"]
    for name, part in {
        "cut ü.jpg": "truncated",
        "text.png": "no such header",
        "zero.png": "0 bytes",
        "folder.png": "a folder",
        "gone.png": "No such file",
        "alone.png": "no score map, expected one named alone",
        "size.png": f"size (5, 5), expected the image's {SIZE}",
        "negative.png": "calibrat",
        "broken.png": "broken.npz",
        "integers.png": "array of int64",
    }.items():
        assert part.lower() in reasons.pop(name).lower()
        assert f"failed: {name}: " in printed.err
    assert not reasons
    assert run(place) == 1
    printed = capsys.readouterr().out
    assert "0 done, 3 skipped, 10 failed" in printed
    assert "scores without image: 1" in printed
    assert "failed: cut ü.jpg" in printed


def test_calibration(place, capsys):
    Calibration.sigmoid(center=0.5, scale=0.2).save(place / "c.json")
    for seed, stem in enumerate("abc"):
        write_scores(place / "scores" / f"{stem}.npy", make_scores(seed) * 4 - 2)
    assert run(place, "--json", "--calibration", str(place / "c.json")) == 0
    settings = json.loads(capsys.readouterr().out)["settings"]
    assert settings["calibration"] == hashlib.sha256((place / "c.json").read_bytes()).hexdigest()
    calibrated = Calibration.load(place / "c.json")(make_scores(1) * 4 - 2)
    np.testing.assert_array_equal(np.load(place / "out" / "b.npy"), expected(make_image(1), calibrated))
    Calibration.sigmoid(center=0.4, scale=0.2).save(place / "c.json")
    assert run(place, "--calibration", str(place / "c.json")) == 2
    assert f"calibration '{settings['calibration']}'" in capsys.readouterr().err


def test_regions_from_a_folder_and_no_split(tmp_path):
    labels = np.zeros(SIZE, np.int32)
    labels[:, 10:20] = 3
    write_png(tmp_path / "images" / "a.png", make_image(1))
    write_scores(tmp_path / "scores" / "a.npy", make_scores(1))
    write_region_map(tmp_path / "regions" / "a.npz", labels)
    options = ["--proposer", str(tmp_path / "regions"), "--rule", "product"]
    for split, out, extra in ((True, "split", []), (False, "whole", ["--no-split"])):
        assert run(tmp_path, *options, *extra, out=out) == 0
        fused = fuse(make_scores(1), labels, rule="product", split=split)
        np.testing.assert_array_equal(np.load(tmp_path / out / "a.npy"), fused)
    assert run(tmp_path, *options, out="regions") == 2


def test_single_files(place):
    assert run(place, images="images/b.png", scores="scores/b.npy") == 0
    assert names(place / "out") == ["b.npy"]
    assert run(place, images="images/a.png") == 0
    assert "a.npy" in names(place / "out")


# --- refusals -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fuse", "nowhere", "scores", "out"], "nowhere: got nothing there"),
        (["fuse", "images", "nowhere", "out"], "nowhere: got nothing there"),
        (["fuse", "empty", "scores", "out"], "without an image"),
        (["fuse", "images", "empty", "out"], "without a score map"),
        (["fuse", "images", "scores", "out", "--proposer", "magic"], "magic"),
        (["fuse", "images", "scores", "out", "--proposer", "empty"], "without one"),
        (["fuse", "images", "scores", "out", "--calibration", "images/a.png"], "images/a.png"),
        (["fuse", "images", "scores", "out", "--calibration", "nowhere"], "nowhere"),
        (["fuse", "images", "scores", "out", "--calibration", "images"], "images: got a folder"),
        (["fuse", "images", "scores", "scores"], "OUT: got scores, which holds inputs"),
        (["fuse", "images", "scores", "images/../scores"], "which holds inputs"),
        (["fuse", "images", "scores", "images"], "which holds inputs"),
        (["fuse", "images/a.png", "scores/a.npy", "scores"], "which holds inputs"),
        (["fuse", "images", "scores", "images/a.png"], "images/a.png: got a file"),
        (["fuse", "twice", "scores", "out"], "a.jpg and a.png"),
        (["fuse", "images", "twice", "out"], "one file of each stem"),
        (["propose", "empty", "out"], "without an image"),
        (["propose", "images", "images"], "which holds inputs"),
        (["propose", "images", "out", "--proposer", "magic"], "magic"),
    ],
)
def test_wrong_usage(place, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(place)
    (place / "empty").mkdir()
    (place / "twice").mkdir()
    for name in ("a.jpg", "a.png", "a.npy"):
        (place / "twice" / name).touch()
    before = names(place)
    assert main([*arguments, "--json"]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    facts = json.loads(printed.out)
    assert facts["exit_code"] == 2
    assert message in facts["error"]
    assert names(place) == before


def test_overlays_may_not_fall_on_the_images(place, capsys):
    (place / "images").rename(place / "overlays")
    assert main(["fuse", str(place / "overlays"), str(place / "scores"), str(place), "--overlays"]) == 2
    assert "which holds inputs" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["fuse"],
        ["unknown"],
        *(["fuse", "a", "b", "c", "--rule", rule] for rule in ("sum", "trust", "default")),
    ],
)
def test_argparse_refusals(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: csl-plugin" in capsys.readouterr().err


def test_no_command(capsys):
    assert main([]) == 2
    assert "fuse" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "earlier"),
    [
        ("rule", "trust"),
        ("rule", "default"),
        ("proposer", "Together(Scales(NetworkRegions(compact 8cf60360e461, scale=auto), (auto, 10)), ...)"),
    ],
)
def test_a_folder_of_an_earlier_default_is_refused(place, capsys, name, earlier):
    assert run(place) == 0
    file = place / "out" / "csl-plugin.json"
    settings, journal = json.loads(file.read_text()), place / "out" / "csl-plugin.jsonl"
    now, before = settings[name], {**settings, name: earlier}
    file.write_text(json.dumps(before))
    journal.write_text(journal.read_text().replace(fingerprint(settings), fingerprint(before)))
    capsys.readouterr()
    assert run(place) == 2
    error = capsys.readouterr().err
    assert f"settings: got {name} {now!r}, expected {name} {earlier!r}, as stored in" in error
    assert "--overwrite" in error
    assert run(place, "--overwrite") == 0


def test_other_settings_are_not_mixed_in(place, capsys):
    assert run(place) == 0
    capsys.readouterr()
    assert run(place, "--rule", "product", "--no-split") == 2
    error = capsys.readouterr().err
    assert "got rule 'product', split false, expected rule 'adaptive', split true" in error
    assert main(["propose", str(place / "images"), str(place / "out")]) == 2
    (place / "scores" / "c.npy").write_bytes(b"damaged")
    assert run(place, "--rule", "product", "--overwrite") == 1
    np.testing.assert_array_equal(
        np.load(place / "out" / "b.npy"), expected(make_image(1), make_scores(1), rule="product")
    )
    assert names(place / "out") == ["a.npy", "b.npy"], "no c of the other rule is left"
    assert json.loads((place / "out" / "csl-plugin.json").read_text())["rule"] == "product"


@pytest.mark.parametrize("text", ["", "[]", "{", "[1, 2]", "\xff"])
def test_damaged_settings(place, capsys, text):
    (place / "out").mkdir()
    (place / "out" / "csl-plugin.json").write_text(text, encoding="latin-1")
    assert run(place) == 2
    assert "csl-plugin.json" in capsys.readouterr().err
    assert run(place, "--overwrite") == 0


def test_files_of_others_are_not_taken_for_done(place, capsys):
    write_scores(place / "out" / "b.npy", make_scores(9))
    assert run(place) == 2
    assert "b.npy, and no csl-plugin.json" in capsys.readouterr().err
    assert run(place, "--overwrite") == 2
    assert names(place / "out") == ["b.npy"]
    np.testing.assert_array_equal(np.load(place / "out" / "b.npy"), make_scores(9))


# --- interruptions --------------------------------------------------------------------------------------


MANY = 60


def program(*arguments, **options):
    """The command line in a process of its own, which Ctrl-C reaches even from tests in the background."""
    command = [sys.executable, "-m", "csl_plugin", *map(str, arguments)]
    if os.name == "posix":
        options["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def start(place, *options):
    """`csl-plugin fuse` over many images, once its second result is there."""
    for number in range(MANY):
        for folder, suffix in (("images", ".png"), ("scores", ".npy")):
            os.link(place / folder / f"a{suffix}", place / folder / f"z{number}{suffix}")
    process = program("fuse", *(place / name for name in ("images", "scores", "out")), *options)
    while process.poll() is None and not (place / "out" / "b.npy").exists():
        time.sleep(0.001)
    return process


def check_resumed(place, done):
    assert 1 < done < MANY + 3
    whole = [name for name in names(place / "out") if name.endswith(".npy")]
    for name in whole:
        assert np.load(place / "out" / name).shape == SIZE
    assert run(place) == 0
    assert [name for name in names(place / "out") if not name.endswith(".tmp")] == sorted(
        [*names(place / "scores")]
    )
    once = np.load(place / "out" / "a.npy")
    for number in range(MANY):
        np.testing.assert_array_equal(np.load(place / "out" / f"z{number}.npy"), once)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.slow
def test_killed_and_resumed(place):
    process = start(place)
    process.kill()
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    check_resumed(place, len(list((place / "out").glob("*.npy"))))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends Ctrl-C otherwise")
@pytest.mark.slow
def test_ctrl_c_and_resumed(place):
    process = start(place, "--json")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    facts = json.loads(out)
    assert facts["interrupted"]
    assert facts["exit_code"] == 130
    assert "Traceback" not in err
    assert [file.name for file in (place / "out").glob(".*")] == [".csl-plugin.lock"]
    written = len(list((place / "out").glob("*.npy")))
    assert written - 1 <= facts["done"] <= written, "the signal may come between a file and its count"
    check_resumed(place, written)


# --- propose --------------------------------------------------------------------------------------------


def test_propose(place, capsys):
    (place / "images" / "bad.png").write_text("no")
    assert main(["propose", str(place / "images"), str(place / "maps"), "--json"]) == 1
    facts = json.loads(capsys.readouterr().out)
    assert facts["settings"] == {
        "command": "propose",
        "versions": VERSIONS,
        "images": str((place / "images").resolve()),
        "proposer": identity_of(load_proposer("csl-tiny")),
    }
    assert [failure["name"] for failure in facts["failed"]] == ["bad.png"]
    assert names(place / "maps") == ["a.png", "b.png", "c.png"]
    for seed, stem in enumerate("abc"):
        labels = read_region_map(place / "maps" / f"{stem}.png")
        assert labels.min() == 0
        np.testing.assert_array_equal(
            labels, load_proposer("csl-tiny")(image_batch(make_image(seed)))[0].labels[0]
        )
    (place / "images" / "bad.png").unlink()
    assert main(["propose", str(place / "images"), str(place / "maps")]) == 0
    assert "propose: 0 done, 3 skipped, 0 failed" in capsys.readouterr().out
    assert run(place, "--proposer", "csl-tiny", out="direct") == 0
    assert run(place, "--proposer", str(place / "maps"), out="from maps") == 0
    for stem in "abc":
        name = f"{stem}.npy"
        np.testing.assert_array_equal(np.load(place / "direct" / name), np.load(place / "from maps" / name))


def test_proposals_are_assigned_at_the_size_of_the_image():
    scores = torch.tensor([[[[0.9, 0.1]], [[0.2, 0.8]]]])
    (regions,) = propose_regions(lambda images: RegionProposals(scores, torch.ones(1, 2)), make_image(0), "a")
    assert isinstance(regions, RegionMap)
    assert regions.size == SIZE
    assert regions.labels[0, 0, 0] == 0
    assert regions.labels[0, -1, -1] == 1


def test_any_name_can_be_printed(tmp_path):
    stem = "画像 ü\udcff" if sys.platform == "linux" else "画像 ü"
    write_png(tmp_path / "images" / f"{stem}.png", make_image(0))
    write_scores(tmp_path / "scores" / f"{stem}.npy", make_scores(0))
    (tmp_path / "images" / f"{stem}2.png").touch()
    environment = {**os.environ, "PYTHONIOENCODING": "ascii:strict", "PYTHONUTF8": "0"}
    process = program("fuse", *(tmp_path / name for name in ("images", "scores", "out")), env=environment)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert "1 done, 0 skipped, 1 failed" in out
    assert read_scores(tmp_path / "out" / f"{stem}.npy").shape == SIZE


# --- the program ----------------------------------------------------------------------------------------


def test_version_and_help(capsys):
    for argument, part in (("--version", f"csl-plugin {__version__}"), ("--help", "propose")):
        with pytest.raises(SystemExit) as stopped:
            main([argument])
        assert stopped.value.code == 0
        assert part in capsys.readouterr().out


def test_the_parser_loads_nothing_heavy():
    code = (
        "import sys, csl_plugin.cli as cli\n"
        "try: cli.main(['fuse', '--help'])\n"
        "except SystemExit: pass\n"
        "found = {'torch', 'numpy', 'cv2', 'h5py', 'tqdm', 'scipy'} & set(sys.modules)\n"
        "assert not found, found"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "--calibration" in result.stdout

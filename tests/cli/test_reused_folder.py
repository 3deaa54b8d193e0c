"""`fuse` and `propose` into a folder that holds something: no old results, no loss of others' files."""

import json
import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from csl_plugin import Calibration
from csl_plugin.cli import main
from csl_plugin.io import write_png, write_region_map, write_scores
from csl_plugin.models import CSLNetwork, NetworkConfig

SIZE = 40, 56
QUICK = ("--proposer", "superpixels:80")


def make_image(seed):
    blocks = np.random.default_rng(seed).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    return cv2.resize(blocks, SIZE[::-1], interpolation=cv2.INTER_NEAREST)


def make_scores(seed):
    return np.random.default_rng(seed).random(SIZE).astype(np.float32)


def make_map(seed):
    return np.random.default_rng(seed).integers(0, 4, SIZE).astype(np.int32)


@pytest.fixture
def place(tmp_path):
    """Images, scores of two methods, and region maps, of a, b, c."""
    for seed, stem in enumerate("abc"):
        write_png(tmp_path / "images" / f"{stem}.png", make_image(seed))
        write_png(tmp_path / "images2" / f"{stem}.png", make_image(seed + 20))
        write_scores(tmp_path / "scores" / f"{stem}.npy", make_scores(seed))
        write_scores(tmp_path / "scores2" / f"{stem}.npy", make_scores(seed + 10))
        write_region_map(tmp_path / "maps" / f"{stem}.png", make_map(seed))
    return tmp_path


def fused(place, *options, images="images", scores="scores", out="out", proposer=QUICK):
    return main(["fuse", *(str(place / name) for name in (images, scores, out)), *proposer, *options])


def proposed(place, *options, images="images", out="out", proposer=QUICK):
    return main(["propose", str(place / images), str(place / out), *proposer, *options])


def content(folder):
    """The results in a folder."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if "csl-plugin." not in name}


def counts(capsys):
    facts = json.loads(capsys.readouterr().out.splitlines()[-1])
    return facts["done"], facts["skipped"], len(facts["failed"])


def moved(place, copy=None):
    """The folder under another name: renamed, or each file copied by `copy`."""
    target = place.with_name("moved")
    if copy is None:
        return place.rename(target)
    return shutil.copytree(place, target, copy_function=copy)


def check_fresh(place, command, *options, **named):
    """What is in OUT is what a new folder gets."""
    assert command(place, *options, out="fresh", **named) == 0
    assert content(place / "out") == content(place / "fresh")


# --- results of yesterday -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "first", "second", "word"),
    [
        (fused, {"scores": "scores"}, {"scores": "scores2"}, "scores"),
        (fused, {"images": "images"}, {"images": "images2"}, "images"),
        (proposed, {"images": "images"}, {"images": "images2"}, "images"),
        (proposed, {}, {"proposer": ("--proposer", "superpixels:40")}, "proposer"),
    ],
)
def test_another_method_or_other_pictures_are_refused(place, capsys, command, first, second, word):
    assert command(place, **first) == 0
    before = content(place / "out")
    assert command(place, **second) == 2
    assert f"settings: got {word} " in capsys.readouterr().err
    assert content(place / "out") == before
    assert command(place, "--overwrite", **second) == 0
    check_fresh(place, command, **second)


@pytest.mark.parametrize("what", ["images", "scores", "maps"])
def test_a_rewritten_input_is_made_again_and_only_it(place, capsys, what):
    options = {"proposer": ("--proposer", f"{place / 'maps'}+superpixels:80")}
    assert fused(place, **options) == 0
    first, times = (
        content(place / "out"),
        {file: file.stat().st_mtime_ns for file in (place / "out").iterdir()},
    )
    file = place / what / ("b.npy" if what == "scores" else "b.png")
    size = file.stat().st_size
    {
        "images": lambda: write_png(file, make_image(31)),
        "scores": lambda: write_scores(file, make_scores(31)),
        "maps": lambda: write_region_map(file, make_map(31)),
    }[what]()
    if what == "scores":
        assert file.stat().st_size == size
    capsys.readouterr()
    assert fused(place, "--json", **options) == 0
    assert counts(capsys) == (1, 2, 0)
    assert content(place / "out") != first
    for kept in ("a.npy", "c.npy"):
        assert (place / "out" / kept).stat().st_mtime_ns == times[place / "out" / kept]
    check_fresh(place, fused, **options)


def test_a_rewritten_picture_is_proposed_again_and_only_it(place, capsys):
    assert proposed(place) == 0
    write_png(place / "images" / "b.png", make_image(31))
    capsys.readouterr()
    assert proposed(place, "--json") == 0
    assert counts(capsys) == (1, 2, 0)
    check_fresh(place, proposed)


def test_scores_in_another_format_take_the_place_of_the_first(place):
    assert fused(place) == 0
    (place / "scores" / "b.npy").unlink()
    write_scores(place / "scores" / "b.npz", make_scores(9))
    assert fused(place) == 0
    assert sorted(content(place / "out")) == ["a.npy", "b.npz", "c.npy"]


def test_an_input_that_became_unreadable_leaves_no_result_of_yesterday(place, capsys):
    assert fused(place, "--overlays") == 0
    (place / "scores" / "b.npy").write_bytes(b"damaged")
    assert fused(place) == 1
    assert sorted(content(place / "out")) == ["a.npy", "c.npy", "overlays/a.png", "overlays/c.png"]


@pytest.mark.parametrize("change", ["truncated", "replaced", "touched", "gone"])
def test_a_result_that_is_not_as_it_was_written_is_made_again(place, capsys, change):
    assert fused(place) == 0
    first, file = content(place / "out"), place / "out" / "b.npy"
    {
        "truncated": lambda: file.write_bytes(file.read_bytes()[:50]),
        "replaced": lambda: np.save(file, make_scores(7)),
        "touched": lambda: os.utime(file),
        "gone": file.unlink,
    }[change]()
    capsys.readouterr()
    assert fused(place) == 0
    printed = capsys.readouterr()
    assert "1 done, 2 skipped" in printed.out
    assert ("warning: " in printed.err and "b.npy" in printed.err) == (change != "gone")
    assert content(place / "out") == first


def test_retrained_weights_at_the_same_place_are_refused(place, capsys):
    config = NetworkConfig(num_queries=4, embedding_width=8, query_width=16, num_heads=1, num_layers=1)
    network = CSLNetwork(config).eval()
    network.save_pretrained(place / "net")
    options = {"proposer": ("--proposer", str(place / "net"))}
    assert fused(place, **options) == 0
    assert fused(place, **options) == 0
    next(network.parameters()).data.add_(0.5)
    network.save_pretrained(place / "net")
    capsys.readouterr()
    assert fused(place, **options) == 2
    assert "settings: got proposer " in capsys.readouterr().err


def test_a_run_that_failed_pins_nothing(place, capsys):
    for seed, stem in enumerate("abc"):
        write_scores(place / "scores" / f"{stem}.npy", 4 * make_scores(seed) - 2)
    assert fused(place) == 1
    Calibration.sigmoid(0, 1).save(place / "c.json")
    assert fused(place, "--calibration", str(place / "c.json")) == 0
    assert fused(place) == 2
    Calibration.sigmoid(0, 2).save(place / "c.json")
    capsys.readouterr()
    assert fused(place, "--calibration", str(place / "c.json")) == 2
    assert "settings: got calibration " in capsys.readouterr().err


# --- files that are read, files of others ----------------------------------------------------------------


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
@pytest.mark.parametrize(
    "joined", ["{}", "{}+superpixels:80", "superpixels:80+{}", "csl-tiny:5+{}+superpixels"]
)
@pytest.mark.parametrize("through", ["maps", "link"])
def test_region_maps_that_are_read_are_never_removed(place, capsys, joined, through, overwrite):
    os.rename(place / "maps", place / "own")  # noqa: PTH104
    assert proposed(place, out="maps") == 0
    if through == "link":
        (place / "link").symlink_to(place / "maps", target_is_directory=True)
    before = content(place / "maps")
    proposer = ("--proposer", joined.format(place / through))
    for out in ("maps", "maps/../maps"):
        assert fused(place, *overwrite, out=out, proposer=proposer) == 2
    assert proposed(place, *overwrite, out="maps", proposer=("--proposer", str(place / through))) == 2
    assert "holds inputs" in capsys.readouterr().err
    assert content(place / "maps") == before


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
def test_results_that_are_read_through_links_are_never_removed(place, capsys, overwrite):
    assert fused(place) == 0
    (place / "again").mkdir()
    for file in (place / "out").glob("*.npy"):
        (place / "again" / file.name).symlink_to(file)
    before = content(place / "out")
    assert fused(place, *overwrite, scores="again") == 2
    assert "holds inputs" in capsys.readouterr().err
    assert content(place / "out") == before


def test_a_calibration_in_the_folder_stays(place, capsys):
    assert fused(place) == 0
    Calibration.sigmoid(0, 1).save(place / "out" / "c.json")
    assert fused(place, "--overwrite", "--calibration", str(place / "out" / "c.json")) == 2
    assert "holds inputs such as" in capsys.readouterr().err
    assert "c.json" in content(place / "out")


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
def test_files_of_others_stay(place, capsys, overwrite):
    assert fused(place, "--overlays") == 0
    for name in ("notes.txt", "d.npy", "overlays/d.png", "a.npy.bak", "result.json"):
        (place / "out" / name).write_text("mine")
    assert fused(place, "--overlays", *overwrite) == 0
    others = [name for name, data in content(place / "out").items() if data == b"mine"]
    assert len(others) == 5
    write_png(place / "images" / "d.png", make_image(4))
    write_scores(place / "scores" / "d.npy", make_scores(4))
    before = content(place / "out")
    assert fused(place, "--overlays", *overwrite) == 2
    assert "d.npy: got a file that this command did not write" in capsys.readouterr().err
    assert content(place / "out") == before


@pytest.mark.parametrize("command", [fused, proposed])
def test_a_folder_of_another_command_is_refused(place, capsys, command):
    other = {fused: proposed, proposed: fused}[command]
    assert other(place) == 0
    before = content(place / "out")
    assert command(place) == 2
    assert "settings: got command " in capsys.readouterr().err
    assert content(place / "out") == before


def test_the_settings_of_a_failed_run_are_no_masks(place, capsys):
    for stem in "abc":
        (place / "images" / f"{stem}.png").write_text("no picture")
    assert proposed(place) == 1
    assert (place / "out" / "csl-plugin.json").exists()
    assert fused(place, out="fused", proposer=("--proposer", str(place / "out"))) == 2
    assert "a folder without one" in capsys.readouterr().err


# --- several at a time ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_several_jobs_at_one_folder_do_not_harm_each_other(place):
    for number in range(30):
        for folder, suffix in (("images", ".png"), ("scores", ".npy")):
            os.link(place / folder / f"a{suffix}", place / folder / f"z{number}{suffix}")
    command = [sys.executable, "-m", "csl_plugin", "fuse", "images", "scores", "out", *QUICK, "--overlays"]
    started = [
        subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in started:
        _, told = process.communicate()
        assert (process.returncode, told) == (0, "")
    check_fresh(place, fused, "--overlays")
    assert not list((place / "out").rglob("*.tmp"))


# --- inputs elsewhere -----------------------------------------------------------------------------------


@pytest.mark.parametrize("copy", [None, shutil.copy2])
@pytest.mark.parametrize("proposer", [QUICK, ("--proposer", "maps")])
def test_a_job_goes_on_where_it_was_moved_to(tmp_path, place, capsys, monkeypatch, copy, proposer):
    inner = tmp_path / "inner"
    inner.mkdir()
    for name in ("images", "scores", "maps"):
        (tmp_path / name).rename(inner / name)
    monkeypatch.chdir(inner)
    assert fused(inner, proposer=proposer) == 0
    there = moved(inner, copy)
    monkeypatch.chdir(there)
    write_png(there / "images" / "d.png", make_image(9))
    write_scores(there / "scores" / "d.npy", make_scores(9))
    write_region_map(there / "maps" / "d.png", make_map(9))
    capsys.readouterr()
    assert fused(there, "--json", proposer=proposer) == 0
    assert counts(capsys) == (1, 3, 0)
    assert fused(there, "--json", proposer=proposer) == 0
    assert counts(capsys) == (0, 4, 0)


def test_propose_goes_on_with_the_same_images_in_another_folder(place, capsys):
    assert proposed(place) == 0
    shutil.copytree(place / "images", place / "same", copy_function=shutil.copy2)
    capsys.readouterr()
    assert proposed(place, "--json", images="same") == 0
    assert counts(capsys) == (0, 3, 0)


@pytest.mark.parametrize("other", ["times", "one", "names"])
def test_other_inputs_elsewhere_are_refused(place, capsys, other):
    """Copies without their times, one that differs, and files of other names are other inputs."""
    assert fused(place) == 0
    before = content(place / "out")
    copy = shutil.copyfile if other == "times" else shutil.copy2
    for name in ("images", "scores"):
        shutil.copytree(place / name, place / f"{name}3", copy_function=copy)
    if other == "one":
        write_scores(place / "scores3" / "b.npy", make_scores(10))
    for file in [*(place / "images3").iterdir(), *(place / "scores3").iterdir()] * (other == "names"):
        file.rename(file.with_name(f"new-{file.name}"))
    assert fused(place, images="images3", scores="scores3") == 2
    said = capsys.readouterr().err
    assert all(word in said for word in ("images3", "scores3", "rsync -a"))
    assert content(place / "out") == before


def test_other_region_maps_elsewhere_are_refused(place, capsys):
    assert fused(place, proposer=("--proposer", str(place / "maps"))) == 0
    for seed, stem in enumerate("abc"):
        write_region_map(place / "maps2" / f"{stem}.png", make_map(seed + 5))
    assert fused(place, proposer=("--proposer", str(place / "maps2"))) == 2
    assert "maps2" in capsys.readouterr().err


@pytest.mark.parametrize("stem", ["a", "large"])
def test_other_scores_of_the_same_size_and_time_are_not_taken_for_the_first(place, capsys, stem):
    """As from archives that store no times."""
    for number, name in enumerate(("scores", "scores2")):
        large = np.random.default_rng(number).random((300, 420)).astype(np.float32)
        write_scores(place / name / "large.npy", large)
        for file in (place / name).iterdir():
            os.utime(file, ns=(0, 0))
    write_png(place / "images" / "large.png", np.tile(make_image(1), (8, 8, 1))[:300, :420])
    assert fused(place) == 0
    assert fused(place, scores="scores2") == 2
    assert "scores2" in capsys.readouterr().err
    (place / "scores" / f"{stem}.npy").write_bytes((place / "scores2" / f"{stem}.npy").read_bytes())
    os.utime(place / "scores" / f"{stem}.npy", ns=(0, 0))
    capsys.readouterr()
    assert fused(place, "--json") == 0
    assert counts(capsys) == (1, 3, 0)
    check_fresh(place, fused)

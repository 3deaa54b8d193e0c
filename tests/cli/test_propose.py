"""`csl-plugin propose`: pictures beside the maps, and several partitions, which no map holds."""

import numpy as np
import pytest

from csl_plugin.cli import main
from csl_plugin.io import read_image, read_region_map, write_png, write_scores
from csl_plugin.proposers import RegionMapFolder


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The current folder, with images a and b and their scores."""
    rng = np.random.default_rng(0)
    for stem in "ab":
        image = np.kron(rng.integers(0, 256, (3, 4, 3)), np.ones((12, 12, 1))).astype(np.uint8)
        write_png(tmp_path / "images" / f"{stem}.png", image)
        write_scores(tmp_path / "scores" / f"{stem}.npy", rng.random((36, 48)).astype(np.float32))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def propose(*options, out="out"):
    return main(["propose", "images", out, "--proposer", "superpixels:40", *options])


def test_a_picture_has_every_region_in_a_color_of_its_own(place, capsys):
    assert propose("--overlays") == 0
    assert "black" not in capsys.readouterr().out
    labels, picture = read_region_map("out/a.png"), read_image("out/overlays/a.png")
    image = read_image("images/a.png")
    assert picture.shape == image.shape
    inside = ~(picture == 255).all(axis=2)  # the lines between regions are white
    tint = 2 * picture.astype(int) - image
    tints = [tint[inside & (labels == region)] for region in np.unique(labels)]
    assert len(tints) > 3
    assert all(np.ptp(each, axis=0).max() <= 2 for each in tints), "one color, beside rounding"
    assert len({tuple(each[0] // 8) for each in tints}) == len(tints)


def test_pictures_are_no_region_maps(place, capsys):
    assert propose("--overlays") == 0
    assert len(RegionMapFolder("out")) == 2
    assert main(["fuse", "images", "scores", "fused", "--proposer", "out"]) == 0
    assert main(["fuse", "images", "scores", "plain", "--proposer", "superpixels:40"]) == 0
    for stem in "ab":
        assert np.array_equal(np.load(f"fused/{stem}.npy"), np.load(f"plain/{stem}.npy"))


def test_pictures_can_be_asked_for_later(place, capsys):
    assert propose() == 0
    assert "--overlays" in capsys.readouterr().out, "the answer says how to see the maps"
    assert propose("--overlays") == 0
    assert sorted(path.name for path in (place / "out/overlays").iterdir()) == ["a.png", "b.png"]
    capsys.readouterr()
    assert propose("--overlays") == 0
    assert "0 done, 2 skipped" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("csl-tiny:auto,5", ["csl-tiny:auto", "csl-tiny:5"]),
        ("superpixels:80,40,20", ["superpixels:80", "superpixels:40", "superpixels:20"]),
        ("superpixels+nowhere", ["superpixels", "nowhere"]),
    ],
)
def test_several_partitions_are_refused_before_anything_is_read(place, capsys, source, parts):
    assert main(["propose", "nothing-there", "out", "--proposer", source]) == 2
    error = capsys.readouterr().err
    assert f"--proposer: got {len(parts)} partitions in {source}, expected one" in error
    assert all(f"--proposer {part}" in error for part in parts)
    assert not (place / "out").exists()


def test_the_parts_joined_are_the_whole(place):
    for out, source in (("coarse", "superpixels:80"), ("fine", "superpixels:20")):
        assert main(["propose", "images", out, "--proposer", source]) == 0
    assert main(["fuse", "images", "scores", "joined", "--proposer", "coarse+fine"]) == 0
    assert main(["fuse", "images", "scores", "whole", "--proposer", "superpixels:80,20"]) == 0
    for stem in "ab":
        assert np.array_equal(np.load(f"joined/{stem}.npy"), np.load(f"whole/{stem}.npy"))


def test_a_folder_with_a_plus_or_a_colon_in_its_name_is_one_source(place):
    assert propose(out="one+two") == 0
    assert main(["propose", "images", "again", "--proposer", "one+two"]) == 0


def test_memory_that_ends_with_the_command_is_named(place, capsys):
    pytest.importorskip("fsspec")
    assert propose(out="memory://regions") == 0
    assert "warning: memory://regions is in the memory of this process" in capsys.readouterr().err


def test_a_misspelled_proposer_is_answered_with_the_nearest_one(place, capsys):
    assert propose("--proposer", "csl-tinny") == 2
    assert "Did you mean 'csl-tiny'? Check the name" in capsys.readouterr().err

"""`--valid` of `fuse`, `threshold fit` and `objects`: what the library gives with `valid=`."""

import json
import os

import cv2
import numpy as np
import pytest

from csl_plugin import Calibration, Threshold, find_objects, fuse
from csl_plugin.cli import main
from csl_plugin.io import read_label_png, write_png, write_region_map, write_scores
from csl_plugin.objects.formats import read_objects
from tests.helpers.turned_jpeg import turned_jpeg
from tests.objects.drawn import assert_same

SIZE = 60, 90
STEMS = "abcd"


def make_scores(seed):
    noise = np.random.default_rng(seed).random(SIZE).astype(np.float32)
    return cv2.GaussianBlur(noise, (0, 0), 3)


def make_regions(seed):
    """Stripes of one id each: masks of columns cut them in two."""
    return np.repeat(np.random.default_rng(seed).permutation(10), 6)[:, None].repeat(90, 1).astype(np.int32)


def make_valid(seed):
    valid = np.ones(SIZE, bool)
    valid[:, 30 + 5 * seed : 40 + 5 * seed] = False
    valid[:9] = False
    return valid


def make_place(place, seeds=range(4), images="images", scores="scores", masks="masks"):
    for seed, stem in zip(seeds, STEMS, strict=False):
        write_png(place / images / f"{stem}.png", np.zeros((*SIZE, 3), np.uint8))
        write_scores(place / scores / f"{stem}.npy", make_scores(seed))
        write_png(place / masks / f"{stem}.png", make_valid(seed).astype(np.uint8) * 255)
        write_region_map(place / "maps" / f"{stem}.png", make_regions(seed))


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_place(tmp_path)
    return tmp_path


def run(command, *options, scores="scores", out="out", valid="masks"):
    given = ["--valid", valid] if valid else []
    words = ["images", scores, out, "--proposer", "maps", *given, *options]
    return main([*command.split(), *words])


def facts_of(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def fused_maps(split=True, **options):
    """(map, regions, valid) of every image, as the library makes them."""
    found = []
    for seed in range(4):
        valid, regions = make_valid(seed), make_regions(seed)
        fused = fuse(make_scores(seed), regions, valid=valid, split=split, **options)
        found.append((fused, regions, valid))
    return found


# --- the same as the library ----------------------------------------------------------------------------


@pytest.mark.parametrize("words", [(), ("--no-split",), ("--rule", "geometric"), ("--jobs", "2")])
def test_fused_maps_are_those_of_the_library(place, words):
    assert run("fuse", *words) == 0
    options = {"rule": "geometric"} if "--rule" in words else {}
    for seed, (fused, _, valid) in enumerate(fused_maps("--no-split" not in words, **options)):
        written = np.load(f"out/{STEMS[seed]}.npy")
        assert written.tobytes() == fused.tobytes()
        rounding = 1e-6 if options else 0  # of a root of a square; the default rule writes what it read
        np.testing.assert_allclose(written[~valid], make_scores(seed)[~valid], rtol=rounding)
        assert written.tobytes() != fuse(make_scores(seed), make_regions(seed), **options).tobytes()


def test_pixels_that_do_not_count_may_hold_anything(place):
    """As in Python they are neither read nor refused, in no kind of scores."""
    scores, valid = make_scores(0), make_valid(0)
    calibration = Calibration.sigmoid(5.0, -2.0)
    calibration.save("c.json")
    logits = 5 - 10 * scores
    logits[~valid] = np.nan
    for words, given, expected in (
        ([], np.where(valid, scores, -7), None),
        (["--rule", "product"], np.where(valid, scores, np.inf), None),
        (["--logits"], logits, {"logits": True}),
        (["--calibration", "c.json"], np.where(valid, logits, 1e9), None),
    ):
        given = given.astype(np.float32)
        write_scores(place / "scores" / "a.npy", given)
        rule = "product" if "--rule" in words else "adaptive"
        values = calibration(given) if "--calibration" in words else given
        fused = fuse(values, make_regions(0), valid=valid, rule=rule, **(expected or {}))
        assert run("fuse", *words, "--overlays", "--overwrite") == 0
        np.testing.assert_array_equal(np.load("out/a.npy"), fused)
        assert run("objects", *words, "--threshold", "0.5", "--overwrite") == 0
        (found,) = find_objects(fused, 0.5, make_regions(0), valid=valid)
        assert_same(read_objects("out/objects/a.json"), found)


def test_classes_and_smaller_scores(place):
    classes = np.random.default_rng(3).random((3, 15, 23)).astype(np.float32)
    write_scores(place / "scores" / "a.npy", classes)
    assert run("fuse", "--overlays") == 0
    expected = fuse(classes, make_regions(0), size=SIZE, valid=make_valid(0))
    assert np.load("out/a.npy").tobytes() == expected.tobytes()


@pytest.mark.parametrize("fused", [False, True])
def test_objects_are_those_of_the_library(place, fused):
    """With --fused the maps are taken as they are, and the masks still count."""
    if fused:
        assert run("fuse", out="fused") == 0
    words = ["--fused"] if fused else []
    assert run("objects", "--threshold", "0.51", *words, scores="fused" if fused else "scores") == 0
    found = [find_objects(one, 0.51, regions, valid=valid)[0] for one, regions, valid in fused_maps()]
    for stem, objects in zip(STEMS, found, strict=True):
        assert_same(read_objects(f"out/objects/{stem}.json"), objects)
    assert sum(map(len, found))
    whole = [find_objects(one, 0.51, regions)[0] for one, regions, _ in fused_maps()]
    assert [each.areas.tolist() for each in whole] != [each.areas.tolist() for each in found]


@pytest.mark.parametrize("fused", [False, True])
def test_thresholds_are_those_of_the_library(place, fused):
    if fused:
        assert run("fuse", out="fused") == 0
    maps = fused_maps()
    inside = [one[valid] for one, _, valid in maps]
    labels = [(make_scores(seed) > 0.52).astype(np.uint8) for seed in range(4)]
    for stem, label in zip(STEMS, labels, strict=True):
        write_png(place / "labels" / f"{stem}.png", label)
    void = [np.where(valid, label, 255) for label, (_, _, valid) in zip(labels, maps, strict=True)]
    for words, expected in (
        ([], Threshold.fit_objects(maps)),
        (["--pixels", "0.02"], Threshold.fit_pixels(inside, 0.02)),
        (["--f1", "--labels", "labels"], Threshold.fit_f1([one for one, *_ in maps], void)),
        (
            ["--recall", "0.9", "--labels", "labels"],
            Threshold.fit_recall([one for one, *_ in maps], void, 0.9),
        ),
    ):
        words = [*words, "--fused"] if fused else words
        assert run("threshold fit", *words, scores="fused" if fused else "scores", out="t.json") == 0
        threshold = Threshold.load("t.json")
        assert (threshold.value, threshold.expected) == (expected.value, expected.expected)
        assert threshold.made_with["valid"] is True
        assert threshold.made_with["valid_in_fusion"] is True


def test_one_mask_is_for_every_image(place, capsys):
    assert run("fuse", "--json", valid="masks/b.png") == 0
    for seed, stem in enumerate(STEMS):
        expected = fuse(make_scores(seed), make_regions(seed), valid=make_valid(1))
        assert np.load(f"out/{stem}.npy").tobytes() == expected.tobytes()
    settings = facts_of(capsys)["settings"]
    assert (settings["valid"], settings["masks"]) == (True, str(place / "masks"))


def test_an_image_in_which_no_pixel_counts_is_a_result(place, capsys):
    write_png(place / "masks" / "b.png", np.zeros(SIZE, np.uint8))
    assert run("fuse", "--overlays") == 0
    np.testing.assert_allclose(np.load("out/b.npy"), make_scores(1), rtol=1e-6)
    assert run("objects", "--threshold", "0.5", "--overlays", out="found") == 0
    assert len(read_objects("found/objects/b.json")) == 0
    assert run("threshold fit", out="t.json") == 0
    assert Threshold.load("t.json").images == 4
    assert run("threshold fit", "--pixels", "0.1", out="t.json") == 0


# --- what a result is made from -------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("fuse",), ("objects", "--threshold", "0.5")])
def test_a_changed_mask_makes_the_result_anew(place, capsys, words):
    command, *options = words
    assert run(command, "--json", *options) == 0
    capsys.readouterr()
    valid = make_valid(3)
    write_png(place / "masks" / "b.png", valid.astype(np.uint8))
    assert run(command, "--json", *options) == 0
    facts = facts_of(capsys)
    assert (facts["done"], facts["skipped"]) == (1, 3)
    fused = fuse(make_scores(1), make_regions(1), valid=valid)
    if command == "fuse":
        assert np.load("out/b.npy").tobytes() == fused.tobytes()
        result = place / "out" / "b.npy"
    else:
        result = place / "out" / "objects" / "b.json"
        assert_same(read_objects(result), find_objects(fused, 0.5, make_regions(1), valid=valid)[0])
    (place / "masks" / "b.png").unlink()
    assert run(command, "--json", *options) == 1
    facts = facts_of(capsys)
    (failure,) = facts["failed"]
    assert failure["reason"].startswith("masks: got no mask, expected one named b.png")
    assert (facts["skipped"], result.exists()) == (3, False)
    assert run(command, "--json", *options, valid=None) == 2
    assert "got no valid, no masks, expected valid true, masks " in facts_of(capsys)["error"]


def test_masks_in_the_output_folder_are_refused(place, capsys):
    (place / "out").mkdir()
    (place / "masks").rename(place / "out" / "masks")
    assert run("fuse", "--json", "--overwrite", valid="out/masks") == 2
    assert "out" in facts_of(capsys)["error"]
    assert len(list((place / "out" / "masks").iterdir())) == 4


# --- thresholds of masks --------------------------------------------------------------------------------


def test_a_threshold_of_masks_is_not_applied_without_them(place, capsys):
    assert run("threshold fit", out="inside.json") == 0
    assert run("threshold fit", out="whole.json", valid=None) == 0
    for file, valid, code in (
        ("inside.json", "masks", 0),
        ("inside.json", None, 2),
        ("whole.json", "masks", 2),
        ("whole.json", None, 0),
    ):
        capsys.readouterr()
        options = ("--json", "--overwrite", "--threshold", file)
        assert run("objects", *options, valid=valid) == code
        if code:
            got = facts_of(capsys)["error"].partition(", expected ")[0].partition("got ")[2]
            now = json.dumps(valid is not None)
            assert sorted(got.split(", ")) == [f"valid {now}", f"valid_in_fusion {now}"]
    assert run("fuse", out="fused", valid=None) == 0
    capsys.readouterr()
    assert run("objects", "--json", "--fused", "--threshold", "inside.json", scores="fused", out="new") == 2
    assert "got valid_in_fusion false, expected valid_in_fusion true" in facts_of(capsys)["error"]


def test_threshold_files_that_do_not_say_it_are_taken(place):
    Threshold(0.5, made_with={"rule": "adaptive"}).save("t.json")
    assert run("objects", "--threshold", "t.json") == 0


def test_a_threshold_of_logits_is_not_applied_to_scores(place, capsys):
    assert run("threshold fit", "--logits", out="t.json") == 0
    capsys.readouterr()
    assert run("objects", "--json", "--threshold", "t.json") == 2
    assert "got logits false, expected logits true" in facts_of(capsys)["error"]


@pytest.mark.parametrize("one", [False, True])
def test_masks_of_the_frames_of_a_fit(place, capsys, one):
    """A folder has its counterpart beside the frames of the fit; one mask is for these too."""
    normal = ("normal/images", "normal/scores", "normal/valid")
    make_place(place, range(4), *normal)
    masks = "masks/c.png" if one else "masks"
    assert run("objects", "--fit-on", "normal", valid=masks) == 0
    words = [*normal[:2], "t.json", "--proposer", "maps", "--valid", masks if one else normal[2]]
    assert main(["threshold", "fit", *words]) == 0
    assert Threshold.load("out/threshold.json") == Threshold.load("t.json")
    (place / "normal" / "valid" / "b.png").unlink()
    capsys.readouterr()
    assert run("objects", "--json", "--fit-on", "normal", out="new", valid=masks) == (0 if one else 2)
    if not one:
        assert f"{os.sep}valid: got no mask for b.png" in facts_of(capsys)["error"]


# --- masks that cannot be used --------------------------------------------------------------------------


def test_masks_that_do_not_fit_are_named(place, capsys):
    write_png(place / "masks" / "a.png", np.ones((60, 91), np.uint8))
    write_png(place / "masks" / "b.png", np.ones((90, 60), np.uint8))
    (place / "masks" / "c.png").write_bytes(b"damaged")
    (place / "masks" / "d.png").unlink()
    for words in (["fuse"], ["objects", "--threshold", "0.5"]):
        assert run(words[0], "--json", *words[1:], out=words[0]) == 1
        reasons = [failure["reason"] for failure in facts_of(capsys)["failed"]]
        assert "a.png: got size (60, 91), expected the size of the image, (60, 90)" in reasons[0]
        assert "b.png: got size (90, 60)" in reasons[1]
        assert "transpose the mask" in reasons[1]
        assert "c.png: got" in reasons[2]
        assert "masks: got no mask, expected one named d.png" in reasons[3]
    for command, words in (("threshold fit", []), ("objects", ["--fit-on", "."])):
        (place / "valid").exists() or (place / "masks").rename(place / "valid")
        assert run(command, "--json", *words, out="new", valid="valid") == 2
        assert "valid: got no mask for d.png, expected one for every image" in facts_of(capsys)["error"]
        assert not (place / "new").exists()


@pytest.mark.parametrize("command", ["fuse", "threshold fit", "objects"])
def test_a_place_without_masks_is_refused(place, capsys, command):
    options = ["--threshold", "0.5"] if command == "objects" else []
    for valid, said in (
        ("nowhere", "nowhere: got nothing there"),
        ("scores", "scores: got a folder without a mask (it holds 4 .npy)"),
        ("scores/a.npy", "scores/a.npy: got a file .npy"),
    ):
        assert run(command, "--json", *options, out="new", valid=valid) == 2
        assert said in facts_of(capsys)["error"]
        assert not (place / "new").exists()


def test_masks_of_the_stored_pixels_of_a_photograph_are_named(tmp_path, capsys):
    (tmp_path / "a.jpg").write_bytes(turned_jpeg(np.zeros((90, 60, 3), np.uint8)))
    write_scores(tmp_path / "a.npy", make_scores(0))
    words = ["fuse", *(str(tmp_path / name) for name in ("a.jpg", "a.npy", "out"))]
    words += ["--proposer", "superpixels:20", "--valid", str(tmp_path / "mask.png")]
    write_png(tmp_path / "mask.png", np.ones((90, 60), np.uint8))
    assert main(words) == 1
    said = capsys.readouterr().err
    assert "mask.png: got size (90, 60), which fits the stored pixels of a.jpg" in said
    assert "numpy.rot90(a, -1, axes=(-2, -1))" in said
    write_png(tmp_path / "mask.png", np.ones(SIZE, np.uint8))
    assert main(words) == 0


def test_any_label_but_0_counts(place):
    labels = np.zeros(SIZE, np.uint16)
    labels[20:] = 256
    labels[40:] = 1
    write_png(place / "masks" / "a.png", labels)
    assert read_label_png("masks/a.png").dtype == np.uint16
    assert run("fuse") == 0
    expected = fuse(make_scores(0), make_regions(0), valid=labels > 0)
    assert np.load("out/a.npy").tobytes() == expected.tobytes()

"""`csl-plugin threshold fit` and `calibrate`: what the library gives, in a file; and what is refused."""

import json

import cv2
import numpy as np
import pytest

from csl_plugin import Calibration, Threshold, find_objects, fuse, load_proposer
from csl_plugin.cli import main
from csl_plugin.cli.fused.fused_maps import FusedMaps, settings_of_objects
from csl_plugin.io import image_batch, write_png, write_scores
from tests.helpers.turned_jpeg import turned_jpeg

SIZE = 40, 56
STEMS = "abcd"


def make_image(seed):
    blocks = np.random.default_rng(seed).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    return cv2.resize(blocks, SIZE[::-1], interpolation=cv2.INTER_NEAREST)


def make_scores(seed):
    """Smooth, with a few hills: objects at most thresholds."""
    noise = np.random.default_rng(100 + seed).random(SIZE).astype(np.float32)
    return cv2.GaussianBlur(noise, (0, 0), 3)


def make_labels(seed):
    labels = np.zeros(SIZE, np.uint8)
    labels[make_scores(seed) > 0.53] = 1
    labels[:, :5] = 255
    return labels


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Images with their scores, raw scores (high for normal pixels) and labels."""
    monkeypatch.chdir(tmp_path)
    for seed, stem in enumerate(STEMS):
        write_png(tmp_path / "images" / f"{stem}.png", make_image(seed))
        write_scores(tmp_path / "scores" / f"{stem}.npy", make_scores(seed))
        write_scores(tmp_path / "raw" / f"{stem}.npy", 5 - 20 * make_scores(seed))
        write_png(tmp_path / "labels" / f"{stem}.png", make_labels(seed))
    return tmp_path


def fused_maps(**options):
    """(map, regions) of every image, as the library makes them."""
    proposer, found = load_proposer(), []
    for seed in range(len(STEMS)):
        regions = proposer(image_batch(make_image(seed)))
        found.append((fuse(make_scores(seed), regions, **options), regions))
    return found


def fit(*options, scores="scores", file="t.json"):
    return main(["threshold", "fit", "images", scores, file, *options])


def failed(capsys):
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


# --- threshold fit --------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [(), ("--objects", "0.5", "--min-area", "20"), ("--objects", "0")])
def test_objects_are_those_of_the_library(place, capsys, words):
    assert fit(*words) == 0
    per_image = float(words[1]) if words else 0.1
    min_area = 20 if "--min-area" in words else 64
    expected = Threshold.fit_objects(fused_maps(), per_image, min_area=min_area)
    threshold = Threshold.load("t.json")
    assert (threshold.value, threshold.expected) == (expected.value, expected.expected)
    assert (threshold.kind, threshold.target, threshold.images) == ("objects", per_image, 4)
    assert threshold.made_with["rule"] == "adaptive"
    assert threshold.made_with["min_area"] == min_area
    found = [find_objects(*entry[:1], threshold, entry[1], min_area=min_area)[0] for entry in fused_maps()]
    assert np.mean([len(each) for each in found]) <= per_image
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        f"t.json: {threshold}",
        "  with rule adaptive, split yes, proposer csl-tiny:auto,5, calibration none",
    ]
    too_few = 0 < per_image * 4 < 1
    assert ("on 4 images are less than one, so none was allowed" in printed.err) == too_few
    assert bool(printed.err) == too_few


def test_pixels_are_those_of_the_library(place):
    assert fit("--pixels", "0.02", "--rule", "mean", "--no-split") == 0
    maps = [fused for fused, _ in fused_maps(rule="mean", split=False)]
    threshold, expected = Threshold.load("t.json"), Threshold.fit_pixels(maps, 0.02)
    assert (threshold.value, threshold.expected) == (expected.value, expected.expected)
    assert (threshold.made_with["rule"], threshold.made_with["split"]) == ("mean", False)


def test_labels_are_those_of_the_library(place):
    maps, labels = [fused for fused, _ in fused_maps()], [make_labels(seed) for seed in range(4)]
    for words, expected in (
        (["--f1"], Threshold.fit_f1(maps, labels)),
        (["--recall", "0.9"], Threshold.fit_recall(maps, labels, 0.9)),
    ):
        assert fit(*words, "--labels", "labels") == 0
        threshold = Threshold.load("t.json")
        assert (threshold.value, threshold.expected) == (expected.value, expected.expected)


def test_fused_maps_of_the_command_fuse_give_the_same(place, capsys):
    assert fit(file="one.json") == 0
    assert main(["fuse", "images", "scores", "out"]) == 0
    assert fit("--fused", scores="out", file="two.json") == 0
    one, two = Threshold.load("one.json"), Threshold.load("two.json")
    assert one == two
    maps = FusedMaps.of(place / "out", load_proposer(), split=True)
    two.check_made_with(settings_of_objects(maps, 64))
    said = capsys.readouterr().out
    assert "with maps as they are" in said
    assert "skipped" not in said.rpartition("two.json")[2]
    assert fit("--fused", "--pixels", "0.02", scores="out", file="three.json") == 0
    expected = Threshold.fit_pixels([fused for fused, _ in fused_maps()], 0.02)
    assert float(Threshold.load("three.json")) == float(expected)


def test_fused_maps_of_another_origin_have_no_settings(place):
    assert fit("--fused", "--pixels", "0.02") == 0
    threshold = Threshold.load("t.json")
    assert float(threshold) == float(Threshold.fit_pixels(map(make_scores, range(4)), 0.02))
    assert threshold.made_with == {"valid": False}


def test_stored_regions_are_known_by_what_made_them(place):
    """A threshold fitted with region maps of some images holds for region maps of others."""
    assert main(["propose", "images", "maps", "--proposer", "superpixels:40"]) == 0
    assert fit("--proposer", "superpixels:40", file="one.json") == 0
    assert fit("--proposer", "maps", file="two.json") == 0
    one, two = Threshold.load("one.json"), Threshold.load("two.json")
    assert one == two
    assert (one.made_with["proposer"], one.made_with["regions"]) == ("superpixels:40",) * 2
    (place / "maps" / "csl-plugin.json").unlink()
    assert fit("--proposer", "maps", "--no-split", file="three.json") == 0
    assert {"proposer", "regions"}.isdisjoint(Threshold.load("three.json").made_with)
    assert main(["fuse", "images", "scores", "out", "--proposer", "maps"]) == 0
    assert fit("--fused", "--pixels", "0.1", scores="out", file="four.json") == 0
    of_fusion = {"rule", "split", "calibration", "logits", "valid_in_fusion"}
    assert set(Threshold.load("four.json").made_with) == of_fusion | {"valid"}


def test_raw_scores_take_a_calibration(place):
    assert main(["calibrate", "raw", "c.json", "--lower-is-anomalous"]) == 0
    assert fit("--calibration", "c.json", scores="raw") == 0
    assert len(Threshold.load("t.json").made_with["calibration"]) == 64


def test_json_is_one_object(place, capsys):
    write_scores(place / "scores" / "z.npy", make_scores(9))
    (place / "images" / "notes.txt").touch()
    assert fit("--json", "--pixels", "0.1") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["threshold"] == json.loads((place / "t.json").read_text())
    assert facts["unpaired_scores"] == ["z.npy"]
    assert facts["skipped_images"] == {".txt": 1}
    assert facts["images"] == 4


def test_an_image_and_its_score_may_have_two_names(place):
    words = ["images/a.png", "scores/b.npy", "t.json", "--labels", "labels/c.png", "--f1"]
    assert main(["threshold", "fit", *words]) == 0
    assert Threshold.load("t.json").images == 1


def test_an_earlier_threshold_is_replaced_and_another_file_is_not(place, capsys):
    Threshold.given(0.5).save("t.json")
    assert fit("--pixels", "0.1") == 0
    assert Threshold.load("t.json").kind == "pixels"
    capsys.readouterr()
    (place / "other.json").write_text("{}")
    Calibration.sigmoid().save("c.json")
    for name in ("other.json", "c.json", "images", "images/a.png"):
        before = None if name == "images" else (place / name).read_bytes()
        assert fit("--pixels", "0.1", file=name) == 2
        assert f"{name}: got a f" in failed(capsys)
        assert before is None or (place / name).read_bytes() == before
    assert main(["calibrate", "scores", "t.json"]) == 2
    assert "holds no calibration" in failed(capsys)


REFUSED = {
    "f1 alone": (["--f1"], "--f1: got no --labels"),
    "recall alone": (["--recall", "0.9"], "--recall: got no --labels"),
    "labels alone": (["--labels", "labels"], "--labels: got neither --f1 nor --recall"),
    "min area": (["--pixels", "0.1", "--min-area", "3"], "--min-area: got a threshold of pixels"),
    "share": (["--pixels", "1"], "--pixels: got 1.0"),
    "objects": (["--objects", "-1"], "--objects: got -1.0"),
    "recall": (["--recall", "2", "--labels", "labels"], "--recall: got 2.0"),
    "area": (["--min-area", "0"], "--min-area: got 0"),
    "every": (["--objects", "9"], "--objects: got 9.0, which every threshold keeps"),
    "both": (["--fused", "--logits"], "--fused, --logits: got both"),
    "rule": (["--fused", "--rule", "adaptive"], "--fused, --rule: got both"),
    "calibration": (["--fused", "--calibration", "c.json"], "--fused, --calibration: got both"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_options_that_do_not_go_together(place, capsys, name):
    words, said = REFUSED[name]
    assert fit(*words) == 2
    assert said in failed(capsys)
    assert not (place / "t.json").exists()


def test_files_that_cannot_be_used_are_named(place, capsys):
    (place / "labels" / "c.png").unlink()
    assert fit("--f1", "--labels", "labels") == 2
    assert "labels: got no label for c.png" in failed(capsys)
    write_png(place / "labels" / "c.png", make_labels(2)[:-1])
    assert fit("--f1", "--labels", "labels") == 2
    assert "c.png: got size (39, 56)" in failed(capsys)
    write_scores(place / "scores" / "b.npy", np.stack([make_scores(1)] * 3))
    assert fit() == 2
    assert "b.npy: got 3 classes" in failed(capsys)
    (place / "scores" / "b.npy").unlink()
    assert fit() == 2
    assert "scores: got no score map for b.png" in failed(capsys)
    write_scores(place / "scores" / "b.npy", np.full(SIZE, np.nan, np.float32))
    for words in (["--fused"], ["--fused", "--pixels", "0.1"]):
        assert fit(*words) == 2
        assert "b.npy: got nan or infinity in 2240 of 2240 values" in failed(capsys)
    write_scores(place / "scores" / "b.npy", make_scores(1)[::2, ::2])
    assert fit("--fused") == 2
    assert "b.npy: got size (20, 28)" in failed(capsys)


def test_scores_that_are_all_equal_are_refused(place, capsys):
    for stem in STEMS:
        write_scores(place / "scores" / f"{stem}.npy", np.zeros(SIZE, np.float32))
    for words in ([], ["--pixels", "0.1"], ["--fused"]):
        assert fit(*words) == 2
        assert "SCORES: got scores that are all equal" in failed(capsys)


def test_region_maps_are_no_fused_maps(place, capsys):
    assert main(["propose", "images", "maps"]) == 0
    capsys.readouterr()
    assert fit("--fused", scores="maps") == 2
    assert "maps: got an output folder of csl-plugin propose" in failed(capsys)


# --- calibrate ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sigmoid", "quantile"])
@pytest.mark.parametrize("lower", [False, True])
def test_the_file_is_what_the_library_fits_and_fuse_takes_it(place, capsys, kind, lower):
    words = ["--kind", kind, *(["--lower-is-anomalous"] if lower else [])]
    assert main(["calibrate", "raw", "c.json", *words]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"c.json: {kind}, ")
    assert said[0].endswith(f"; {'lower' if lower else 'higher'} is more anomalous, from 4 score maps")
    assert said[1].endswith("csl-plugin fuse IMAGES SCORES OUT --calibration c.json")
    maps = [5 - 20 * make_scores(seed) for seed in range(4)]
    make = Calibration.fit_sigmoid if kind == "sigmoid" else Calibration.fit_quantile
    calibration = Calibration.load("c.json")
    assert calibration == make(maps, lower_is_anomalous=lower)
    assert (np.diff(calibration(np.array([-30.0, -20.0, -10.0, 0.0]))) > 0).all() != lower
    assert main(["fuse", "images", "raw", "out", "--calibration", "c.json"]) == 0
    regions = load_proposer()(image_batch(make_image(0)))
    np.testing.assert_array_equal(np.load("out/a.npy"), fuse(calibration(maps[0]), regions))


def test_the_error_on_raw_scores_names_the_command_that_mends_it(place, capsys):
    assert main(["fuse", "images", "raw", "out"]) == 1
    assert "csl-plugin calibrate NORMAL_SCORES FILE" in capsys.readouterr().err


def test_calibrate_answers_in_json_and_says_what_it_left_out(place, capsys):
    (place / "raw" / "notes.txt").touch()
    assert main(["calibrate", "raw", "c.json", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["calibration"] == json.loads((place / "c.json").read_text())
    assert (facts["maps"], facts["skipped_scores"]) == (4, {".txt": 1})
    assert main(["calibrate", "raw/a.npy", "c.json"]) == 0
    assert "from 1 score map\n" in capsys.readouterr().out


def test_maps_that_cannot_be_calibrated_are_named(place, capsys):
    write_scores(place / "raw" / "b.npy", np.full(SIZE, np.inf, np.float32))
    assert main(["calibrate", "raw", "c.json"]) == 2
    assert "b.npy: got nan or infinity in 2240 of 2240 values" in failed(capsys)
    (place / "flat").mkdir()
    assert main(["calibrate", "flat", "c.json"]) == 2
    assert "flat: got a folder without a score map" in failed(capsys)
    write_scores(place / "flat" / "a.npy", np.ones(SIZE, np.float32))
    assert main(["calibrate", "flat", "c.json"]) == 2
    assert "SCORES: got scores that are all equal" in failed(capsys)
    assert not (place / "c.json").exists()


# --- what is taken for something else -------------------------------------------------------------------


def test_labels_of_0_and_255_are_refused_with_the_mend(place, capsys):
    for stem in STEMS:
        write_png(place / "labels" / f"{stem}.png", (make_labels(0) == 1).astype(np.uint8) * 255)
    assert fit("--f1", "--labels", "labels") == 2
    assert "255 is void here" in failed(capsys)


def test_labels_of_stored_pixels_are_named_as_such(place, capsys):
    (place / "images" / "a.png").unlink()
    (place / "images" / "a.jpg").write_bytes(turned_jpeg(make_image(0)))
    write_scores(place / "scores" / "a.npy", make_scores(0).T.copy())
    assert fit("--recall", "0.9", "--labels", "labels") == 2
    assert "fits the stored pixels of a.jpg: its EXIF orientation is 6" in failed(capsys)


@pytest.mark.parametrize("words", [("fuse", "images", "fused", "twice"), ("calibrate", "fused", "c.json")])
def test_fused_maps_are_not_taken_for_scores(place, capsys, words):
    assert main(["fuse", "images", "scores", "fused", "--proposer", "superpixels"]) == 0
    capsys.readouterr()
    assert main(list(words)) == 2
    assert "fused: got maps that csl-plugin fuse wrote, expected scores before fusion" in failed(capsys)
    assert not (place / words[-1]).exists()


def test_no_folder_for_temporary_files_is_named(place, monkeypatch, capsys):
    monkeypatch.setattr("tempfile.tempdir", str(place / "nowhere"))
    assert fit() == 2
    assert "folder for temporary files: got No such file or directory" in failed(capsys)


@pytest.mark.parametrize("value", [5, [1], {"a": 1}])
def test_settings_beside_fused_maps_that_fuse_does_not_store_are_refused(place, capsys, value):
    assert main(["fuse", "images", "scores", "fused", "--proposer", "superpixels"]) == 0
    (place / "fused" / "csl-plugin.json").write_text(json.dumps({"command": "fuse", "rule": value}))
    capsys.readouterr()
    assert fit("--fused", scores="fused") == 2
    assert "fused/csl-plugin.json, rule: got" in failed(capsys)

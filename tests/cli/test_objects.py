"""`csl-plugin objects` on real files: what it writes, keeps, makes again and refuses."""

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from csl_plugin import Threshold, find_objects, fuse, load_proposer
from csl_plugin.cli import main
from csl_plugin.io import image_batch, read_image, read_label_png, write_png, write_region_map, write_scores
from csl_plugin.io.json_files import read_json
from csl_plugin.objects.formats import read_coco, read_objects
from tests.objects.drawn import assert_same

SIZE = 60, 90


def make_frame(place, stem, seed, anomalous):
    rng = np.random.default_rng(seed)
    image = rng.integers(90, 110, (*SIZE, 3)).astype(np.uint8)
    scores = (rng.random(SIZE) * 0.3).astype(np.float32)
    if anomalous:
        disc = cv2.circle(np.zeros(SIZE, np.uint8), (30 + 10 * seed, 30), 12, 1, -1) > 0
        image[disc], scores[disc] = (250, 40, 40), scores[disc] + 0.6
    else:
        scores = cv2.blur(scores, (15, 15))
    write_png(place / "images" / f"{stem}.png", image)
    write_scores(place / "scores" / f"{stem}.npy", scores)


@pytest.fixture
def place(tmp_path):
    """Frames a, b with an object and c without one, and region maps of their colors."""
    for seed, stem in enumerate("abc"):
        make_frame(tmp_path, stem, seed, stem != "c")
        red = read_image(tmp_path / "images" / f"{stem}.png")[..., 0] > 200
        write_region_map(tmp_path / "regions" / f"{stem}.png", red.astype(np.int32))
    return tmp_path


def run(place, *options, out="out", scores="scores", threshold=("--threshold", "0.5")):
    folders = [str(place / name) for name in ("images", scores, out)]
    return main(["objects", *folders, "--proposer", str(place / "regions"), *threshold, *options])


def facts_of(capsys):
    return json.loads(capsys.readouterr().out)


def expected(place, stem, level=0.5, **options):
    scores = np.load(place / "scores" / f"{stem}.npy")
    regions = (read_label_png(place / "regions" / f"{stem}.png").astype(np.int32),)
    (found,) = find_objects(fuse(scores, regions), level, regions, **options)
    return found


def files(place, out="out"):
    return sorted(
        path.relative_to(place / out).as_posix()
        for path in (place / out).rglob("*")
        if path.is_file() and "csl-plugin" not in path.name
    )


EVERY = ("csv", "json", "labels", "polygons", "label-studio", "label-studio-polygons", "coco")
PLAIN = ["objects/a.json", "objects/b.json", "objects/c.json"]
COCO = ["coco-images.json", "coco.json"]


def test_objects_are_those_of_the_library(place, capsys):
    assert run(place, "--json") == 0
    facts = facts_of(capsys)
    assert files(place) == COCO + PLAIN
    for stem in "abc":
        assert_same(read_objects(place / "out" / "objects" / f"{stem}.json"), expected(place, stem))
    found = read_coco(place / "out" / "coco.json")
    assert list(found) == ["a.png", "b.png", "c.png"]
    assert_same(found["a.png"], expected(place, "a"))
    assert (facts["objects"], facts["images_without_objects"]) == (2, 1)
    assert facts["objects_of_images"] == {"a.png": 1, "b.png": 1, "c.png": 0}
    assert facts["image_scores"]["a.png"] == expected(place, "a").image_score > 0
    assert facts["image_scores"]["c.png"] == 0
    assert facts["settings"]["threshold"] == 0.5
    assert facts["threshold"]["kind"] == "given"


def test_the_default_regions_are_those_of_the_library(place, capsys):
    folders = [str(place / name) for name in ("images", "scores")]
    assert main(["objects", *folders, str(place / "one"), "--threshold", "0.5"]) == 0
    said = capsys.readouterr().out
    assert "objects: 2 in 3 images, 1 of them without any" in said
    assert "threshold 0.5: given" in said
    image, scores = read_image(place / "images/a.png"), np.load(place / "scores/a.npy")
    regions = load_proposer()(image_batch(image))
    (found,) = find_objects(fuse(scores, regions), 0.5, regions)
    assert_same(read_objects(place / "one" / "objects" / "a.json"), found)


def test_every_format_is_written(place, capsys):
    options = [word for name in EVERY for word in ("--format", name)]
    assert run(place, *options, "--overlays", "--url-prefix", "/data/?d=") == 0
    names = [f"{stem}.{suffix}" for suffix in ("json", "png") for stem in "abc"]
    assert files(place) == sorted(
        ["boxes.csv", *COCO, "label-studio-polygons.json", "label-studio.json", *PLAIN]
        + [f"{folder}/{name}" for folder in ("labels", "overlays") for name in names[3:]]
        + [f"polygons/{name}" for name in names[:3]]
    )
    labels = read_label_png(place / "out/labels/a.png")
    np.testing.assert_array_equal(labels, expected(place, "a").label_map())
    assert (place / "out/boxes.csv").read_text().count("\n") == 3
    tasks = json.loads((place / "out/label-studio.json").read_text())
    assert [task["data"]["image"] for task in tasks] == [f"/data/?d={stem}.png" for stem in "abc"]
    assert read_image(place / "out/overlays/c.png").shape[2] == 3


def test_what_is_done_is_skipped_and_files_of_all_images_stay_true(place, capsys):
    assert run(place, "--json") == 0
    coco = place / "out" / "coco.json"
    first = coco.stat().st_mtime_ns
    assert run(place, "--json", "--format", "csv") == 0
    assert facts_of_last(capsys)["skipped"] == 3
    assert coco.stat().st_mtime_ns == first, "still up to date, so it stays"
    make_frame(place, "b", 5, False)
    assert run(place, "--json", "--format", "csv") == 0
    facts = facts_of_last(capsys)
    assert (facts["done"], facts["skipped"], facts["objects"]) == (1, 2, 1)
    assert files(place) == ["boxes.csv", *PLAIN], "COCO results of the earlier objects are gone"
    assert run(place, "--json") == 0
    assert {name: len(found) for name, found in read_coco(coco).items()} == {
        "a.png": 1,
        "b.png": 0,
        "c.png": 0,
    }
    (place / "out/objects/a.json").unlink()
    assert run(place, "--json") == 0
    assert facts_of_last(capsys)["done"] == 1
    assert run(place, "--json", "--min-area", "32") == 2
    assert "min_area 32" in facts_of_last(capsys)["error"]
    assert run(place, "--json", "--min-area", "32", "--overwrite") == 0


def facts_of_last(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_bad_file_fails_alone_and_is_in_no_file_of_all(place, capsys):
    assert run(place, "--json") == 0
    (place / "scores" / "b.npy").write_bytes(b"damaged")
    write_png(place / "images" / "d.png", np.zeros((*SIZE, 3), np.uint8))
    make_frame(place, "e", 1, True)
    write_scores(place / "scores" / "e.npy", np.zeros((3, *SIZE), np.float32))
    write_region_map(place / "regions" / "e.png", np.zeros(SIZE, np.int32))
    assert run(place, "--json") == 1
    facts = facts_of_last(capsys)
    reasons = {failure["name"]: failure["reason"] for failure in facts["failed"]}
    assert list(reasons) == ["b.png", "d.png", "e.png"]
    assert "no score map, expected one named d" in reasons["d.png"]
    assert "3 classes" in reasons["e.png"]
    assert (facts["objects"], facts["skipped"]) == (1, 2)
    assert list(read_coco(place / "out" / "coco.json")) == ["a.png", "c.png"]
    assert files(place) == [*COCO, "objects/a.json", "objects/c.json"]


def test_ids_of_a_ground_truth(place, capsys):
    images = [
        {"id": 40 - number, "file_name": f"val/{stem}.jpg", "height": 60, "width": 90}
        for number, stem in enumerate("abcz")
    ]
    truth = place / "truth.json"
    truth.write_text(json.dumps({"images": images, "categories": [{"id": 7, "name": "anomaly"}]}))
    assert run(place, "--image-ids", str(truth)) == 0
    results = json.loads((place / "out/coco.json").read_text())
    assert {(result["image_id"], result["category_id"]) for result in results} == {(40, 7), (39, 7)}
    truth.write_text(json.dumps({"images": images[:2]}))
    assert run(place, "--json", "--image-ids", str(truth), out="new") == 2
    assert "--image-ids: got no images named like c.png" in facts_of_last(capsys)["error"]
    assert not (place / "new").exists()
    images[2]["height"] = 61
    truth.write_text(json.dumps({"images": images}))
    assert run(place, "--json", "--image-ids", str(truth)) == 1
    (failure,) = facts_of_last(capsys)["failed"]
    assert failure["name"] == "coco.json"
    assert "size (61, 90) for c.png" in failure["reason"]
    assert files(place) == PLAIN, "nothing is half"


def test_fused_maps_are_taken_as_they_are(place, capsys):
    folders = [str(place / name) for name in ("images", "scores", "fused")]
    proposer = ["--proposer", str(place / "regions")]
    assert main(["fuse", *folders, *proposer, "--rule", "product"]) == 0
    capsys.readouterr()
    assert run(place, "--json", "--fused", scores="fused") == 0
    assert facts_of_last(capsys)["settings"]["rule"] == "product"
    fused, regions = np.load(place / "fused/a.npy"), read_label_png(place / "regions/a.png").astype(np.int32)
    (found,) = find_objects(fused, 0.5, regions)
    assert_same(read_objects(place / "out/objects/a.json"), found)


def test_fused_maps_are_not_fused_again(place, normal, monkeypatch, capsys):
    monkeypatch.chdir(place)
    proposer = ["--proposer", "regions"]
    assert main(["fuse", "images", "scores", "maps", *proposer]) == 0
    assert main(["fuse", "normal/images", "normal/scores", "normal/fused", *proposer]) == 0
    (normal / "scores").rename(normal / "raw")
    (normal / "fused").rename(normal / "scores")
    capsys.readouterr()
    for words, folder in (
        (["objects", "images", "maps", "out", "--threshold", "0.5"], "maps"),
        (["objects", "images/a.png", "maps/a.npy", "out", "--threshold", "0.5"], "maps/a.npy"),
        (["objects", "images", "scores", "out", "--fit-on", "normal"], "normal/scores"),
        (["threshold", "fit", "images", "maps", "t.json"], "maps"),
    ):
        assert main([*words, *proposer, "--json"]) == 2
        assert facts_of_last(capsys)["error"].startswith(f"{folder}: got maps that csl-plugin fuse wrote")
    assert not (place / "out").exists()


def test_a_threshold_file_is_used_and_one_of_other_maps_is_refused(place, capsys):
    Threshold(0.4, made_with={"rule": "adaptive", "min_area": 64}).save(place / "t.json")
    file = ("--threshold", str(place / "t.json"))
    assert run(place, "--json", threshold=file) == 0
    assert facts_of_last(capsys)["settings"]["threshold"] == 0.4
    assert_same(read_objects(place / "out/objects/a.json"), expected(place, "a", 0.4))
    for option in (("--rule", "mean"), ("--min-area", "5")):
        assert run(place, "--json", *option, threshold=file, out="new") == 2
        said = facts_of_last(capsys)["error"]
        assert said.startswith("--threshold: got ")
        assert "as the threshold was made with" in said
    assert not (place / "new").exists()


def test_a_threshold_of_logits_is_refused_for_scores(place, capsys):
    folders = [str(place / name) for name in ("images", "scores", "t.json")]
    file = ("--threshold", folders[-1])
    for fitted, used in (("--logits",), ()), ((), ("--logits",)):
        words = ["threshold", "fit", *folders, "--proposer", str(place / "regions"), "--pixels", "0.01"]
        assert main([*words, *fitted]) == 0
        assert run(place, *fitted, "--overwrite", threshold=file) == 0
        capsys.readouterr()
        assert run(place, "--json", *used, threshold=file, out="new") == 2
        assert "--threshold: got logits " in facts_of_last(capsys)["error"]


def test_what_cannot_be_compared_with_the_fit_is_said(place, capsys):
    pixels = Threshold.fit_pixels([np.load(place / "scores" / "c.npy")], 0.1)
    fusion = {
        "rule": "adaptive",
        "split": True,
        "calibration": None,
        "logits": False,
        "valid_in_fusion": False,
    }
    maps, of_fusion = fusion | {"valid": False}, ", ".join(fusion)
    cases = (
        (pixels, (), f"{of_fusion}, valid"),
        (replace(pixels, made_with=maps), (), None),
        (replace(pixels, made_with=maps), ("--fused",), of_fusion),
        (replace(pixels, made_with=maps | {"proposer": "x", "regions": "x"}), (), "proposer, regions"),
        (Threshold.given(0.5), (), None),
    )
    for threshold, options, names in cases:
        threshold.save(place / "t.json")
        assert run(place, *options, "--overwrite", threshold=("--threshold", str(place / "t.json"))) == 0
        said = capsys.readouterr().err
        assert (f"nothing says whether these were: {names}\n" in said) if names else not said


def code_of(words):
    try:
        return main(words)
    except SystemExit as error:
        return error.code


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--threshold", "nan"], "got nan, expected a finite number"),
        (["--threshold", "nowhere.json"], "nowhere.json: got No such file"),
        (["--threshold", "images"], "a folder"),
        (["--threshold", "0.5", "--min-area", "0"], "--min-area: got '0', expected an integer of at least 1"),
        (["--threshold", "0.5", "--min-area", "x"], "--min-area: got 'x'"),
        (["--threshold", "0.5", "--image-ids", "scores/a.npy"], "scores/a.npy: got no strict JSON"),
        (["--threshold", "0.5", "--format", "xml"], "got 'xml', expected coco"),
        ([], "one of the arguments --threshold --fit-on is required"),
        (["--threshold", "0.5", "--fused", "--rule", "mean"], "--fused, --rule: got both"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_written(place, monkeypatch, capsys, options, said):
    monkeypatch.chdir(place)
    words = ["objects", "images", "scores", "out", "--proposer", "regions", "--json", *options]
    assert code_of(words) == 2
    assert said in facts_of_last(capsys)["error"]
    assert not (place / "out").exists()


# --- a threshold fitted on frames without anomalies ---------------------------------------------------


@pytest.fixture
def normal(place):
    for seed in range(3):
        make_frame(place / "normal", f"n{seed}", seed + 10, False)
        write_region_map(place / "regions" / f"n{seed}.png", np.zeros(SIZE, np.int32))
    return place / "normal"


def test_the_threshold_is_fitted_as_threshold_fit_does(place, normal, capsys):
    fit_on = ("--fit-on", str(normal), "--false-objects", "0.2", "--min-area", "30")
    assert run(place, "--json", threshold=fit_on) == 0
    facts = facts_of_last(capsys)
    folders = [str(normal / "images"), str(normal / "scores"), str(place / "t.json")]
    options = ["--proposer", str(place / "regions"), "--objects", "0.2", "--min-area", "30"]
    assert main(["threshold", "fit", *folders, *options]) == 0
    threshold = Threshold.load(place / "t.json")
    assert facts["settings"]["threshold"] == threshold.value
    assert Threshold.load(place / "out/threshold.json") == threshold
    assert facts["threshold"]["expected"]["false_objects_per_image"]["value"] <= 0.2
    assert facts["objects"] >= 2
    assert run(place, "--json", threshold=fit_on) == 0
    assert facts_of_last(capsys)["skipped"] == 3
    given = ("--threshold", str(place / "out/threshold.json"), "--min-area", "30")
    assert run(place, "--json", threshold=given, out="other") == 0
    assert facts_of_last(capsys)["objects"] == facts["objects"]


def test_fused_maps_are_fitted_on_maps_of_the_same_settings(place, normal, capsys):
    proposer = ["--proposer", str(place / "regions")]
    for folder, rule in ((place, "product"), (normal, "mean")):
        images, fused = str(folder / "images"), str(folder / "fused")
        assert main(["fuse", images, str(folder / "scores"), fused, *proposer, "--rule", rule]) == 0
    (normal / "scores").rename(normal / "raw")
    (normal / "fused").rename(normal / "scores")
    capsys.readouterr()
    assert run(place, "--json", "--fused", scores="fused", threshold=("--fit-on", str(normal))) == 2
    assert "--fit-on: got fused maps that were made otherwise" in facts_of_last(capsys)["error"]


def test_region_maps_of_other_images_are_not_taken_for_the_frames(place, normal, capsys):
    fit_on = ("--fit-on", str(normal), "--false-objects", "0")
    for folder, suffix in (("images", "png"), ("scores", "npy")):
        (normal / folder / f"n0.{suffix}").rename(normal / folder / f"a.{suffix}")
    assert run(place, "--json", threshold=fit_on) == 2
    error = facts_of_last(capsys)["error"]
    assert error.startswith(f"--fit-on: got {place}/regions/a.png for both {normal}/images/a.png and ")
    assert run(place, "--proposer", "superpixels:30", threshold=fit_on) == 0
    (normal / "images" / "a.png").unlink()
    shutil.copy(place / "images" / "a.png", normal / "images" / "a.png")
    assert run(place, "--json", "--overwrite", threshold=fit_on) == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--fit-on", "nowhere"], "nowhere/images: got nothing there"),
        (["--fit-on", "."], "scores: got no score map for d.png"),
        (["--fit-on", "normal", "--false-objects", "-1"], "--false-objects: got -1"),
        (["--fit-on", "normal", "--threshold", "1"], "not allowed with argument"),
        (["--threshold", "1", "--false-objects", "1"], "--false-objects: got given with --threshold"),
    ],
)
def test_what_cannot_be_fitted_is_refused(place, normal, monkeypatch, capsys, options, said):
    monkeypatch.chdir(place)
    write_png(place / "images" / "d.png", np.zeros((*SIZE, 3), np.uint8))
    words = ["objects", "images", "scores", "out", "--proposer", "regions", "--json", *options]
    assert code_of(words) == 2
    assert said in facts_of_last(capsys)["error"]
    assert not (place / "out").exists()


# --- stopped --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_stopped_job_goes_on_and_leaves_no_file_of_all_images(place):
    folders = [str(place / name) for name in ("images", "scores", "out")]
    options = ["--proposer", str(place / "regions"), "--threshold", "0.5", "--overlays", "--json"]
    command = [sys.executable, "-m", "csl_plugin", "objects", *folders, *options]
    assert main(command[3:]) == 0
    for number in range(150):
        make_frame(place, f"f{number:03}", number % 3, True)
        write_region_map(place / "regions" / f"f{number:03}.png", np.zeros(SIZE, np.int32))
    assert (place / "out" / "coco.json").exists()
    quiet: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    if sys.platform != "win32":  # a shell starts background jobs with Ctrl-C ignored
        quiet["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, **quiet)
    deadline = time.monotonic() + 60
    while len(list((place / "out").glob("objects/*.json"))) < 6 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    facts = json.loads(process.communicate(timeout=60)[0])
    assert facts["interrupted"] is True
    assert "objects" not in facts
    assert not (place / "out" / "coco.json").exists()
    assert main([*command[3:], "--jobs", "2"]) == 0
    assert len(read_coco(place / "out" / "coco.json")) == 153


def test_a_threshold_that_lies_in_out_is_an_input(place, normal, capsys):
    fitted = ("--fit-on", str(normal), "--false-objects", "0.5")
    assert run(place, threshold=fitted) == 0
    file = place / "out" / "threshold.json"
    stored = file.read_text()
    assert run(place, "--overwrite", threshold=("--threshold", str(file))) == 2
    assert f"which holds inputs such as {file}" in capsys.readouterr().err
    assert file.read_text() == stored


def test_files_of_all_images_that_somebody_changed_are_not_lost_in_silence(place, capsys):
    boxes = place / "out" / "boxes.csv"
    assert run(place, "--format", "csv") == 0
    written = boxes.read_text()
    boxes.write_text(written + "mine\n")
    capsys.readouterr()
    assert run(place, "--format", "csv") == 0
    assert f"{boxes} was changed since it was written; it is made again" in capsys.readouterr().err
    assert boxes.read_text() == written
    boxes.write_text(written + "mine\n")
    make_frame(place, "b", 5, False)
    for _ in range(2):
        assert run(place, "--format", "coco") == 0
        assert f"{boxes} was changed since it was written; it stays as it is" in capsys.readouterr().err
        assert boxes.read_text().endswith("mine\n")
    assert run(place, "--format", "csv", "--overwrite") == 0
    assert "mine" not in boxes.read_text()


def test_a_prefix_that_is_no_text_of_a_file_is_escaped(place):
    assert run(place, "--format", "label-studio", "--url-prefix", "caf\udce9/") == 0
    tasks = read_json(place / "out" / "label-studio.json", "tasks")
    assert tasks[0]["data"]["image"] == "caf\\udce9/a.png"


def test_sizes_of_stored_pixels_in_a_ground_truth_are_named(place, capsys):
    images = [
        {"id": n, "file_name": f"{stem}.png", "height": 90, "width": 60} for n, stem in enumerate("abc")
    ]
    (place / "truth.json").write_text(json.dumps({"images": images}))
    assert run(place, "--image-ids", str(place / "truth.json")) == 1
    assert "EXIF" in capsys.readouterr().err


def test_frames_that_lie_in_out_through_a_link_are_inputs(place, normal, capsys):
    assert run(place, "--format", "labels") == 0
    labels = files(place)
    (normal / "scores").rename(normal / "else")
    (normal / "scores").symlink_to(place / "out" / "labels")
    for frame in (normal / "images").iterdir():
        frame.unlink()
    for image in (place / "images").iterdir():
        shutil.copy(image, normal / "images")
    assert run(place, "--overwrite", threshold=("--fit-on", str(normal), "--false-objects", "0")) == 2
    assert "which holds inputs" in capsys.readouterr().err
    assert files(place) == labels

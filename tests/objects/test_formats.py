"""Every way out of `Objects`: what is written, and that it says what the objects are."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from csl_plugin import Objects, Threshold, find_objects
from csl_plugin.errors import (
    CSLError,
    DTypeError,
    FileError,
    MissingExtraError,
    OptionError,
    ScoreRangeError,
    ShapeError,
)
from csl_plugin.io import read_label_png
from csl_plugin.objects import objects_picture, polygons_of
from csl_plugin.objects.formats import (
    brush_results,
    plain,
    polygon_results,
    read_coco,
    read_objects,
    to_supervision,
    write_boxes,
    write_coco,
    write_label_map,
    write_label_studio,
    write_objects,
    write_polygons,
)
from csl_plugin.objects.formats.brush_rle import brush_rle
from tests.objects.drawn import SIZE, assert_same, drawn_objects, noise_objects


@pytest.fixture
def found():
    return {"a.jpg": drawn_objects(), 'none, "of" any ü.png': drawn_objects().take([])}


# --- plain JSON, polygons, labels, boxes --------------------------------------------------------------


def test_plain_json_comes_back(found, tmp_path):
    for name, objects in found.items():
        write_objects(tmp_path / "a.json", objects, image=name, threshold=0.25)
        assert_same(read_objects(tmp_path / "a.json"), objects)
        held = json.loads((tmp_path / "a.json").read_text())
        assert (held["image"], held["size"], held["threshold"]) == (name, [60, 90], 0.25)
        assert [each["box"] for each in held["objects"]] == objects.boxes.tolist()
        assert [each["border_share"] for each in held["objects"]] == objects.border_shares.tolist()


MASK = {"size": [2, 3], "counts": [0, 4, 2]}
PLAIN = {"format": "csl-plugin objects 1", "size": [2, 3], "objects": [{"mask": MASK, "score": 1}]}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "other"}, 'expected an object with "format"'),
        ({"size": [2]}, r"size: got a list of 1, expected \[H, W\]"),
        ({"size": [2, "3"]}, "a declared shape"),
        ({"size": [10**5, 10**5]}, "a declared shape"),
        ({"size": [3, 2]}, r"objects\[0\].mask: got size \(2, 3\), expected \(3, 2\)"),
        ({"objects": None}, "objects: got null, expected a list"),
        ({"objects": [{"mask": MASK}]}, r"objects\[0\]: got an object of 1"),
        ({"objects": [{"mask": MASK, "score": None}]}, r"objects\[0\].score: got null"),
        ({"objects": [{"mask": {**MASK, "counts": [6]}, "score": 1}]}, "a mask without a pixel"),
    ],
)
def test_damaged_plain_json_is_refused(tmp_path, changes, said):
    (tmp_path / "a.json").write_text(json.dumps(PLAIN))
    assert read_objects(tmp_path / "a.json").areas.tolist() == [4]
    (tmp_path / "a.json").write_text(json.dumps({**PLAIN, **changes}))
    with pytest.raises(FileError, match=said):
        read_objects(tmp_path / "a.json")


def test_polygons_have_every_part_and_hole(found, tmp_path):
    write_polygons(tmp_path / "a.json", found["a.jpg"], image="a.jpg")
    held = json.loads((tmp_path / "a.json").read_text())
    assert [len(each["polygons"]) for each in held["objects"]] == [1, 2, 1, 1]
    assert [len(each["polygons"][0]["holes"]) for each in held["objects"]] == [0, 0, 1, 0]
    assert held["objects"][0]["polygons"][0]["outer"] == [[40, 40], [90, 40], [90, 60], [40, 60]]
    assert [each["score"] for each in held["objects"]] == [0.9, 0.7, 0.5, 0.1]


def test_label_map(found, tmp_path):
    for objects in found.values():
        write_label_map(tmp_path / "a.png", objects)
        stored = read_label_png(tmp_path / "a.png")
        assert stored.dtype == np.uint16
        np.testing.assert_array_equal(stored, objects.label_map())


def test_more_objects_than_a_label_map_holds_are_refused(tmp_path):
    one = Objects.from_masks(np.ones((1, 1, 1), bool), np.ones(1))
    many = one.take(np.zeros(65536, int))
    with pytest.raises(FileError, match="got 65536 objects, expected at most 65535"):
        write_label_map(tmp_path / "a.png", many)
    assert not (tmp_path / "a.png").exists()
    write_label_map(tmp_path / "a.png", many.take(range(65535)))


WRITERS = {
    "boxes": write_boxes,
    "coco": write_coco,
    "label studio": lambda path, found: write_label_studio(path, found, brush_results),
    "plain": lambda path, found: write_objects(path, *found.values(), image=next(iter(found))),
    "polygons": lambda path, found: write_polygons(path, *found.values(), image=next(iter(found))),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_names_that_no_text_can_hold_are_escaped_or_refused(tmp_path, write):
    one = Objects.from_masks(np.ones((1, 2, 3), bool), np.array([0.5]))
    write(tmp_path / "a.json", {"bad\udcff.png": one})
    written = (tmp_path / "a.json").read_bytes() + b"".join(
        file.read_bytes() for file in tmp_path.glob("*-images.json")
    )
    assert b"bad\\udcff.png" in written.replace(b"\\\\", b"\\")
    (tmp_path / "a.json").unlink()
    for name in (Path("a.png"), 3, "a\0.png"):
        with pytest.raises(CSLError, match=r"the names? of (an image|images)"):
            write(tmp_path / "a.json", {name: one})
    assert not (tmp_path / "a.json").exists()
    if write in (write_boxes, write_coco):
        with pytest.raises(OptionError, match="two names that are written as"):
            write(tmp_path / "a.json", {"a\udcff": one, "a\\udcff": one})


def test_what_could_not_be_read_again_is_not_written(tmp_path, monkeypatch):
    one = Objects.from_masks(np.ones((1, 2, 3), bool), np.array([0.5]))
    with pytest.raises(FileError, match="got 300001 objects, expected at most 300000"):
        write_objects(tmp_path / "a.json", one.take(np.zeros(300_001, np.int64)))
    monkeypatch.setattr(plain, "_LARGEST", 500)
    write_objects(tmp_path / "a.json", one)
    with pytest.raises(FileError, match="got 9 objects"):
        write_objects(tmp_path / "b.json", one.take([0] * 9))
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_boxes_of_every_name_are_rows_and_none_is_a_formula(tmp_path):
    formulas = ["=1+1", '=HYPERLINK("x")', "+1", "-2", "@SUM(1)", "\t=1", "\r=1", "\n=1"]
    texts = ["a,b", 'q"q', "two\nlines", "two\rlines", "\u65e5 \u672c", " lead", ";", "a=1"]
    one = Objects.from_masks(np.ones((1, 2, 3), bool), np.array([0.5]))
    write_boxes(tmp_path / "boxes.csv", dict.fromkeys([*formulas, *texts], one))
    with (tmp_path / "boxes.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [f"./{name}" for name in formulas] + texts
    assert {(row["right"], row["score"]) for row in rows} == {("3", "0.5")}


def test_boxes(found, tmp_path):
    found["b.jpg"] = found["a.jpg"].take([1])
    write_boxes(tmp_path / "boxes.csv", {**dict(reversed(found.items()))})
    with (tmp_path / "boxes.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == ["b.jpg"] + 4 * ["a.jpg"]
    names = ("left", "top", "right", "bottom")
    assert [[int(row[name]) for name in names] for row in rows[1:]] == found["a.jpg"].boxes.tolist()
    assert [float(row["score"]) for row in rows[1:]] == found["a.jpg"].scores.tolist()
    assert [float(row["border_share"]) for row in rows[1:]] == found["a.jpg"].border_shares.tolist()


# --- Label Studio -------------------------------------------------------------------------------------


def unpacked(data):
    """The values of rle-pack, bit by bit, as its reference in JavaScript reads them."""
    bits = "".join(f"{byte:08b}" for byte in data)
    place = 0

    def read(count):
        nonlocal place
        place += count
        return int(bits[place - count : place], 2)

    count, word = read(32), read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    values = []
    while len(values) < count:
        repeated = read(1)
        length = read(sizes[read(2)]) + 1
        values += [read(word)] * length if repeated else [read(word) for _ in range(length)]
    assert len(values) == count
    assert len(bits) - place < 8
    return np.array(values, np.uint8)


@pytest.mark.parametrize("size", [(7, 9), (1, 30), (30, 1), (1, 1), (60, 90)])
def test_brush_masks_are_exact(size):
    for seed in range(3):
        objects = noise_objects(seed, size)
        for runs, mask in zip(objects.runs, objects.masks(), strict=True):
            channels = unpacked(brush_rle(runs, size)).reshape(*size, 4)
            np.testing.assert_array_equal(channels, np.where(mask, 255, 0)[..., None].repeat(4, axis=2))


def test_long_runs_take_several_blocks():
    mask = np.ones((3, 200, 333), bool)
    mask[1, 0, 0] = mask[1, 150, 7] = mask[2, 1:, :] = False
    objects = Objects.from_masks(mask, np.array([3.0, 2.0, 1.0]))
    for runs, plane in zip(objects.runs, mask, strict=True):
        values = unpacked(brush_rle(runs, objects.size)).reshape(*objects.size, 4)
        np.testing.assert_array_equal(values[..., 3] == 255, plane)


def test_tasks_that_label_studio_imports(found, tmp_path):
    for results, kind, count in ((brush_results, "brushlabels", 4), (polygon_results, "polygonlabels", 5)):
        write_label_studio(tmp_path / "tasks.json", found, results, prefix="/data/local-files/?d=")
        first, second = json.loads((tmp_path / "tasks.json").read_text())
        assert first["data"] == {"image": "/data/local-files/?d=a.jpg"}
        assert first["predictions"][0]["score"] == 0.9
        assert second["predictions"] == [
            {"model_version": first["predictions"][0]["model_version"], "result": []}
        ]
        result = first["predictions"][0]["result"]
        assert len({each["id"] for each in result}) == len(result) == count
        for each in result:
            assert (each["type"], each["from_name"], each["to_name"]) == (kind, "label", "image")
            assert (each["original_width"], each["original_height"]) == (90, 60)
            assert each["value"][kind] == ["object"]
        assert result[0]["score"] == 0.9


def test_points_of_polygons_are_percent_of_the_image():
    bar, *_, pixel = polygon_results(drawn_objects())
    width, height = np.array([90, 60]) / 100
    corners = np.array(bar["value"]["points"]) * [width, height]
    assert sorted(corners.round(4).tolist()) == [[40, 40], [40, 60], [90, 40], [90, 60]]
    assert len(pixel["value"]["points"]) == 4, "a pixel is not simplified away"


# --- supervision --------------------------------------------------------------------------------------


def test_detections_go_through_the_annotators(found):
    supervision = pytest.importorskip("supervision", reason="the extra supervision is not installed")
    image = np.full((*SIZE, 3), 90, np.uint8)
    detections = to_supervision(found["a.jpg"])
    np.testing.assert_array_equal(detections.xyxy, found["a.jpg"].boxes)
    np.testing.assert_array_equal(detections.mask, found["a.jpg"].masks())
    np.testing.assert_allclose(detections.confidence, found["a.jpg"].scores)
    np.testing.assert_array_equal(detections.area, found["a.jpg"].areas)
    assert len(detections[detections.confidence > 0.6]) == 2
    assert detections[detections.data["border_share"] == 0].xyxy.tolist() == [
        [60, 5, 70, 30],
        [10, 10, 51, 51],
    ]
    assert detections.class_id.tolist() == [0, 0, 0, 0]
    annotators = (
        supervision.BoxAnnotator(),
        supervision.MaskAnnotator(),
        supervision.PolygonAnnotator(),
        supervision.HaloAnnotator(),
        supervision.LabelAnnotator(),
    )
    for annotator in annotators:
        assert (annotator.annotate(image.copy(), detections) != image).any(), annotator
        empty = to_supervision(next(reversed(found.values())))
        np.testing.assert_array_equal(annotator.annotate(image.copy(), empty), image)
    assert len(supervision.Detections.merge([detections, empty])) == 4


def test_no_supervision_is_one_error_that_names_the_extra(found, monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'csl-plugin\[supervision\]'"):
        to_supervision(found["a.jpg"])


def test_dense_masks_beyond_the_memory_are_refused():
    pytest.importorskip("supervision", reason="the extra supervision is not installed")
    wide = Objects.from_masks(np.ones((1, 2000, 3000), bool), np.ones(1)).take(np.zeros(1000, int))
    with pytest.raises(ShapeError, match="got 1000 masks of"):
        to_supervision(wide)


# --- what cannot be written -----------------------------------------------------------------------------


@pytest.mark.parametrize("write", [write_objects, write_polygons, write_label_map])
def test_a_path_that_cannot_be_written_is_named(tmp_path, write):
    (tmp_path / "file").touch()
    with pytest.raises(CSLError, match=r"file/a\.x: got"):
        write(tmp_path / "file" / "a.x", drawn_objects())


@pytest.mark.parametrize(
    "call",
    [
        lambda found, path: to_supervision(found),
        lambda found, path: objects_picture(np.zeros((20, 30, 3), np.uint8), found),
        lambda found, path: polygons_of(found),
        lambda found, path: brush_results(found),
        lambda found, path: polygon_results(found),
        lambda found, path: write_objects(path, found),
        lambda found, path: write_polygons(path, found),
        lambda found, path: write_label_map(path, found),
        lambda found, path: write_boxes(path, {"a.png": found}),
        lambda found, path: write_coco(path, {"a.png": found}),
        lambda found, path: write_label_studio(path, {"a.png": found}, brush_results),
        lambda found, path: write_coco(path, found),
    ],
)
def test_a_list_of_all_images_is_no_image(call, tmp_path):
    found = find_objects(np.ones((20, 30)), 0.5)
    with pytest.raises(DTypeError) as caught:
        call(found, tmp_path / "out")
    assert caught.value.argument == "objects"
    assert list(tmp_path.iterdir()) == []


def test_a_threshold_of_any_kind_is_noted(tmp_path):
    found = drawn_objects()
    for threshold in (0.5, np.float32(0.5), Threshold(0.5)):
        write_objects(tmp_path / "a.json", found, threshold=threshold)
        assert json.loads((tmp_path / "a.json").read_text())["threshold"] == 0.5
        assert objects_picture(np.zeros((*SIZE, 3), np.uint8), found, threshold).size


@pytest.mark.parametrize("threshold", [float("nan"), float("inf"), "0.5", [1], torch.ones(2), True, 10**400])
def test_a_threshold_that_is_no_number_is_refused(tmp_path, threshold):
    found = drawn_objects()
    with pytest.raises(OptionError, match="threshold"):
        write_objects(tmp_path / "a.json", found, threshold=threshold)
    with pytest.raises(OptionError, match="threshold"):
        objects_picture(np.zeros((*SIZE, 3), np.uint8), found, threshold)
    assert not list(tmp_path.iterdir())


def test_scores_that_no_file_takes_back_are_refused(tmp_path):
    with pytest.raises(ScoreRangeError, match=r"1e\+290"):
        Objects.from_masks(np.ones((1, 400, 500), bool), np.array([1e305]))
    largest = Objects.from_masks(np.ones((1, 400, 500), bool), np.array([1e290]))
    assert np.isfinite(largest.image_score)
    write_objects(tmp_path / "a.json", largest)
    write_coco(tmp_path / "coco.json", {"a.png": largest})
    assert_same(read_objects(tmp_path / "a.json"), largest)
    assert_same(read_coco(tmp_path / "coco.json")["a.png"], largest)


OTHER_KINDS = {
    "images": lambda path, found, value: write_coco(path, {"a": found}, value),
    "results": lambda path, found, value: write_label_studio(path, {"a": found}, value),
    "prefix": lambda path, found, value: write_label_studio(path, {"a": found}, brush_results, prefix=value),
    "image": lambda path, found, value: write_objects(path, found, image=value),
    "image of polygons": lambda path, found, value: write_polygons(path, found, image=value),
}


@pytest.mark.parametrize("name", OTHER_KINDS)
@pytest.mark.parametrize("value", [3, [], np.ones(2), torch.ones(2)])
def test_arguments_of_another_kind_are_refused_before_anything_is_written(tmp_path, name, value):
    with pytest.raises(CSLError, match=name.partition(" ")[0]):
        OTHER_KINDS[name](tmp_path / "a.json", drawn_objects(), value)
    assert not list(tmp_path.iterdir())

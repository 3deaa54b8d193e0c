"""COCO results: as COCO's own API reads them, read back, and refused where they are damaged."""

import errno
import json
import os
import tracemalloc
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

from csl_plugin import Objects
from csl_plugin.errors import CSLError, DTypeError, FileError, OptionError
from csl_plugin.objects.formats import read_coco, read_images, read_objects, write_coco, write_objects
from csl_plugin.objects.formats.coco import images_path
from csl_plugin.objects.stored_masks import objects_of_runs
from tests.helpers.mutated_json import mutated
from tests.objects.drawn import SIZE, assert_same, drawn_objects, noise_objects


@pytest.fixture
def found():
    drawn = drawn_objects()
    return {"b.png": drawn, "none.png": drawn.take([]), "a ü.jpg": noise_objects(3), "c.jpg": drawn.take([2])}


def test_results_come_back(found, tmp_path):
    write_coco(tmp_path / "new" / "coco.json", found)
    read = read_coco(tmp_path / "new" / "coco.json")
    assert list(read) == list(found)
    for name, objects in found.items():
        assert_same(read[name], objects)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_cocos_own_api_reads_them(found, tmp_path):
    coco = pytest.importorskip("pycocotools.coco")
    write_coco(tmp_path / "coco.json", found)
    with redirect_stdout(StringIO()):
        truth = coco.COCO(str(images_path(tmp_path / "coco.json")))
        results = truth.loadRes(str(tmp_path / "coco.json"))
    assert [image["file_name"] for image in truth.imgs.values()] == list(found)
    for place, objects in enumerate(found.values(), 1):
        records = results.loadAnns(results.getAnnIds(imgIds=[place]))
        assert [record["score"] for record in records] == objects.scores.tolist()
        for record, mask, area, box in zip(
            records, objects.masks(), objects.areas, objects.boxes, strict=True
        ):
            np.testing.assert_array_equal(results.annToMask(record), mask)
            assert record["area"] == area
            assert record["category_id"] == 1
            left, top, right, bottom = box.tolist()
            assert record["bbox"].tolist() == [left, top, right - left, bottom - top]


def test_cocos_evaluation_of_results_against_themselves_is_perfect(found, tmp_path):
    coco, cocoeval = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")
    found = {name: objects.take(objects.areas > 1) for name, objects in found.items()}
    write_coco(tmp_path / "coco.json", found)
    with redirect_stdout(StringIO()):
        truth = coco.COCO(str(images_path(tmp_path / "coco.json")))
        results = truth.loadRes(str(tmp_path / "coco.json"))
        measured = cocoeval.COCOeval(results, results, "segm")
        measured.evaluate()
        measured.accumulate()
        measured.summarize()
    assert measured.stats[0] == pytest.approx(1.0)


def test_ids_and_category_of_a_ground_truth(found, tmp_path):
    images = [
        {"id": 70, "file_name": "val/none.jpg", "height": 60, "width": 90, "license": 3},
        {"id": 8, "file_name": "val/b.jpg", "height": 60, "width": 90},
        {"id": 99, "file_name": "val/other.jpg", "height": 1, "width": 1},
    ]
    truth = {"info": {}, "images": images, "categories": [{"id": 254, "name": "anomaly", "extra": 1}]}
    (tmp_path / "truth.json").write_text(json.dumps({**truth, "annotations": [{"anything": 1}]}))
    known = read_images(tmp_path / "truth.json")
    write_coco(tmp_path / "coco.json", {name: found[name] for name in ("b.png", "none.png")}, known)
    results = json.loads((tmp_path / "coco.json").read_text())
    assert {(result["image_id"], result["category_id"]) for result in results} == {(8, 254)}
    read = read_coco(tmp_path / "coco.json", tmp_path / "truth.json")
    assert {name: len(objects) for name, objects in read.items()} == {
        "val/none.jpg": 0,
        "val/b.jpg": 4,
        "val/other.jpg": 0,
    }
    assert read_images(images_path(tmp_path / "coco.json")).category == 254
    with pytest.raises(OptionError, match=r"no images named like a ü.jpg"):
        write_coco(tmp_path / "more.json", found, known)
    with pytest.raises(OptionError, match=r"size \(1, 1\) for other.jpg, expected \(60, 90\)"):
        write_coco(tmp_path / "more.json", {"other.jpg": found["b.png"]}, known)
    with pytest.raises(OptionError, match="two images named like"):
        write_coco(tmp_path / "more.json", {"b.png": found["b.png"], "b.jpg": found["b.png"]}, known)
    assert not (tmp_path / "more.json").exists()


def test_results_of_others_have_more_names_and_uncompressed_runs(tmp_path):
    write_coco(tmp_path / "coco.json", {"a.jpg": drawn_objects()})
    record = {"size": [60, 90], "counts": [0, 10, 0, 5, 5385]}
    extra = {"bbox": [0, 0, 1, 15], "category_id": "any", "id": 4}
    (tmp_path / "coco.json").write_text(
        json.dumps([{"image_id": 1, "segmentation": record, "score": 2, **extra}])
    )
    (objects,) = read_coco(tmp_path / "coco.json").values()
    assert (objects.areas.tolist(), objects.boxes.tolist()) == ([15], [[0, 0, 1, 15]])
    assert objects.runs[0].tolist() == [0, 15, 5385]


RLE = {"size": [60, 90], "counts": [0, 10, 5390]}
GOOD = {"image_id": 1, "segmentation": RLE, "score": 0.5}


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        ({}, FileError, "got an object of 0, expected a list"),
        ([3], FileError, r"\[0\]: got 3, expected an object"),
        ([GOOD, {"image_id": 1}], FileError, r"\[1\]: got no segmentation, score"),
        ([{**GOOD, "image_id": 2}], FileError, r"\[0\].image_id: got 2, expected one of 1 images"),
        ([{**GOOD, "image_id": True}], FileError, "image_id: got true"),
        ([{**GOOD, "score": "0.5"}], FileError, "score: got '0.5'"),
        ([{**GOOD, "score": 10**400}], FileError, "no strict JSON"),
        ([{**GOOD, "segmentation": [[1, 2, 3, 4, 5, 6]]}], DTypeError, "segmentation: got a list"),
        ([{**GOOD, "segmentation": {**RLE, "counts": [5400]}}], FileError, "a mask without a pixel"),
        ([{**GOOD, "segmentation": {**RLE, "counts": [0, 10]}}], FileError, "counts of 10 pixels"),
        ([{**GOOD, "segmentation": {"size": [90, 60], "counts": [0, 5400]}}], FileError, "expected .60, 90"),
        ([{**GOOD, "segmentation": {"size": [10**6, 10**6], "counts": "0"}}], FileError, "1 to 100000000"),
        ([{**GOOD, "segmentation": {**RLE, "counts": "oooo"}}], FileError, "truncated"),
    ],
)
def test_damaged_results_are_refused(tmp_path, value, error, said):
    write_coco(tmp_path / "coco.json", {"a.jpg": drawn_objects()})
    (tmp_path / "coco.json").write_text(json.dumps(value))
    with pytest.raises(error, match=said) as caught:
        read_coco(tmp_path / "coco.json")
    assert "coco.json" in str(caught.value)


IMAGE = {"id": 1, "file_name": "a.jpg", "height": 60, "width": 90}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "expected an object with images"),
        ({"images": 3}, "images: got 3"),
        ({"images": [{"id": 1}]}, r"images\[0\]: got no file_name, height, width"),
        ({"images": [{**IMAGE, "id": "one"}]}, r"images\[0\].id: got 'one'"),
        ({"images": [{**IMAGE, "width": 0}]}, "width: got 0"),
        ({"images": [{**IMAGE, "height": 10**8}]}, "at most 100000000 pixels"),
        ({"images": [IMAGE, IMAGE]}, "the id 1 2 times"),
        ({"images": [IMAGE, {**IMAGE, "id": 2}]}, "the file_name 'a.jpg' 2 times"),
        ({"images": [IMAGE], "categories": [{"id": -1}]}, r"categories\[0\].id: got -1"),
    ],
)
def test_damaged_images_are_refused(tmp_path, value, said):
    (tmp_path / "images.json").write_text(json.dumps(value))
    with pytest.raises(FileError, match=said):
        read_images(tmp_path / "images.json")


def test_what_would_take_too_much_memory_is_refused_before_it_is_parsed(tmp_path):
    write_coco(tmp_path / "coco.json", {"a.jpg": drawn_objects()})
    (tmp_path / "coco.json").write_text("[" + "{}," * 2_500_000 + "{}]")
    with pytest.raises(FileError, match=r"lists and objects, .* expected fewer"):
        read_coco(tmp_path / "coco.json")
    (tmp_path / "coco.json").unlink()
    with pytest.raises(CSLError, match=r"coco\.json: got No such file"):
        read_coco(tmp_path / "coco.json")
    images_path(tmp_path / "coco.json").unlink()
    with pytest.raises(CSLError, match=r"coco-images\.json"):
        read_coco(tmp_path / "coco.json")


def test_no_path_goes_through_dense_masks(found, tmp_path, monkeypatch):
    monkeypatch.setattr("csl_plugin.objects.instances.Objects.masks", None)
    monkeypatch.setattr("csl_plugin.objects.instances.mask_of_runs", None)
    write_coco(tmp_path / "coco.json", found)
    assert sum(map(len, read_coco(tmp_path / "coco.json").values())) == sum(map(len, found.values()))
    assert found["b.png"].size == SIZE


@pytest.mark.parametrize("name", ["coco", "images", "plain"])
def test_a_mutated_file_is_read_or_refused(tmp_path, name):
    found = {"a.jpg": drawn_objects(), "b.jpg": drawn_objects().take([2])}
    coco, plain = tmp_path / "coco.json", tmp_path / "plain.json"
    write_coco(coco, found)
    write_objects(plain, found["a.jpg"], image="a.jpg", threshold=0.5)
    path, read = {
        "coco": (coco, lambda: read_coco(coco)),
        "images": (images_path(coco), lambda: read_coco(coco)),
        "plain": (plain, lambda: {"a.jpg": read_objects(plain)}),
    }[name]
    values, errors = [], []
    for data in mutated(json.loads(path.read_text()), 300, seed=len(name)):
        path.write_bytes(data)
        try:
            values.append(read())
        except CSLError as error:
            errors.append(error)
    assert min(len(values), len(errors)) > 5
    assert all(tmp_path.name in error.argument and len(str(error)) < 2000 for error in errors)
    for objects in (each for value in values for each in value.values()):
        assert (objects.areas > 0).all()
        assert np.isfinite(objects.scores).all()
        assert [int(runs.sum()) for runs in objects.runs] == len(objects) * [np.prod(objects.size)]


def test_results_are_never_left_beside_the_images_of_others(tmp_path, monkeypatch):
    one, other = drawn_objects(), noise_objects(3)
    path = tmp_path / "coco.json"
    write_coco(path, {"a.png": one})
    whole = Path.write_text

    def full(self, data, **options):
        if len(data) > 500:  # the disk has room for the names of the images, not for the results
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole(self, data, **options)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(FileError, match="No space left"):
        write_coco(path, {"b.png": other})
    assert list(read_coco(path)) == ["a.png"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["coco-images.json", "coco.json"]


def test_sorting_takes_no_memory_of_the_size_of_all_runs():
    runs = [np.ones(100_000, np.int64) for _ in range(40)]
    tracemalloc.start()
    found = objects_of_runs((100, 1000), runs, [0.5] * len(runs))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == len(runs)
    assert peak < sum(each.nbytes for each in runs) / 2


def test_equal_scores_are_ordered_by_their_runs():
    masks = np.zeros((4, 3, 4), bool)
    masks[:, 0, 0] = True
    masks[0, 2, 3], masks[1, 1, 0], masks[2, 2, 0] = True, True, True
    found = Objects.from_masks(masks, np.ones(4))
    runs = [counts.tolist() for counts in found.runs]
    assert runs == sorted(runs)

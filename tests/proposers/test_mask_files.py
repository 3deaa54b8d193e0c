"""Files of masks: ids and sizes are taken as they are or refused, never wrapped or scaled."""

import json

import numpy as np
import pytest

from csl_plugin.errors import FileError, ScoreRangeError, ShapeError
from csl_plugin.io import encode_rle
from csl_plugin.proposers import regions_from_masks
from csl_plugin.proposers.mask_files import read_regions

RANDOM = np.random.default_rng(9)


@pytest.mark.parametrize("key", ["mask_id", "labels"])
@pytest.mark.parametrize("large", [2**32 + 5, 2**31, 2**63 + 5, -(2**32) + 5, 2**31 - 1])
def test_ids_that_do_not_fit_are_refused(tmp_path, key, large):
    dtype = np.uint64 if large >= 2**63 else np.int64
    np.savez(
        tmp_path / "a.npz", **{key: np.array([[5, 5], [large % 2**64 if large > 0 else large, 0]], dtype)}
    )
    with pytest.raises(ScoreRangeError, match=r"got ids from -?\d+ to \d+, expected ids from -1 to 2147"):
        read_regions(tmp_path / "a.npz")


def test_the_largest_id_is_read(tmp_path):
    ids = np.array([[-1, 2**31 - 2]])
    np.savez(tmp_path / "a.npz", mask_id=ids)
    np.testing.assert_array_equal(read_regions(tmp_path / "a.npz"), ids)


def test_painting_by_columns_and_by_rows_in_turn():
    stack = RANDOM.random((9, 13, 17)) < 0.3
    scores = RANDOM.permutation(9) / 10
    expected = np.full((13, 17), -1)
    for index in np.argsort(scores):
        expected[stack[index]] = index
    records = [
        {"segmentation": encode_rle(mask) if index % 2 else mask, "predicted_iou": score}
        for index, (mask, score) in enumerate(zip(stack, scores, strict=True))
    ]
    np.testing.assert_array_equal(regions_from_masks(records).labels[0], expected)
    lengths = [
        {**record, "segmentation": encode_rle(mask)} for record, mask in zip(records, stack, strict=True)
    ]
    np.testing.assert_array_equal(regions_from_masks(lengths).labels[0], expected)


SMALL = {"segmentation": {"size": [2, 2], "counts": [4]}}
LARGE = {"segmentation": {"size": [9000, 9000], "counts": [0, 81 * 10**6]}}
BEYOND = {"segmentation": {"size": [10**5, 10**5], "counts": [10**10]}}


def of_image(height, width, *records):
    return {"image": {"height": height, "width": width}, "annotations": list(records)}


REFUSED = {
    "masks of another size": (of_image(4, 4, SMALL), ShapeError),
    "an image beyond the limit": (of_image(99_999, 9_999), FileError),
    "an image of no size": (of_image(0, 4), ShapeError),
    "an image of a text": (of_image("4", 4), ShapeError),
    "a mask beyond the limit": ([BEYOND], FileError),
    "many large masks": ([LARGE] * 30, FileError),
    "lists for ever": ([[]] * 2_400_000, FileError),
    "nothing but depth": (None, FileError),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_files(tmp_path, kind):
    values, error = REFUSED[kind]
    text = "[" * 200_000 if values is None else json.dumps(values)
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(error):
        read_regions(tmp_path / "a.json")


def test_bytes_of_booleans_other_than_0_and_1_are_inside(tmp_path):
    inside = np.array([[[0, 2, 128], [0, 255, 0]]], np.uint8)
    np.savez(tmp_path / "a.npz", masks=inside.view(np.bool_))
    assert read_regions(tmp_path / "a.npz").tolist() == [[-1, 0, 0], [-1, 0, -1]]

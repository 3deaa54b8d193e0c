"""COCO's run lengths: written, read back, and beside pycocotools."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

from csl_plugin.io import encode_rle, read_run_lengths

masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40))


def decoded(record):
    size, lengths = read_run_lengths(record)
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(size, order="F")


@given(masks)
def test_rle_there_and_back(mask):
    encoded = encode_rle(mask)
    assert encoded["size"] == list(mask.shape)
    assert encoded["counts"].isascii()
    assert (decoded(encoded) == mask).all()


@given(masks)
def test_rle_against_pycocotools(mask):
    pytest.importorskip("pycocotools")
    from pycocotools import mask as coco

    theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert encode_rle(mask)["counts"] == theirs["counts"].decode()


def test_rle_of_long_runs():
    mask = np.zeros((1024, 2048), bool)
    mask[100:900, 3:2000:7] = True
    assert (decoded(encode_rle(mask)) == mask).all()


def test_rle_goes_down_the_columns():
    # Runs 1 zero, 2 ones, 1 zero of a 2 x 2 mask whose right column begins with a one.
    assert encode_rle(np.array([[0, 1], [1, 0]]))["counts"] == "121"

"""What is done alike with tensors and numpy arrays."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from csl_plugin import RegionMap
from csl_plugin.arrays import as_array, resize_nearest
from csl_plugin.errors import DTypeError


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.uint16, np.int32, np.int64, np.float32])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (7, 9), (20, 31), (8, 2)])
def test_every_new_pixel_takes_the_value_at_its_center(size, dtype):
    values = (np.random.default_rng(0).random((7, 9)) * 200).astype(dtype)
    centers = [(np.arange(new) + 0.5) * old / new for new, old in zip(size, values.shape, strict=True)]
    expected = values[np.ix_(*(np.floor(axis).astype(int) for axis in centers))]
    resized = resize_nearest(values, size)
    assert resized.dtype == dtype
    assert np.array_equal(resized, expected)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (6, 8), (20, 31)])
def test_tensors_arrays_and_region_maps_are_resized_alike(size):
    labels = np.random.default_rng(1).integers(-1, 9, (2, 6, 8)).astype(np.int32)
    expected = resize_nearest(labels, size)
    assert np.array_equal(resize_nearest(torch.from_numpy(labels), size).numpy(), expected)
    assert np.array_equal(RegionMap(labels).resize(size).labels.numpy(), expected)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_elements_that_numpy_does_not_have_are_named(dtype):
    with pytest.raises(DTypeError, match=r"value\.float"):
        as_array("scores", torch.zeros(2, 3).to(dtype))

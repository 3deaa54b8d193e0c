"""Mask split: from class masks to class-agnostic training regions."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from numpy.typing import NDArray

from csl_plugin import ops
from csl_plugin.arrays import Array, as_tensor, describe
from csl_plugin.errors import DTypeError, OptionError, ShapeError

MIN_AREA = 24
"""Pixels of the smallest region in a training crop: 1.5 cells of the finest feature map (stride 4)."""


def mask_split(
    labels: Array, *, ignore: Collection[int] = (), min_area: int = MIN_AREA, connectivity: int = 8
) -> NDArray[np.int32]:
    """Split every label into its connected components, each a region without a class.

    Apply it after scaling and cropping, so that regions are connected in the crop. The masks themselves are
    not kept beside their components (as with `keep_original` off in the authors' code).

    Args:
        labels: (H, W) integers. Negative values belong to no region.
        ignore: Values that belong to no region: void, unseen classes.
        min_area: Components of fewer pixels become -1 and are ignored by every loss.
        connectivity: 8, where pixels that share a corner are connected, or 4, where they are not.

    Returns:
        (H, W) int32: 0 .. K-1, in the order of the components' first pixels, -1 elsewhere. K may be 0.

    Raises:
        DTypeError: The labels are not integers.
        ShapeError: The labels are not (H, W), or empty.
        OptionError: `min_area` is negative, or `connectivity` neither 4 nor 8.

    Example:
        >>> import numpy as np
        >>> mask_split(np.array([[5, 5, 7, 5, 5], [5, 5, 7, 5, 5]]), min_area=3)
        array([[ 0,  0, -1,  1,  1],
               [ 0,  0, -1,  1,  1]], dtype=int32)

    Source:
        Paper, "Mask Split". The authors' code drops components under 100 pixels of crops 512 pixels high.
    """
    if connectivity not in (4, 8):
        hint = "Use 8 unless pixels that share a corner must not connect."
        raise OptionError("connectivity", repr(connectivity), "4 or 8", hint)
    compact = _compact(labels, ignore)
    parts, count = ops.components(torch.from_numpy(compact)[None], connectivity)
    return _without_small(parts[0].numpy(), count, min_area)


def class_regions(
    labels: Array, *, ignore: Collection[int] = (), min_area: int = MIN_AREA
) -> NDArray[np.int32]:
    """Make one region of every label, connected or not: training without mask split, for comparison.

    Args:
        labels: (H, W) integers. Negative values belong to no region.
        ignore: Values that belong to no region.
        min_area: Labels of fewer pixels become -1.

    Returns:
        (H, W) int32: 0 .. K-1, in the order of the labels' values, -1 elsewhere.

    Raises:
        DTypeError: The labels are not integers.
        ShapeError: The labels are not (H, W), or empty.
        OptionError: `min_area` is negative.

    Example:
        >>> import numpy as np
        >>> class_regions(np.array([[5, 5, 7, 5, 5], [5, 5, 7, 5, 5]]), min_area=2)
        array([[0, 0, 1, 0, 0],
               [0, 0, 1, 0, 0]], dtype=int32)
    """
    compact = _compact(labels, ignore)
    return _without_small(compact, int(compact.max()) + 1, min_area)


def _compact(labels: Array, ignore: Collection[int]) -> NDArray[np.int32]:
    """Labels renumbered from 0 in the order of their values; -1 for those that belong to no region."""
    array = as_tensor("labels", labels).cpu().numpy()
    if array.dtype.kind not in "iu":
        hint = "Convert them with .astype('int32')."
        raise DTypeError("labels", describe(labels), "integers", hint)
    if array.ndim != 2 or 0 in array.shape:
        hint = "Pass one image's labels, without batch or channel axis."
        raise ShapeError("labels", f"shape {array.shape}", "(H, W), not empty", hint)
    low, high = int(array.min()), int(array.max())
    if low >= -1 and high < 65536:  # a lookup table is faster than sorting the pixels
        present = np.bincount((array.astype(np.int32, copy=False) + np.int32(1)).ravel()) > 0
        values, place = np.flatnonzero(present) - 1, None
    else:
        values, place = np.unique(array, return_inverse=True)
    counted = (values >= 0) & ~np.isin(values, list(ignore))
    numbers = np.where(counted, np.cumsum(counted) - 1, -1).astype(np.int32)
    if place is not None:
        return np.asarray(numbers[place.reshape(array.shape)])
    table = np.full(high + 2, -1, np.int32)
    table[values + 1] = numbers
    return np.asarray(table.take(array.astype(np.int32, copy=False) + np.int32(1)))


def _without_small(regions: NDArray[np.int32], count: int, min_area: int) -> NDArray[np.int32]:
    """Regions renumbered without those of fewer than `min_area` pixels."""
    if min_area < 0:
        raise OptionError("min_area", repr(min_area), "0 or more pixels", "Use 0 to keep every region.")
    shifted = regions + np.int32(1)
    areas = np.bincount(shifted.ravel(), minlength=count + 1)
    kept = areas >= max(min_area, 1)
    kept[0] = False
    numbers = np.where(kept, np.cumsum(kept) - 1, -1).astype(np.int32)
    return np.asarray(numbers.take(shifted))

"""Connected components of a prediction and of a label map, and their overlaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from csl_plugin._opencv import opencv

_TABLE = 1 << 22  # largest table of pairs that is counted densely


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Components of frames.

    Attributes:
        siou: (G,) float64, the adjusted IoU of each labeled component.
        truth_sizes: (G,) int64, its pixels.
        ppv: (K,) float64, the share of each predicted component that is labeled as anomaly.
        predicted_sizes: (K,) int64, its pixels, without void ones.
    """

    siou: NDArray[np.float64]
    truth_sizes: NDArray[np.int64]
    ppv: NDArray[np.float64]
    predicted_sizes: NDArray[np.int64]

    @classmethod
    def joined(cls, parts: Sequence[Overlaps]) -> Overlaps:
        """All components of several frames."""
        floats, counts = np.empty(0), np.empty(0, np.int64)
        return cls(
            np.concatenate([floats, *(part.siou for part in parts)]),
            np.concatenate([counts, *(part.truth_sizes for part in parts)]),
            np.concatenate([floats, *(part.ppv for part in parts)]),
            np.concatenate([counts, *(part.predicted_sizes for part in parts)]),
        )


@dataclass(frozen=True, eq=False)
class Components:
    """Components of one frame, of which some count.

    Attributes:
        ids: (H, W) integers, the component of each pixel; 0 for none.
        sizes: (K + 1,) int64, the pixels of those that count; 0 is none, and has size 0.
        numbers: Each id's index in `sizes`, 0 for those that do not count.
    """

    ids: NDArray[np.int32]
    sizes: NDArray[np.int64]
    numbers: NDArray[np.intp]

    @classmethod
    def of_ids(cls, ids: NDArray[np.int32], count: int, least: int) -> Components:
        """Those of at least so many pixels; the ids are below `count`."""
        sizes = np.bincount(ids[ids > 0], minlength=count)
        keep = sizes >= max(least, 1)
        return cls(ids, np.concatenate([[0], sizes[keep]]), np.where(keep, np.cumsum(keep), 0))

    @classmethod
    def of_mask(cls, mask: NDArray[np.bool_], least: int) -> Components:
        """The 8-connected ones of at least so many pixels."""
        cv2 = opencv()
        pixels = np.ascontiguousarray(mask).view(np.uint8)
        count, found = cv2.connectedComponents(pixels, connectivity=8, ltype=cv2.CV_32S)
        return cls.of_ids(np.asarray(found, np.int32), count, least)


def find_overlaps(predicted: Components, truth: NDArray[np.bool_], min_truth: int) -> Overlaps:
    """The overlaps of predicted components with those of a label map.

    Args:
        predicted: The predicted components, without void pixels; smaller ones than their minimum are deleted.
        truth: (H, W), the pixels labeled as anomaly.
        min_truth: Smaller labeled components become void. Predicted components lose these pixels, and may
            become smaller than their own minimum.

    Returns:
        All components, in no particular order.

    Note:
        For a labeled component k and the union U of the predicted components that overlap it, sIoU is
        |k and U| / (|k or U| - |U in other labeled components|).
    """
    box = _bounding_box(truth)  # components overlap only there; it is a small part of most frames
    labeled = Components.of_mask(truth[box], min_truth)
    sizes, truth_sizes = predicted.sizes, labeled.sizes
    on_predicted = predicted.numbers[predicted.ids[box][truth[box]]]
    on_truth = labeled.numbers[labeled.ids[truth[box]]]
    lost = np.bincount(on_predicted[on_truth == 0], minlength=sizes.size)
    rows, columns, common = _count_pairs(on_predicted, on_truth, sizes.size, truth_sizes.size)
    left = sizes - lost
    left[0] = 0
    covered = _sum(columns, common, truth_sizes.size)
    on_any = _sum(rows, common, sizes.size)
    reached = _sum(columns, left[rows], truth_sizes.size)
    elsewhere = _sum(columns, on_any[rows], truth_sizes.size) - covered
    united = truth_sizes + reached - covered - elsewhere
    real = left > 0
    return Overlaps(covered[1:] / united[1:], truth_sizes[1:], on_any[real] / left[real], left[real])


def _bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The bounding box of the mask; one pixel if the mask is empty."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return slice(0, 1), slice(0, 1)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _count_pairs(
    rows: NDArray[np.intp], columns: NDArray[np.intp], num_rows: int, num_columns: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The distinct pairs without a 0, and how often each occurs."""
    both = (rows > 0) & (columns > 0)
    joint = rows[both] * num_columns + columns[both]
    if num_rows * num_columns <= _TABLE:
        table = np.bincount(joint, minlength=1)
        pairs = np.flatnonzero(table)
        counts = table[pairs]
    else:
        pairs, counts = np.unique(joint, return_counts=True)
    return pairs // num_columns, pairs % num_columns, counts


def _sum(ids: NDArray[np.int64], values: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    total = np.zeros(size, np.int64)
    np.add.at(total, ids, values)
    return total

"""Connected components of a map of many regions by other programs: 8-connected, ids from 1 on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.int32]
_EIGHT = np.ones((3, 3), bool)


def scipy_per_region(labels: Map) -> Map:
    """scipy.ndimage.label on the mask of each region."""
    from scipy import ndimage

    found, count = np.zeros_like(labels), 0
    for region in np.unique(labels):
        mask = labels == region
        parts, number = ndimage.label(mask, _EIGHT)
        found[mask] = parts[mask] + count
        count += number
    return found


def scipy_per_box(labels: Map) -> Map:
    """The same within each region's bounding box."""
    from scipy import ndimage

    return _per_box(labels, lambda mask: ndimage.label(mask, _EIGHT))


def opencv_per_box(labels: Map) -> Map:
    """cv2.connectedComponents within each region's bounding box."""
    import cv2

    def label(mask: NDArray[np.bool_]) -> tuple[Any, int]:
        number, parts = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)
        return parts, number - 1

    return _per_box(labels, label)


def skimage_label(labels: Map) -> Map:
    """skimage.measure.label on the whole map."""
    from skimage.measure import label

    return np.asarray(label(labels + 1, background=0, connectivity=2))


def cc3d_label(labels: Map) -> Map:
    """cc3d.connected_components on the whole map."""
    import cc3d

    return np.asarray(cc3d.connected_components(labels + 1, connectivity=8))


def same_partition(first: NDArray[Any], second: NDArray[Any]) -> bool:
    """Whether two maps of non-negative ids differ by a renumbering only."""
    pairs = first.reshape(-1).astype(np.int64) * (int(second.max()) + 1) + second.reshape(-1)
    return len(np.unique(pairs)) == len(np.unique(first)) == len(np.unique(second))


def _per_box(labels: Map, label: Any) -> Map:
    from scipy import ndimage

    found, count = np.zeros_like(labels), 0
    for region, box in enumerate(ndimage.find_objects(labels + 1)):
        if box is None:
            continue
        mask = labels[box] == region
        parts, number = label(mask)
        np.copyto(found[box], parts + count, where=mask)
        count += number
    return found

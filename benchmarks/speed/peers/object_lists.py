"""The objects of a map by other programs: box, area, mean score and mask of each."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from csl_plugin.objects import Objects


class Found(NamedTuple):
    """One object: its box (left, top, right, bottom), its area and the mean of the map in it."""

    box: tuple[int, int, int, int]
    area: int
    score: float


def opencv(fused: NDArray[Any], level: float, least: int) -> list[Found]:
    """OpenCV's components, and a dense mask for each, as people write it."""
    number, labels, boxes, _ = cv2.connectedComponentsWithStats((fused >= level).astype(np.uint8))
    found = []
    for place in range(1, number):
        left, top, width, height, area = boxes[place].tolist()
        if area >= least:
            mask = labels == place
            found.append(Found((left, top, left + width, top + height), area, float(fused[mask].mean())))
    return found


def skimage(fused: NDArray[Any], level: float, least: int) -> list[Found]:
    """scikit-image's components and their properties."""
    from skimage.measure import label, regionprops

    found = []
    for region in regionprops(label(fused >= level, connectivity=2), fused):
        if region.area >= least:
            top, left, bottom, right = region.bbox
            found.append(Found((left, top, right, bottom), int(region.area), float(region.intensity_mean)))
            assert region.image.any()  # noqa: S101 - the mask is part of the work
    return found


def of_objects(objects: Objects) -> list[Found]:
    """Ours in the same form."""
    rows = zip(objects.boxes.tolist(), objects.areas.tolist(), objects.scores.tolist(), strict=True)
    return [Found((box[0], box[1], box[2], box[3]), area, score) for box, area, score in rows]


def equal(some: list[Found], others: list[Found]) -> bool:
    """Whether both have the same objects, in any order."""
    pairs = list(zip(sorted(some), sorted(others), strict=False))
    same = all(one.box == two.box and one.area == two.area for one, two in pairs)
    return len(some) == len(others) and same and all(np.isclose(one.score, two.score) for one, two in pairs)

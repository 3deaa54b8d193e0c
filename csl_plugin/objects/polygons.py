"""The outlines of masks along the sides of their pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from csl_plugin._opencv import opencv
from csl_plugin.objects.instances import Objects, check_objects
from csl_plugin.objects.stored_masks import crop_of_runs

_RIGHT = 0


@dataclass(frozen=True, eq=False)
class Polygon:
    """One part of an object, in which every pixel touches another by a side or a corner, and its holes.

    Points are corners of pixels: the pixel in column x and row y reaches from (x, y) to (x + 1, y + 1). So
    the area inside is the number of pixels, and what is drawn from it is the mask again. (Contours of OpenCV
    go through the centers of the pixels instead; they are half a pixel smaller on each side.)

    Attributes:
        outer: (K, 2) int64, x and y of the corners, clockwise as the image is seen; not closed.
        holes: The same of each hole, counterclockwise.
    """

    outer: NDArray[np.int64]
    holes: tuple[NDArray[np.int64], ...] = ()


def polygons_of(objects: Objects) -> list[list[Polygon]]:
    """The polygons of each object, by the first pixel of their parts, row by row.

    Example:
        >>> found = Objects.from_masks(np.array([[[0, 1, 1], [0, 1, 0]]], bool), np.array([0.9]))
        >>> polygons_of(found)[0][0].outer.tolist()
        [[1, 0], [3, 0], [3, 1], [2, 1], [2, 2], [1, 2]]
    """
    check_objects(objects)
    return [polygons_of_crop(*crop_of_runs(runs, objects.size)) for runs in objects.runs]


def polygons_of_crop(crop: NDArray[np.bool_], top: int = 0, left: int = 0) -> list[Polygon]:
    """The polygons of a mask.

    Args:
        crop: (h, w), all of the mask.
        top: The first row of the crop.
        left: Its first column.
    """
    _, parts = opencv().connectedComponents(crop.view(np.uint8), connectivity=8)
    outer: dict[int, NDArray[np.int64]] = {}
    holes: dict[int, list[NDArray[np.int64]]] = {}
    for loop in _loops(crop):
        x, y = loop[0]
        part = int(parts[y, x])  # loops begin at the upper left corner of a pixel of the mask
        placed = loop + np.array([left, top])
        if part in outer:
            holes.setdefault(part, []).append(placed)
        else:
            outer[part] = placed
    return [Polygon(points, tuple(holes.get(part, ()))) for part, points in outer.items()]


def _loops(crop: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """The corners of every closed outline, the mask at its right hand.

    An outline begins with the first side of a pixel, row by row, that it follows to the right; so that of a
    part comes before those of its holes.
    """
    padded = np.pad(crop, 1)
    above_left, above = padded[:-1, :-1], padded[:-1, 1:]
    below_left, below = padded[1:, :-1], padded[1:, 1:]
    leaves = np.stack(
        [below & ~above, below_left & ~below, above_left & ~below_left, above & ~above_left]
    )  # from each corner of a pixel to the right, down, left and up
    width = leaves.shape[2]
    flat = leaves.reshape(4, -1)
    heading, start = np.nonzero(flat)
    end = start + np.array([1, width, -1, -width])[heading]
    # At a corner where two pixels of the mask touch, the left turn leads from one to the other.
    turns = np.stack([(heading - 1) % 4, heading, (heading + 1) % 4])
    taken = np.where(flat[turns[0], end], turns[0], np.where(flat[turns[1], end], turns[1], turns[2]))
    places = heading * flat.shape[1] + start  # rising
    following = np.searchsorted(places, taken * flat.shape[1] + end)
    turning = (taken != heading).tolist()
    after, corners = following.tolist(), end.tolist()
    seen = bytearray(len(after))
    loops = []
    for first in range(int((heading == _RIGHT).sum())):
        if seen[first]:
            continue
        loop, side = [int(start[first])], first
        while not seen[side]:
            seen[side] = 1
            if turning[side]:
                loop.append(corners[side])
            side = after[side]
        points = np.array(loop[:-1], np.int64)  # the last turn is at the first corner
        loops.append(np.stack([points % width, points // width], axis=1))
    return loops

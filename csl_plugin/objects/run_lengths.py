"""Masks as run lengths down the columns, as COCO counts them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from csl_plugin.errors import ShapeError

RunLengths: TypeAlias = "NDArray[np.int64]"
"""Lengths of the runs of a mask, alternately outside and inside, down the columns; the first is outside."""


def runs_of_crop(crop: NDArray[np.bool_], top: int, left: int, size: tuple[int, int]) -> RunLengths:
    """The runs of a mask of which only a crop is not empty.

    Args:
        crop: (h, w), with at least one pixel set.
        top: The first row of the crop.
        left: Its first column.
        size: (H, W) of the whole mask.

    Returns:
        Counts whose sum is H x W.

    Raises:
        ShapeError: No pixel is set.
    """
    height, width = size
    columns = np.zeros((crop.shape[1], crop.shape[0] + 2), np.int8)
    columns[:, 1:-1] = crop.T
    column, turn = np.nonzero(np.diff(columns, axis=1))
    if not turn.size:
        raise ShapeError("mask", "no pixel", "at least one pixel", "Leave out objects that are empty.")
    turns = (column + left) * height + turn + top
    if crop.shape[0] == height:  # a run that reaches the last row goes on in the next column
        ends = np.flatnonzero(turns[1::2][:-1] == turns[2::2])
        turns = np.delete(turns, np.concatenate([2 * ends + 1, 2 * ends + 2]))
    return np.diff(turns, prepend=0, append=height * width).astype(np.int64)[: _count(turns, height * width)]


def mask_of_runs(runs: RunLengths, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask (H, W) of its runs."""
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape(size[::-1]).T


def box_of_runs(runs: RunLengths, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box (left, top, right, bottom) around a mask; right and bottom are beyond its last pixel."""
    height = size[0]
    ends = np.cumsum(runs)
    first, last = ends[0::2][: len(ends) // 2], ends[1::2] - 1
    columns = first // height, last // height
    whole = (columns[0] != columns[1]).any()  # a run over two columns holds the last row and the first
    top, bottom = (0, height) if whole else (int((first % height).min()), int((last % height).max()) + 1)
    return int(columns[0][0]), top, int(columns[1][-1]) + 1, bottom


def _count(turns: NDArray[Any], pixels: int) -> int:
    """How many counts there are: none for what is after the last pixel."""
    return len(turns) + int(turns[-1] < pixels)

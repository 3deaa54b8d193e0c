"""Region maps as horizontal runs: a map of millions of pixels has some ten thousand of them.

Components, means and fusion all work on runs; ids are painted only where a caller needs the map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = "NDArray[np.integer[Any]]"


@dataclass(frozen=True)
class Runs:
    """The maximal horizontal stretches of equal ids of one map, in raster order.

    Attributes:
        starts: Flat position of each run's first pixel, (R,) rising.
        lengths: Pixels of each run, (R,).
        ids: Region of each run, (R,); negative for unassigned.
        shape: (H, W) of the map.
    """

    starts: Ints
    lengths: Ints
    ids: Ints
    shape: tuple[int, int]

    def paint(self) -> Ints:
        """The region map, (H, W) int32."""
        return np.repeat(self.ids.astype(np.int32), self.lengths).reshape(self.shape)


def find_runs(ids: Ints) -> Runs:
    """The runs of one (H, W) map."""
    begins = np.ones(ids.shape, dtype=bool)
    np.not_equal(ids[:, 1:], ids[:, :-1], out=begins[:, 1:])
    starts = np.flatnonzero(begins)
    shape = (ids.shape[0], ids.shape[1])
    return Runs(starts, np.diff(starts, append=ids.size), ids.reshape(-1)[starts], shape)


def components(runs: Runs, connectivity: int) -> tuple[Runs, int]:
    """The same runs, numbered by connected component, and how many components there are.

    Components are numbered from 0 by their first pixel in raster order; unassigned runs become -1.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    above, below = _touching(runs, 1 if connectivity == 8 else 0)
    same = runs.ids[above] == runs.ids[below]
    links = (np.ones(int(same.sum()), np.int8), (above[same], below[same]))
    found, groups = connected_components(coo_array(links, (len(runs.ids),) * 2), directed=False)
    first = np.empty(found, np.int64)
    first[groups[::-1]] = np.arange(len(groups))[::-1]  # of equal places the last one written stays
    assigned = np.flatnonzero(runs.ids[first] >= 0)
    numbers = np.full(found, -1, np.int32)
    numbers[assigned[np.argsort(first[assigned])]] = np.arange(len(assigned), dtype=np.int32)
    return replace(runs, ids=numbers[groups]), len(assigned)


def compacted(runs: Runs) -> tuple[Runs, int]:
    """The same runs with ids 0, 1, 2, ... in their old order, and how many there are; for sparse ids."""
    assigned = runs.ids >= 0
    known, inverse = np.unique(runs.ids[assigned], return_inverse=True)
    ids = np.full(len(runs.ids), -1, np.int32)
    ids[assigned] = inverse
    return replace(runs, ids=ids), len(known)


def overlay(maps: Sequence[Runs]) -> tuple[Runs, Ints]:
    """The runs that no region of any map divides, numbered from 0 on, and their ids in each map, (K, R)."""
    height, width = maps[0].shape
    begins = np.zeros(height * width, dtype=bool)
    for image in maps:
        begins[image.starts] = True
    starts = np.flatnonzero(begins)
    members = np.stack([image.ids[np.searchsorted(image.starts, starts, side="right") - 1] for image in maps])
    lengths = np.diff(starts, append=height * width)
    return Runs(starts, lengths, np.arange(len(starts), dtype=np.int32), (height, width)), members


def without(runs: Runs, unassigned: NDArray[np.bool_]) -> Runs:
    """The same runs, some of them unassigned."""
    return replace(runs, ids=np.where(unassigned, -1, runs.ids))


def _touching(runs: Runs, reach: int) -> tuple[Ints, Ints]:
    """All pairs of runs (above, below) in neighboring rows that touch; reach 1 counts diagonal contact."""
    starts, width = runs.starts, runs.shape[1]
    below = np.arange(np.searchsorted(starts, width), len(starts))
    row = starts[below] // width * width
    left = np.maximum(starts[below] - reach, row) - width
    right = np.minimum(starts[below] + runs.lengths[below] - 1 + reach, row + width - 1) - width
    # The runs that cover left ... right form one contiguous range, for runs tile the rows.
    lowest = np.searchsorted(starts, left, side="right") - 1
    highest = np.searchsorted(starts, right, side="right") - 1
    counts = highest - lowest + 1
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(lowest, counts) + offsets, np.repeat(below, counts)

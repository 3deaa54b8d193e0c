"""Which regions of neighboring tiles are one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.ops.cpu.runs import Ints, components, find_runs
from csl_plugin.tiles.layout import Tile, Tiling

Place = tuple[int, int]
Pairs = NDArray[np.int64]


class Stitching:
    """One partition of an image, from that of each of its tiles; the order of the tiles does not matter.

    The regions of two tiles are cut to the strip around their seam and split into connected pieces there. Two
    pieces agree if more than three quarters of the pixels of either are in both; then their regions are one,
    and what is one with the same region is one. A piece has one partner at most.

    Args:
        tiling: The tiles.
    """

    def __init__(self, tiling: Tiling) -> None:
        self._tiling = tiling
        self._counts: dict[Place, int] = {}
        self._waiting: dict[tuple[Place, Place], Ints] = {}
        self._pairs: list[tuple[Place, Place, Pairs]] = []

    def add(self, tile: Tile, ids: Ints, count: int) -> None:
        """Add the regions of a tile: ids (h, w) of its window below `count`, negative for unassigned."""
        self._counts[tile.place] = count
        for seam in self._tiling.seams(tile.place):
            own = ids[seam.strip.within(tile.window)]
            other = self._waiting.pop((seam.before, seam.after), None)
            if other is None:
                self._waiting[seam.before, seam.after] = own.copy()
                continue
            pair = (own, other) if tile.place == seam.before else (other, own)
            self._pairs.append((seam.before, seam.after, agreeing(*pair)))

    def numbers(self) -> Mapping[Place, Ints]:
        """The number that each region of each tile has in the whole image, from 0 on, by place."""
        places = sorted(self._counts)
        first = dict(zip(places, offsets([self._counts[place] for place in places]), strict=False))
        joined = [pairs + np.array((first[before], first[after])) for before, after, pairs in self._pairs]
        groups = unions(sum(self._counts.values()), joined)
        return {place: groups[first[place] :][: self._counts[place]] for place in places}


def agreeing(before: Ints, after: Ints) -> Pairs:
    """The pairs of regions of two maps (h, w) of which pieces agree, (M, 2); -1 is no region."""
    one, two = (components(find_runs(ids), 8) for ids in (before, after))
    pieces, others = (runs.paint() for runs, _ in (one, two))
    both = (pieces >= 0) & (others >= 0)
    if not both.any():
        return np.empty((0, 2), np.int64)
    keys, first, shared = np.unique(
        pieces[both].astype(np.int64) * two[1] + others[both], return_index=True, return_counts=True
    )
    either = _sizes(*one)[keys // two[1]] + _sizes(*two)[keys % two[1]] - shared
    # A joined pair that is none drowns an object in its surroundings; a pair left apart are two regions.
    place = first[4 * shared > 3 * either]
    found = np.stack([before[both][place], after[both][place]], 1).astype(np.int64)
    return np.unique(found, axis=0)


def unions(count: int, pairs: list[Pairs]) -> Ints:
    """The group of each of `count` items that pairs join, numbered by the first item of each, int32."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    joined = np.concatenate([np.empty((0, 2), np.int64), *pairs])
    links = (np.ones(len(joined), np.int8), (joined[:, 0], joined[:, 1]))
    groups = connected_components(coo_array(links, (count, count)), directed=False)[1]
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int32)
    rank[np.argsort(first)] = np.arange(len(first), dtype=np.int32)
    return rank[inverse.reshape(-1)]


def offsets(counts: list[int]) -> Pairs:
    """Where the numbers of each tile start if all are numbered through; the last one is their sum."""
    return np.concatenate([[0], np.cumsum(np.asarray(counts, np.int64))]).astype(np.int64)


def _sizes(runs: Any, count: int) -> Pairs:
    assigned = runs.ids >= 0
    return np.bincount(runs.ids[assigned], runs.lengths[assigned], count).astype(np.int64)

"""Connected components on horizontal runs: a map of millions of pixels has some ten thousand of them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Ints: TypeAlias = "np.ndarray[Any, np.dtype[np.integer[Any]]]"


def components(labels: Ints, connectivity: int) -> tuple[Ints, int]:
    """Split one (H, W) map into connected components.

    Returns:
        The components, (H, W) int32 numbered from 0 by first pixel in raster order, -1 where the map is
        negative; and how many there are.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    starts, lengths = find_runs(labels)
    values = labels.ravel()[starts]
    first, second = _touching(starts, lengths, labels.shape[1], 1 if connectivity == 8 else 0)
    same = values[first] == values[second]
    graph = coo_array((np.ones(int(same.sum()), np.int8), (first[same], second[same])), (len(starts),) * 2)
    _, groups = connected_components(graph, directed=False)
    numbers, count = _by_first_occurrence(groups, values >= 0)
    return np.repeat(numbers, lengths).reshape(labels.shape), count


def find_runs(labels: Ints) -> tuple[Ints, Ints]:
    """Maximal horizontal runs of equal labels: flat start positions in raster order, and lengths."""
    begins = np.ones(labels.shape, dtype=bool)
    np.not_equal(labels[:, 1:], labels[:, :-1], out=begins[:, 1:])
    starts = np.flatnonzero(begins)
    return starts, np.diff(starts, append=labels.size)


def _touching(starts: Ints, lengths: Ints, width: int, reach: int) -> tuple[Ints, Ints]:
    """All pairs of runs (above, below) in neighbouring rows that touch; reach 1 counts diagonal contact."""
    below = np.arange(np.searchsorted(starts, width), len(starts))
    row = starts[below] // width * width
    left = np.maximum(starts[below] - reach, row) - width
    right = np.minimum(starts[below] + lengths[below] - 1 + reach, row + width - 1) - width
    # The runs that cover left ... right form one contiguous range, for runs tile the rows.
    lowest = np.searchsorted(starts, left, side="right") - 1
    highest = np.searchsorted(starts, right, side="right") - 1
    counts = highest - lowest + 1
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(lowest, counts) + offsets, np.repeat(below, counts)


def _by_first_occurrence(groups: Ints, kept: Any) -> tuple[Ints, int]:
    """Renumber the kept groups 0, 1, 2, ... in order of first occurrence; -1 for the rest."""
    _, first, inverse = np.unique(groups[kept], return_index=True, return_inverse=True)
    order = np.empty(len(first), np.int32)
    order[np.argsort(first)] = np.arange(len(first), dtype=np.int32)
    numbers = np.full(len(groups), -1, np.int32)
    numbers[kept] = order[inverse]
    return numbers, len(first)

"""From the pixels that a threshold marks to objects: whole regions, and what is connected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin._opencv import opencv
from csl_plugin.objects.instances import Objects
from csl_plugin.objects.run_lengths import RunLengths
from csl_plugin.ops.cpu.runs import Runs, components, find_runs


def by_regions(marked: NDArray[np.bool_], partitions: Sequence[Runs]) -> NDArray[np.bool_]:
    """What regions make of the marked pixels.

    Each region of the finest partition is marked as a whole where at least half of its pixels are, and not at
    all elsewhere. Then, from fine to coarse, so are regions of which at least half has become marked.

    Args:
        marked: (H, W). A pixel that is in no region of the finest partition decides for itself.
        partitions: The runs of each, of the same size, from coarse to fine.
    """
    finest = partitions[-1]
    alone = finest.ids < 0
    chosen = _halves(marked, finest)
    if alone.any():
        chosen |= marked & np.repeat(alone, finest.lengths).reshape(marked.shape)
    for coarser in reversed(partitions[:-1]):
        chosen |= _halves(chosen, coarser)
    return chosen


def _halves(marked: NDArray[np.bool_], regions: Runs) -> NDArray[np.bool_]:
    """All pixels of the regions of which at least half is marked."""
    inside = np.add.reduceat(marked.reshape(-1), regions.starts, dtype=np.int64)
    known = regions.ids >= 0
    ids = regions.ids[known].astype(np.int64)
    count = int(ids.max(initial=-1)) + 1
    marks = np.bincount(ids, inside[known], count)
    chosen = (marks > 0) & (2 * marks >= np.bincount(ids, regions.lengths[known], count))
    filled = np.zeros(len(known), np.bool_)
    filled[known] = chosen[ids]
    return np.repeat(filled, regions.lengths).reshape(marked.shape)


def objects_of(values: NDArray[Any], level: float, marked: NDArray[np.bool_], least: int) -> Objects:
    """The 8-connected components of at least so many marked pixels.

    Args:
        values: (H, W). The score of an object is the mean of those at or above the level in it.
        level: Of the values. A component without any at or above it has the mean of all.
        marked: (H, W).
        least: Pixels.
    """
    size = height, width = marked.shape[0], marked.shape[1]
    stretches = find_runs(marked.view(np.int8))
    across, count = components(replace(stretches, ids=stretches.ids - 1), 8)
    # Columns first, as masks are stored: the component of a vertical run is that of its first pixel.
    upright = find_runs(opencv().transpose(marked.view(np.int8)))
    below, above = _inside(replace(upright, ids=upright.ids - 1)), _inside(across)
    column, row = np.divmod(below.starts, height)
    holder = np.searchsorted(across.starts, row * width + column, side="right") - 1
    below = replace(below, ids=across.ids[holder])

    areas = np.bincount(above.ids, above.lengths, count).astype(np.int64)
    kept = np.flatnonzero(areas >= least)
    pixels, inner = np.repeat(above.ids, above.lengths), values[marked]
    high = inner >= level
    high |= (np.bincount(pixels[high], minlength=count) == 0)[pixels]  # a piece that its region filled in
    sums = np.bincount(pixels[high], inner[high].astype(np.float64), count)
    scores = sums[kept] / np.bincount(pixels[high], minlength=count)[kept]
    runs = _down_the_columns(below, kept, height * width)
    order = np.lexsort(([counts[0] for counts in runs], -scores))
    kept = kept[order]
    boxes = np.stack([*_ends(below, count, height), *_ends(above, count, width)], axis=1)
    border = (_cut_off(above, count, width) + _cut_off(below, count, height)) / (
        2 * np.bincount(above.ids, minlength=count) + 2 * np.bincount(below.ids, minlength=count)
    )
    return Objects(
        size,
        tuple(runs[place] for place in order.tolist()),
        boxes[kept][:, [0, 2, 1, 3]],
        areas[kept],
        scores[order],
        border[kept],
    )


def _inside(runs: Runs) -> Runs:
    """Only the runs that belong to something."""
    inside = runs.ids >= 0
    return replace(runs, starts=runs.starts[inside], lengths=runs.lengths[inside], ids=runs.ids[inside])


def _ends(runs: Runs, count: int, length: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """The first line that each component has a run in, and the line after its last."""
    lines = runs.starts // length
    first, last = np.full(count, len(runs.starts) and lines.max()), np.zeros(count, np.int64)
    np.minimum.at(first, runs.ids, lines)
    np.maximum.at(last, runs.ids, lines + 1)
    return first, last


def _cut_off(runs: Runs, count: int, length: int) -> NDArray[Any]:
    """How many ends of each component's runs lie on the edge of the image."""
    first = runs.starts % length
    on_edge = (first == 0).astype(np.float64) + (first + runs.lengths == length)
    return np.bincount(runs.ids, on_edge, count)


def _down_the_columns(upright: Runs, kept: NDArray[Any], pixels: int) -> list[RunLengths]:
    """The run lengths of some components' masks from their vertical runs, in the order of `kept`.

    A run may go on in the next column.
    """
    chosen = np.flatnonzero(np.isin(upright.ids, kept))
    order = chosen[np.argsort(upright.ids[chosen], kind="stable")]
    ids, starts = upright.ids[order], upright.starts[order]
    ends = starts + upright.lengths[order]
    goes_on = (ids[1:] == ids[:-1]) & (starts[1:] == ends[:-1])
    begins, stops = np.append(True, ~goes_on)[: len(ids)], np.append(~goes_on, True)[: len(ids)]
    ids, turns = ids[begins], np.stack([starts[begins], ends[stops]], axis=1)
    bounds = np.searchsorted(ids, kept), np.searchsorted(ids, kept, side="right")
    found = []
    for first, last in zip(*(side.tolist() for side in bounds), strict=True):
        counts = np.diff(turns[first:last].reshape(-1), prepend=0, append=pixels)
        found.append(counts if counts[-1] else counts[:-1])
    return found

"""What the metrics of industrial inspection are in every draw of a bootstrap over frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from csl_plugin.metrics.images import ImageAnomaly
from csl_plugin.metrics.metric import State
from csl_plugin.metrics.region_overlap import LIMITS, RegionOverlap
from csl_plugin.metrics.sorted_scores import SortedScores

_LEVELS = 4096
_AT_ONCE = 64  # draws

Draws = NDArray[np.float64]


def overlap_draws(states: Sequence[State], weights: NDArray[np.int64]) -> Draws:
    """(draws, 2): AUPRO up to each limit, of scores binned at quantiles of the frames' scores.

    More of them are where it counts: above the largest limit, and in the regions.

    Args:
        states: Of `RegionOverlap`, one for each frame; read twice.
        weights: (draws, frames) how often each frame was drawn.
    """
    edges = _quantiles(states)
    rows = [_row(state, edges) for state in states]
    normal, overlap = (np.stack([row[side] for row in rows]) for side in (0, 1))
    regions = np.array([row[2] for row in rows], np.float64)
    found = []
    for some in _batches(weights):
        fp, covered = np.cumsum(some @ normal, axis=1), np.cumsum(some @ overlap, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            fpr, pro = fp / fp[:, -1:], covered / (some @ regions)[:, None]
        found.append(np.stack([_area(fpr, pro, limit) for limit in LIMITS], axis=1))
    return np.concatenate(found)


def image_draws(states: Sequence[State], weights: NDArray[np.int64]) -> tuple[Draws, Draws]:
    """(draws, scores) twice: how often images with, and without, anomalies are drawn, by falling score.

    Args:
        states: Of `ImageAnomaly`, one for each frame.
        weights: (draws, frames).
    """
    from scipy.sparse import csr_array

    scores, anomalous, frames = [np.empty(0)], [np.empty(0, np.int64)], []
    for index, state in enumerate(states):
        own = ImageAnomaly()
        own.add_state(state)
        held = own.state()
        scores.append(held["score"])
        anomalous.append(held["anomalous"])
        frames += [index] * held["score"].size
    values, column = np.unique(-np.concatenate(scores), return_inverse=True)
    positive = np.concatenate(anomalous) == 1
    sides = []
    for side in (positive, ~positive):
        places = np.ones(int(side.sum())), (column[side], np.array(frames, np.int64)[side])
        placed = csr_array(places, shape=(values.size, weights.shape[1]))  # dense, it is images squared
        sides.append(np.asarray((placed @ weights.T).T, np.float64))
    return sides[0], sides[1]


def _batches(weights: NDArray[np.int64]) -> Iterator[Draws]:
    for start in range(0, len(weights), _AT_ONCE):
        yield weights[start : start + _AT_ONCE].astype(np.float64)


def _quantiles(states: Sequence[State]) -> NDArray[np.float64]:
    """Edges of the bins, ascending: of each frame scores at equal steps of rank, then some of these."""
    found = [np.empty(0)]
    for state in states:
        metric = _checked(state)
        normal = np.sort(np.concatenate([*metric.normal_scores(), np.empty(0)]))
        top = normal[int((1 - max(LIMITS)) * normal.size) :]
        regions = np.sort(np.concatenate([*(scores for scores, _ in metric.region_scores()), np.empty(0)]))
        found += [_thinned(side, _LEVELS) for side in (normal, top, regions)]
    return _thinned(np.unique(np.concatenate(found)), 2 * _LEVELS)


def _thinned(values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    if values.size <= count:
        return values
    return values[np.linspace(0, values.size - 1, count).astype(np.int64)]


def _row(state: State, edges: NDArray[np.float64]) -> tuple[Draws, Draws, int]:
    """Of one frame, by falling bin: normal pixels, and the shares of regions; and the number of regions."""
    metric = _checked(state)
    bins = edges.size + 1
    normal, overlap, regions = np.zeros(bins), np.zeros(bins), 0
    for array in metric.normal_scores():
        below = SortedScores(array).below(edges)
        normal += np.diff(np.concatenate([[0], below, [array.size]]))
    for array, sizes in metric.region_scores():
        # The bin of a score begins at the largest edge that is not above it, as `below` counts.
        place = edges.searchsorted(array.astype(np.float64), "right")
        overlap += np.bincount(place, np.repeat(1 / sizes, sizes), bins)
        regions += sizes.size
    return normal[::-1], overlap[::-1], regions


def _checked(state: State) -> RegionOverlap:
    metric = RegionOverlap()
    metric.add_state(state)
    return metric


def _area(fpr: Draws, pro: Draws, limit: float) -> Draws:
    """(draws,) the area up to a limit by trapezoids, divided by it; nan where a rate is."""
    start = np.zeros((len(fpr), 1))
    left, low = np.concatenate([start, fpr[:, :-1]], axis=1), np.concatenate([start, pro[:, :-1]], axis=1)
    width = fpr - left
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = np.clip(np.where(width > 0, (limit - left) / width, 0), 0, 1)
    return np.asarray((inside * width * (low + inside * (pro - low) / 2)).sum(axis=1) / limit)

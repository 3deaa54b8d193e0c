"""The pixels of a frame as values with counts: small, and exact where it matters.

Anomalous pixels keep their scores. Normal pixels of neighboring scores are counted together, in groups of at
most a two-thousandth of the pixels above them and a ten-thousandth of all: no number of false positives of
the frame changes by more than 0.05 % of itself and 0.01 % of all. A group never joins with many equal scores,
so maps that are constant on regions stay exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.metrics import AnomalyValues, PooledAnomaly, State
from csl_plugin.metrics.pr_roc import CurveScan
from csl_plugin.metrics.sorted_scores import SortedScores

_FINE, _EVEN = 2000, 10000
_LEVELS = 0x7C00  # the float16 values from 0 on that are finite; their bits are in their order


@dataclass(frozen=True, eq=False)
class PixelCounts:
    """Distinct scores of one frame in ascending order, and how many pixels have each."""

    normal: SortedScores
    anomalous: SortedScores

    @staticmethod
    def of(score: NDArray[np.float32], label: NDArray[np.uint8], step: int) -> PixelCounts:
        """The counts over every `step`-th pixel of every `step`-th row."""
        scores, labels = score[::step, ::step], label[::step, ::step]
        return PixelCounts(_grouped(_counted(scores[labels == 0])), _counted(scores[labels == 1]))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """For a file."""
        found = {}
        for name, side in (("normal", self.normal), ("anomalous", self.anomalous)):
            assert side.counts is not None  # noqa: S101
            found |= {name: side.values, f"{name}_counts": side.counts.astype(np.uint32)}
        return found

    @staticmethod
    def from_arrays(stored: dict[str, NDArray[Any]]) -> PixelCounts:
        """What `arrays` gave."""
        sides = (
            SortedScores(stored[name], stored[f"{name}_counts"].astype(np.int64))
            for name in ("normal", "anomalous")
        )
        return PixelCounts(*sides)


def values_over(frames: Sequence[PixelCounts]) -> AnomalyValues:
    """AP, AUROC and FPR95 over the pooled pixels of some frames."""
    positives = [frame.anomalous for frame in frames]
    negatives = [frame.normal for frame in frames]
    scan = CurveScan(sum(side.size for side in positives), sum(side.size for side in negatives))
    if any(side.size for side in positives):
        scan.feed(positives, negatives)
    return scan.values("first", len(frames))


def bootstrap_states(frames: Sequence[PixelCounts]) -> list[State]:
    """States for `bootstrap_difference`, with scores replaced by 31744 quantiles of those of all frames."""
    sides = [[frame.normal for frame in frames], [frame.anomalous for frame in frames]]
    values = np.concatenate([side.values for kind in sides for side in kind])
    shares = np.concatenate(
        [_counts(side) / max(1, sum(one.size for one in kind)) for kind in sides for side in kind]
    )
    distinct, place = np.unique(values, return_inverse=True)
    reached = np.cumsum(np.bincount(place, shares, distinct.size))
    levels = (reached / max(reached[-1:], default=1) * (_LEVELS - 1)).astype(np.int64)
    return [_state(frame, distinct, levels) for frame in frames]


def _state(frame: PixelCounts, distinct: NDArray[np.float32], levels: NDArray[np.int64]) -> State:
    found = {**PooledAnomaly().state(), "frames": np.array([1], np.int64)}
    used = np.arange(_LEVELS, dtype=np.uint16)
    for name, side in (("half_negative", frame.normal), ("half_positive", frame.anomalous)):
        at = levels[distinct.searchsorted(side.values)]
        found[name] = np.bincount(at, _counts(side), _LEVELS).astype(np.int64)
    kept = (found["half_negative"] + found["half_positive"]) > 0
    found |= {name: found[name][kept] for name in ("half_negative", "half_positive")}
    return {**found, "half_value": used[kept].view(np.float16)}


def _counts(side: SortedScores) -> NDArray[np.int64]:
    assert side.counts is not None  # noqa: S101
    return side.counts


def _counted(scores: NDArray[np.float32]) -> SortedScores:
    values, counts = np.unique(scores, return_counts=True)
    return SortedScores(values, counts.astype(np.int64))


def _grouped(side: SortedScores) -> SortedScores:
    """Neighboring values under the middle one of each group."""
    counts = _counts(side)
    above = side.size - np.cumsum(counts)  # pixels of higher scores
    group = _group_at(above, side.size)
    alone = group != _group_at(above + counts - 1, side.size)  # many equal scores
    begins = np.diff(group, prepend=-1) != 0
    begins |= alone
    begins[1:] |= alone[:-1]
    starts = np.flatnonzero(begins)
    ends = np.append(starts[1:], group.size)
    return SortedScores(
        side.values[(starts + ends - 1) // 2], np.add.reduceat(counts, starts) if starts.size else counts
    )


def _group_at(above: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """The number of the group of a pixel, from how many pixels are above it."""
    even = max(size / _EVEN, 1.0)
    turn = max(_FINE * even, _FINE)
    near = np.minimum(above, turn)
    number = np.where(near < _FINE, near, _FINE * (1 + np.log(np.maximum(near, _FINE) / _FINE)))
    return (number + np.maximum(above - turn, 0) / even).astype(np.int64)

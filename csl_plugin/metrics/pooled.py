"""Exact figures over the pixels of all frames together, in bounded memory."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.arrays import Array
from csl_plugin.errors import OptionError
from csl_plugin.metrics.anomaly_values import AnomalyFigures, FprRule, PrecisionRecall, check_fpr_rule
from csl_plugin.metrics.external_sort import Run, SortedRuns
from csl_plugin.metrics.metric import State, check_same_kind, nonsense, state_array, state_counts
from csl_plugin.metrics.pixels import split_frame
from csl_plugin.metrics.pr_roc import CurveScan
from csl_plugin.metrics.sorted_scores import Ordered, order

_CODES = 1 << 16
_CHECKED = 1 << 20  # elements at a time
_KINDS = ("negative", "positive")
_TYPES = (("single", np.float32), ("double", np.float64))


class PooledAnomaly:
    """Average precision, AUROC and FPR95 over all pixels of a data set, exact.

    The figures are those of scikit-learn's `average_precision_score`, `roc_auc_score` and `roc_curve` over
    the concatenated pixels. float16 and uint8 scores are counted, others kept as sorted runs.

    Args:
        fpr_rule: Where the ROC curve is read; see `FprRule`. "first" is the rule of Fishyscapes, "linear"
            that of the package ood-metrics, "nearest" that of the outlier-exposure code.
        memory: Bytes that scores may take in memory, at least 1 MiB. Beyond it they are written to files.
        folder: Where such files lie while the metric lives; the system's temporary folder if left out. They
            take 4 bytes for each float32 score.

    Raises:
        OptionError: An unknown rule, or too little memory.

    Example:
        >>> metric = PooledAnomaly()
        >>> metric.update(np.array([[0.1, 0.4, 0.35, 0.8]]), np.array([[0, 0, 1, 1]], np.uint8))
        >>> figures = metric.compute()
        >>> round(figures.ap, 4), figures.auroc, figures.fpr95
        (0.8333, 0.75, 0.5)

    Source:
        Chan et al., "SegmentMeIfYouCan", 2021, and Blum et al., "Fishyscapes", 2021, for the figures.
    """

    def __init__(
        self,
        *,
        fpr_rule: FprRule = "first",
        memory: int = 512 << 20,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        check_fpr_rule(fpr_rule)
        if memory < 1 << 20:
            raise OptionError("memory", f"{memory} bytes", "at least 1 MiB", "Leave it out for 512 MiB.")
        self.fpr_rule: FprRule = fpr_rule
        self._runs = SortedRuns(memory, folder)
        self._halves = np.zeros((2, _CODES), np.int64)
        self._frames = 0

    def update(self, scores: Array, labels: Array) -> None:
        """Take in one frame.

        Args:
            scores: (H, W) floating point or uint8; higher is more anomalous. Infinities are in order.
            labels: (H, W) integers: 0 normal, 1 anomaly, everything else void.

        Raises:
            ShapeError: Not (H, W), or not the same.
            DTypeError: Another element type.
            ScoreRangeError: A labeled pixel's score is nan.
            FileError: There is no room for the scores; the frame was not taken in.
        """
        positive, negative = (order(side) for side in split_frame(scores, labels))
        if positive.counts is None:
            self._runs.add([negative.values], [positive.values])
        for kind, side in enumerate((negative, positive)):
            if side.counts is not None:
                self._halves[kind, _codes(side.values)] += side.counts
        self._frames += 1

    def state(self) -> dict[str, NDArray[Any]]:
        """All scores: those of float16 and uint8 as counts of values, the others in ascending order.

        As large as the float32 and float64 scores are, in memory.
        """
        found = np.flatnonzero(self._halves.any(axis=0))
        state: dict[str, NDArray[Any]] = {
            "frames": np.array([self._frames], np.int64),
            "half_value": found.astype(np.uint16).view(np.float16),
        }
        for kind, name in enumerate(_KINDS):
            state[f"half_{name}"] = self._halves[kind, found]
            for word, dtype in _TYPES:
                runs = [run for run in self._runs.of_kind(kind) if run.dtype == dtype]
                state[f"{word}_{name}"] = joined = np.concatenate([*runs, np.empty(0, dtype)])
                if len(runs) > 1:
                    joined.sort()
        return state

    def add_state(self, state: State) -> None:
        """Add what another metric held. Arrays that are memory maps stay in their files.

        Raises:
            FileError: An array is missing, of another element type, or not what `state` gives.
            ShapeError: An array of another shape.
        """
        frames, values, counts, runs = _read(state)
        self._runs.add(*runs)
        for kind, side in enumerate(counts):
            self._halves[kind, _codes(values)] += side
        self._frames += frames

    def merge(self, other: PooledAnomaly) -> None:
        """Add what another metric holds.

        Raises:
            OptionError: It is of another class.
        """
        check_same_kind(self, other)
        self._runs.add(other._runs.of_kind(0), other._runs.of_kind(1))
        self._halves += other._halves
        self._frames += other._frames

    def compute(self) -> AnomalyFigures:
        """The figures of all frames so far."""
        return self._scan(0).figures(self.fpr_rule, self._frames)

    def curve(self, points: int = 512) -> PrecisionRecall:
        """Points of the curve at about equally spaced recalls, each a point of the exact curve."""
        return self._scan(points).curve()

    def _scan(self, points: int) -> CurveScan:
        positives, negatives = (self._runs.size(kind) + int(self._halves[kind].sum()) for kind in (1, 0))
        scan = CurveScan(positives, negatives, points)
        if not positives:
            return scan
        values, places = _all_halves()
        counted = [Ordered(values, self._halves[kind, places]) for kind in (0, 1)]
        top = values.size
        for low, positive, negative in self._runs.ranges():
            start = int(values.searchsorted(low))
            scan.feed(
                [*positive, counted[1].part(start, top)],
                [*negative, counted[0].part(start, top)],
            )
            top = start
        return scan


def ordered_sides(state: State) -> tuple[list[Ordered], list[Ordered]]:
    """The positives and the negatives that a state of `PooledAnomaly` holds.

    Raises:
        FileError, ShapeError: As for `PooledAnomaly.add_state`.
    """
    _, values, counts, runs = _read(state)
    ranks = values.argsort()
    sides = [
        [Ordered(values[ranks], side[ranks]), *map(Ordered, kept)]
        for side, kept in zip(counts, runs, strict=True)
    ]
    return sides[1], sides[0]


def _read(
    state: State,
) -> tuple[int, NDArray[np.float16], list[NDArray[np.int64]], list[list[NDArray[Any]]]]:
    """Frames, counted values, their counts and the sorted runs; the two lists are negatives, positives."""
    frames = int(state_counts(state, "frames", 1)[0])
    values = state_array(state, "half_value", np.float16)
    if np.isnan(values).any() or np.unique(values).size != values.size:
        raise nonsense("half_value", "nan or a repeated value")
    counts = [state_counts(state, f"half_{name}", values.size) for name in _KINDS]
    runs = [[state_array(state, f"{word}_{name}", dtype) for word, dtype in _TYPES] for name in _KINDS]
    for name, side in zip(_KINDS, runs, strict=True):
        for run in side:
            _check_ascending(name, run)
    return frames, values, counts, runs


def _check_ascending(name: str, run: NDArray[Any]) -> None:
    for start in range(0, run.size, _CHECKED):
        part = run[start : start + _CHECKED + 1]
        if np.isnan(part[-1]) or not (part[1:] >= part[:-1]).all():
            raise nonsense(name, "scores that are not in ascending order")
    Run.of(run).release()


def _codes(values: NDArray[Any]) -> NDArray[np.uint16]:
    positive_zero = np.asarray(values, np.float16) + np.float16(0)
    return np.asarray(positive_zero).view(np.uint16)


def _all_halves() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """All float16 values but nan in ascending order, and their codes."""
    values = np.arange(_CODES, dtype=np.uint16).view(np.float16).astype(np.float64)
    codes = np.flatnonzero(~np.isnan(values))
    codes = codes[values[codes].argsort(kind="stable")]
    return values[codes], codes

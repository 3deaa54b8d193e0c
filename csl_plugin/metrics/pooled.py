"""Exact anomaly metrics over the pixels of all frames together, in bounded memory."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin._options import checked_integer
from csl_plugin.arrays import Array
from csl_plugin.metrics.anomaly_values import AnomalyValues, FprRule, PrecisionRecall, check_fpr_rule
from csl_plugin.metrics.external_sort import Spills, check_ascending
from csl_plugin.metrics.metric import State, check_same_class, invalid_state, state_array, state_counts
from csl_plugin.metrics.pixels import scores_by_label
from csl_plugin.metrics.pr_roc import CurveScan
from csl_plugin.metrics.sorted_scores import SortedScores, sort_scores

_CODES = 1 << 16
_KINDS = ("negative", "positive")
_TYPES = (("single", np.float32), ("double", np.float64))


class PooledAnomaly:
    """Average precision, AUROC and FPR95 over all pixels of a data set, exact.

    The values are those of scikit-learn's `average_precision_score`, `roc_auc_score` and `roc_curve` over the
    concatenated pixels. float16 and uint8 scores are counted, others are kept as sorted arrays.

    Args:
        fpr_rule: Where the ROC curve is read; see `FprRule`. "first" is the rule of Fishyscapes, "linear"
            that of the package ood-metrics, "nearest" that of the outlier-exposure code.
        memory: Maximum bytes of scores in memory, at least 1 MiB. Above it they are written to files.
        folder: For these files, which are removed with the metric; None for the system's temporary folder.
            They need 4 bytes for each float32 score.

    Raises:
        OptionError: An unknown rule, or too little memory.

    Example:
        >>> metric = PooledAnomaly()
        >>> metric.update(np.array([[0.1, 0.4, 0.35, 0.8]]), np.array([[0, 0, 1, 1]], np.uint8))
        >>> values = metric.compute()
        >>> round(values.ap, 4), values.auroc, values.fpr95
        (0.8333, 0.75, 0.5)

    Source:
        Chan et al., "SegmentMeIfYouCan", 2021, and Blum et al., "Fishyscapes", 2021, for the metrics.
    """

    def __init__(
        self,
        *,
        fpr_rule: FprRule = "first",
        memory: int = 512 << 20,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        check_fpr_rule(fpr_rule)
        memory = checked_integer("memory", memory, 1 << 20, None, "It is in bytes; omit it for 512 MiB.")
        self.fpr_rule: FprRule = fpr_rule
        self._spills = Spills(memory, folder)
        self._halves = np.zeros((2, _CODES), np.int64)
        self._frames = 0

    def update(self, scores: Array, labels: Array) -> None:
        """Add one frame.

        Args:
            scores: (H, W) floating point or uint8; higher is more anomalous. Infinities are allowed.
            labels: (H, W) integers: 0 normal, 1 anomaly, everything else void. Of a mask of 0 and 255 pass
                `mask == 255`.

        Raises:
            ShapeError: Not (H, W), or not the same.
            DTypeError: Another element type.
            ScoreRangeError: A labeled pixel's score is nan.
            FileError: The scores cannot be written to a file; the frame was not added.
        """
        positive, negative = (sort_scores(side) for side in scores_by_label(scores, labels))
        if positive.counts is None:
            self._spills.add([negative.values], [positive.values])
        for kind, side in enumerate((negative, positive)):
            if side.counts is not None:
                self._halves[kind, _codes(side.values)] += side.counts
        self._frames += 1

    def state(self) -> dict[str, NDArray[Any]]:
        """All scores: float16 and uint8 as counts of values, others in ascending order.

        It holds all float32 and float64 scores in memory.
        """
        found = np.flatnonzero(self._halves.any(axis=0))
        state: dict[str, NDArray[Any]] = {
            "frames": np.array([self._frames], np.int64),
            "half_value": found.astype(np.uint16).view(np.float16),
        }
        for kind, name in enumerate(_KINDS):
            state[f"half_{name}"] = self._halves[kind, found]
            for word, dtype in _TYPES:
                arrays = [array for array in self._spills.of_kind(kind) if array.dtype == dtype]
                state[f"{word}_{name}"] = joined = np.concatenate([*arrays, np.empty(0, dtype)])
                if len(arrays) > 1:
                    joined.sort()
        return state

    def add_state(self, state: State) -> None:
        """Add the state of another metric. Arrays that are memory maps stay in their files.

        Raises:
            FileError: An array is missing, of another element type, or invalid.
            ShapeError: An array of another shape.
        """
        frames, values, counts, arrays = _read(state)
        self._spills.add(*arrays)
        for kind, side in enumerate(counts):
            self._halves[kind, _codes(values)] += side
        self._frames += frames

    def merge(self, other: PooledAnomaly) -> None:
        """Add another metric.

        Raises:
            OptionError: It is of another class.
        """
        check_same_class(self, other)
        self._spills.add(other._spills.of_kind(0), other._spills.of_kind(1))
        self._halves += other._halves
        self._frames += other._frames

    def compute(self) -> AnomalyValues:
        """The values over all frames so far."""
        return self._scan(0).values(self.fpr_rule, self._frames)

    def curve(self, points: int = 512) -> PrecisionRecall:
        """Points of the exact curve at about equally spaced recalls.

        Raises:
            OptionError: `points` is out of range.
        """
        return self._scan(checked_integer("points", points, 0, 1 << 20, "Omit it for 512.")).curve()

    def sides(self) -> tuple[list[SortedScores], list[SortedScores]]:
        """The scores of the positives and of the negatives over all frames so far, in ascending parts."""
        found = np.flatnonzero(self._halves.any(axis=0))
        values = found.astype(np.uint16).view(np.float16)
        order = values.argsort()
        sides = [
            [SortedScores(values[order], self._halves[kind, found[order]])]
            + [SortedScores(array) for array in self._spills.of_kind(kind)]
            for kind in (1, 0)
        ]
        return sides[0], sides[1]

    def _scan(self, points: int) -> CurveScan:
        positives, negatives = (self._spills.size(kind) + int(self._halves[kind].sum()) for kind in (1, 0))
        scan = CurveScan(positives, negatives, points)
        if not positives:
            return scan
        values, codes = _all_halves()
        counted = [SortedScores(values, self._halves[kind, codes]) for kind in (0, 1)]
        top = values.size
        for low, (negative, positive) in self._spills.ranges(0, 1):
            start = int(values.searchsorted(low))
            scan.feed([positive, counted[1].part(start, top)], [negative, counted[0].part(start, top)])
            top = start
        return scan


def sorted_sides(state: State) -> tuple[list[SortedScores], list[SortedScores]]:
    """The positives and the negatives in a state of `PooledAnomaly`.

    Raises:
        FileError, ShapeError: As for `PooledAnomaly.add_state`.
    """
    _, values, counts, arrays = _read(state)
    ranks = values.argsort()
    sides = [
        [SortedScores(values[ranks], side[ranks]), *map(SortedScores, kept)]
        for side, kept in zip(counts, arrays, strict=True)
    ]
    return sides[1], sides[0]


def _read(
    state: State,
) -> tuple[int, NDArray[np.float16], list[NDArray[np.int64]], list[list[NDArray[Any]]]]:
    """Frames, counted values, their counts and the sorted arrays; both lists are negatives, positives."""
    frames = int(state_counts(state, "frames", 1)[0])
    values = state_array(state, "half_value", np.float16)
    if np.isnan(values).any() or np.unique(values).size != values.size:
        raise invalid_state("half_value", "nan or a repeated value")
    counts = [state_counts(state, f"half_{name}", values.size) for name in _KINDS]
    arrays = [[state_array(state, f"{word}_{name}", dtype) for word, dtype in _TYPES] for name in _KINDS]
    for name, side in zip(_KINDS, arrays, strict=True):
        for array in side:
            check_ascending(name, array)
    return frames, values, counts, arrays


def _codes(values: NDArray[Any]) -> NDArray[np.uint16]:
    positive_zero = np.asarray(values, np.float16) + np.float16(0)
    return np.asarray(positive_zero).view(np.uint16)


def _all_halves() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """All float16 values except nan in ascending order, and their codes."""
    values = np.arange(_CODES, dtype=np.uint16).view(np.float16).astype(np.float64)
    codes = np.flatnonzero(~np.isnan(values))
    codes = codes[values[codes].argsort(kind="stable")]
    return values[codes], codes

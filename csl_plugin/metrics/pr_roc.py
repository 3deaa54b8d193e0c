"""The exact precision-recall and ROC curve of a binary score, in one pass over falling thresholds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from csl_plugin.metrics.anomaly_values import AnomalyValues, FprRule, PrecisionRecall
from csl_plugin.metrics.sorted_scores import SortedScores

_LEVEL = 0.95
_BLOCK = 1 << 15  # thresholds at a time, to bound what the sums need


class CurveScan:
    """Computes the metrics of scores that are fed in falling ranges.

    Only thresholds at positives are visited. Recall is constant between two of them, so they determine
    precision times the step in recall, the trapezoids, the best F1 and the first and the linear FPR95. The
    nearest FPR95 is determined by the last point before the next positive.

    Args:
        num_positive: P, the number of positives that will be fed.
        num_negative: N, the number of negatives that will be fed.
        points: Points of the curve to keep, at equally spaced recalls; 0 for none.
    """

    def __init__(self, num_positive: int, num_negative: int, points: int = 0) -> None:
        self._p, self._n = num_positive, num_negative
        self._tp = self._fp = 0  # of all ranges so far
        self._last_tp = self._last_fp = 0  # at the last threshold
        self._area, self._ranked = _Sum(), _Sum()
        self._first: float | None = None
        self._linear: float | None = None
        self._nearest = np.inf, np.nan
        self._best = -1.0, np.nan
        self._levels = np.linspace(0, 1, points)[1:]
        self._kept: list[tuple[float, float, float]] = []

    def feed(self, positives: Sequence[SortedScores], negatives: Sequence[SortedScores]) -> None:
        """All scores of one range, which is below all previous ranges."""
        parts = [part.distinct() for part in positives if part.size]
        found = parts[0] if len(parts) == 1 else np.unique(np.concatenate([*parts, np.empty(0)]))
        pos_total, neg_total = (sum(part.size for part in side) for side in (positives, negatives))
        for stop in range(found.size, 0, -_BLOCK):
            thresholds = found[max(stop - _BLOCK, 0) : stop][::-1]
            tp = np.full(thresholds.size, self._tp + pos_total, np.int64)
            at = np.full(thresholds.size, self._fp + neg_total, np.int64)
            above = at.copy()
            for part in positives:
                tp -= part.below(thresholds)
            for part in negatives:
                at -= part.below(thresholds)
                above -= part.up_to(thresholds)
            self._visit(thresholds, tp, at, above)
        self._tp, self._fp = self._tp + pos_total, self._fp + neg_total

    def _visit(
        self,
        thresholds: NDArray[np.float64],
        tp: NDArray[np.int64],
        at: NDArray[np.int64],
        above: NDArray[np.int64],
    ) -> None:
        """Add thresholds: counts at each, and the negatives strictly above it."""
        before = np.concatenate([[self._last_tp], tp[:-1]])
        steps = (tp - before).astype(np.float64)
        self._area.add(steps * (tp / (tp + at)))
        self._ranked.add(steps * (self._n - (at + above) / 2))
        self._read_fpr(before, tp, at, above)
        f1 = 2 * tp / (tp + at + self._p)
        best = int(f1.argmax())
        if f1[best] > self._best[0]:
            self._best = float(f1[best]), float(thresholds[best]) + 0.0
        while len(self._kept) < self._levels.size:
            place = int(tp.searchsorted(self._levels[len(self._kept)] * self._p * (1 - 1e-12)))
            if place == tp.size:
                break
            self._kept.append((tp[place] / self._p, tp[place] / (tp[place] + at[place]), at[place]))
        self._last_tp, self._last_fp = int(tp[-1]), int(at[-1])

    def _read_fpr(
        self,
        before: NDArray[np.int64],
        tp: NDArray[np.int64],
        at: NDArray[np.int64],
        above: NDArray[np.int64],
    ) -> None:
        recall, n = tp / self._p, max(self._n, 1)
        if self._first is None and recall[-1] >= _LEVEL:
            self._first = float(at[recall.searchsorted(_LEVEL)] / n)
        if self._linear is None and recall[-1] > _LEVEL:
            end = int(recall.searchsorted(_LEVEL, "right"))
            left, right = before[end] / self._p, recall[end]
            low, high = above[end] / n, at[end] / n
            self._linear = float(low + (_LEVEL - left) * (high - low) / (right - left))
        distances = np.abs(before / self._p - _LEVEL)
        if distances.size:
            place = distances.size - 1 - int(distances[::-1].argmin())
            if distances[place] <= self._nearest[0]:
                self._nearest = float(distances[place]), float(above[place] / n)

    def values(self, rule: FprRule, num_frames: int) -> AnomalyValues:
        """The values, after all ranges are fed."""
        p, n = self._p, self._n
        nearest = self._last_fp / max(n, 1) if abs(1 - _LEVEL) <= self._nearest[0] else self._nearest[1]
        fpr = {"first": self._first, "linear": self._linear, "nearest": nearest}[rule]
        return AnomalyValues(
            ap=self._area.total() / p if p else np.nan,
            auroc=self._ranked.total() / p / n if p and n else np.nan,
            fpr95=float(fpr) if p and n and fpr is not None else np.nan,
            best_f1=self._best[0] if p else np.nan,
            best_f1_threshold=self._best[1],
            num_positive=p,
            num_negative=n,
            num_frames=num_frames,
        )

    def curve(self) -> PrecisionRecall:
        """The kept points, between the empty and the full prediction."""
        ends = [(1.0, self._p / (self._p + self._n), self._n)] if self._p else []
        kept = np.array([(0.0, 1.0, 0.0), *self._kept, *ends], np.float64)
        recall, precision, negatives = kept.T.copy()
        return PrecisionRecall(recall, precision, negatives / max(self._n, 1), recall)


class _Sum:
    """A sum in blocks of fixed size: its rounding does not depend on the ranges."""

    def __init__(self) -> None:
        self._total, self._pending = 0.0, np.empty(0)

    def add(self, terms: NDArray[np.float64]) -> None:
        """Add the next terms."""
        self._pending = np.concatenate([self._pending, terms])
        while self._pending.size >= _BLOCK:
            self._total += float(self._pending[:_BLOCK].sum())
            self._pending = self._pending[_BLOCK:]

    def total(self) -> float:
        """The sum of all terms so far."""
        return self._total + float(self._pending.sum())

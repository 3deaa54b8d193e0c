"""The pixel metrics of the SegmentMeIfYouCan benchmark, with its binning of each frame's scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.arrays import Array
from csl_plugin.errors import ScoreRangeError
from csl_plugin.metrics.anomaly_values import AnomalyValues, PrecisionRecall
from csl_plugin.metrics.metric import State, check_same_class, invalid_state, state_array, state_counts
from csl_plugin.metrics.pixels import scores_by_label
from csl_plugin.metrics.sorted_scores import SortedScores, sort_scores

_LEVELS = 384  # quantiles of each side: half of 768 bins
_TPR = 0.95


class SmiycAnomaly:
    """AUPR, AUROC and FPR95 as the official tool of SegmentMeIfYouCan computes them.

    The scores of each frame are counted in bins, whose edges are up to 384 quantiles of the anomalous and up
    to 384 of the normal pixels; the bins of all frames give one curve. The values differ a little from the
    exact ones of `PooledAnomaly`: by up to some thousandths of AUPR, most for frames without anomaly. FPR95
    is read at the first point with TPR >= 0.95.

    Two cases differ from the official tool. It fails on a frame without labeled pixels; here such a frame
    contributes nothing. And if several frames share the highest threshold, its values depend on the order of
    the frames; here they do not. Without anomalous pixels AUPR and AUROC are nan and FPR95 is 0, as in the
    tool.

    Example:
        >>> metric = SmiycAnomaly()
        >>> metric.update(np.array([[0.1, 0.2, 0.3, 0.9]]), np.array([[0, 0, 255, 1]], np.uint8))
        >>> metric.compute().ap, metric.compute().fpr95
        (1.0, 0.0)

    Source:
        Chan et al., "SegmentMeIfYouCan: A Benchmark for Anomaly Segmentation", 2021: the tool's
        `PixBinaryClass`, as of August 2023.
    """

    def __init__(self) -> None:
        self._bins: list[tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]] = []
        self._frames = 0

    def update(self, scores: Array, labels: Array) -> None:
        """Add one frame.

        Args:
            scores: (H, W) finite floating point or uint8; higher is more anomalous. Pass them in the type of
                the files: float16 gives the values of the official files.
            labels: (H, W) integers: 0 normal, 1 anomaly, everything else void. Of a mask of 0 and 255 pass
                `mask == 255`.

        Raises:
            ShapeError: Not (H, W), or not the same.
            DTypeError: Another element type.
            ScoreRangeError: A labeled pixel's score is nan or infinite.
        """
        positive, negative = (sort_scores(side) for side in scores_by_label(scores, labels))
        extremes = [side.at(np.array([0, side.size - 1])) for side in (positive, negative) if side.size]
        if not extremes:
            self._frames += 1
            return
        low, high = float(np.min(extremes)), float(np.max(extremes))
        if not np.isfinite([low, high]).all():
            hint = "Bins need finite scores: clip them, or measure by the exact protocol, pooled."
            raise ScoreRangeError("scores", f"{low} to {high}", "finite scores", hint)
        margin = max(0.01 * (high - low), 0.01)
        edges = np.unique(
            np.concatenate([[low - margin, high + margin], _quantiles(positive), _quantiles(negative)])
        )
        tp, fp = (
            np.diff(np.append(side.below(edges[:-1]), side.size))[::-1] for side in (positive, negative)
        )
        self._bins.append((edges[-2::-1], tp, fp))
        self._frames += 1

    def state(self) -> dict[str, NDArray[Any]]:
        """The bins of all frames: lower edges, and the positives and negatives in each."""
        edges, tp, fp = self._joined()
        return {
            "frames": np.array([self._frames], np.int64),
            "threshold": edges,
            "positive": tp,
            "negative": fp,
        }

    def add_state(self, state: State) -> None:
        """Add the state of another metric.

        Raises:
            FileError: An array is missing, of another element type, or invalid.
            ShapeError: An array of another shape.
        """
        edges = state_array(state, "threshold", np.float64)
        if not np.isfinite(edges).all():
            raise invalid_state("threshold", "a threshold that is not finite")
        tp, fp = (state_counts(state, name, edges.size) for name in ("positive", "negative"))
        self._frames += int(state_counts(state, "frames", 1)[0])
        self._bins.append((np.array(edges), np.array(tp), np.array(fp)))

    def merge(self, other: SmiycAnomaly) -> None:
        """Add another metric.

        Raises:
            OptionError: It is of another class.
        """
        check_same_class(self, other)
        self._bins += other._bins
        self._frames += other._frames

    def compute(self) -> AnomalyValues:
        """The values over all frames so far."""
        thresholds, tp, fp = self._points()
        if not thresholds.size or not tp[-1] + fp[-1]:
            return AnomalyValues(*(np.nan,) * 5, 0, 0, self._frames)
        p, n = int(tp[-1]), int(fp[-1])
        with np.errstate(divide="ignore", invalid="ignore"):
            f1 = 2 * tp / (tp + fp + p)
        best = int(np.nanargmax(f1))
        curve = self._curve(tp, fp)
        first = int((curve.tpr >= _TPR).argmax())
        steps, heights = np.diff(curve.fpr), curve.tpr[1:] + curve.tpr[:-1]
        return AnomalyValues(
            ap=float((np.diff(curve.recall) * curve.precision[1:]).sum()),
            auroc=float((steps * heights).sum() / 2),
            fpr95=float(curve.fpr[first]),
            best_f1=float(f1[best]),
            best_f1_threshold=float(thresholds[best]) + 0.0,
            num_positive=p,
            num_negative=n,
            num_frames=self._frames,
        )

    def curve(self, points: int = 512) -> PrecisionRecall:
        """At most `points` points of the curve (at least two), at equal steps of their index."""
        _, tp, fp = self._points()
        whole = self._curve(tp, fp)
        kept = np.unique(np.linspace(0, whole.recall.size - 1, max(points, 2)).round().astype(np.int64))
        return PrecisionRecall(whole.recall[kept], whole.precision[kept], whole.fpr[kept], whole.tpr[kept])

    def _joined(self) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
        empty = (np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64))
        edges, tp, fp = (np.concatenate(parts) for parts in zip(empty, *self._bins, strict=True))
        return edges, tp, fp

    def _points(self) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
        """Falling thresholds, and the pixels at or above each: the first bin, then each threshold's last."""
        edges, tp, fp = self._joined()
        ranks = np.lexsort((tp, fp, -edges))
        edges, tp, fp = edges[ranks], np.cumsum(tp[ranks]), np.cumsum(fp[ranks])
        kept = np.flatnonzero(np.append(edges[1:] != edges[:-1], True)[: edges.size])
        kept = np.unique(np.append(kept, 0)) if kept.size else kept
        return edges[kept], tp[kept], fp[kept]

    def _curve(self, tp: NDArray[np.int64], fp: NDArray[np.int64]) -> PrecisionRecall:
        tp, fp = np.append(0, tp), np.append(0, fp)
        with np.errstate(divide="ignore", invalid="ignore"):
            recall, fpr = tp / tp[-1], fp / fp[-1]
            precision = np.where(tp + fp > 0, tp / (tp + fp), 1.0)
        return PrecisionRecall(recall, precision, fpr, recall)


def _quantiles(side: SortedScores) -> NDArray[np.float64]:
    """Quantiles at equally spaced levels, with linear interpolation.

    The difference of two scores is taken in their own type, and added to the nearer one, as numpy does: the
    edges of the official tool are rounded this way.
    """
    if not side.size:
        return np.empty(0)
    places = np.linspace(0, 1, min(_LEVELS, side.size)) * (side.size - 1)
    lower = np.floor(places).astype(np.int64)
    weight = places - lower
    left, right = side.at(lower), side.at(np.minimum(lower + 1, side.size - 1))
    with np.errstate(over="ignore"):
        gap = (right - left).astype(np.float64)
    gap = np.where(np.isfinite(gap), gap, right.astype(np.float64) - left)
    return np.asarray(np.where(weight >= 0.5, right - gap * (1 - weight), left + gap * weight), np.float64)

"""Exact anomaly metrics of each image, averaged over the images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.arrays import Array
from csl_plugin.metrics.anomaly_values import AnomalyValues, FprRule, check_fpr_rule
from csl_plugin.metrics.metric import State, check_same_class, state_array, state_counts
from csl_plugin.metrics.pixels import scores_by_label
from csl_plugin.metrics.pr_roc import CurveScan
from csl_plugin.metrics.sorted_scores import sort_scores

_METRICS = ("ap", "auroc", "fpr95", "best_f1")
_COUNTS = ("num_positive", "num_negative")


class PerImageAnomaly:
    """Average precision, AUROC and FPR95 of each image, then their means over the images.

    Images without anomalous or without normal pixels are omitted from the means, because the metrics are
    undefined there. No protocol of the paper's tables averages over images. The mean shows the quality on a
    typical image, independently of the scale of its scores.

    Args:
        fpr_rule: Where the ROC curve is read; see `FprRule`.

    Raises:
        OptionError: An unknown rule.

    Example:
        >>> metric = PerImageAnomaly()
        >>> metric.update(np.array([[0.1, 0.9]]), np.array([[0, 1]], np.uint8))
        >>> metric.update(np.array([[7.0, 5.0]]), np.array([[0, 1]], np.uint8))
        >>> metric.compute().ap, metric.compute().auroc
        (0.75, 0.5)
    """

    def __init__(self, *, fpr_rule: FprRule = "first") -> None:
        check_fpr_rule(fpr_rule)
        self.fpr_rule: FprRule = fpr_rule
        self._images: list[AnomalyValues] = []

    def update(self, scores: Array, labels: Array) -> None:
        """Add one frame; see `PooledAnomaly.update`."""
        positive, negative = (sort_scores(side) for side in scores_by_label(scores, labels))
        scan = CurveScan(positive.size, negative.size)
        if positive.size:
            scan.feed([positive], [negative])
        self._images.append(scan.values(self.fpr_rule, 1))

    def state(self) -> dict[str, NDArray[Any]]:
        """The values of each image, (frames,) float64, and the counts of pixels, int64."""
        held: dict[str, NDArray[Any]] = {
            name: np.array([getattr(image, name) for image in self._images], np.float64) for name in _METRICS
        }
        for name in _COUNTS:
            held[name] = np.array([getattr(image, name) for image in self._images], np.int64)
        return held

    def add_state(self, state: State) -> None:
        """Add the state of another metric with the same rule.

        Raises:
            FileError: An array is missing, or of another element type.
            ShapeError: An array of another shape.
        """
        size = state_array(state, _METRICS[0], np.float64).size
        values = [state_array(state, name, np.float64, size).tolist() for name in _METRICS]
        counts = [state_counts(state, name, size).tolist() for name in _COUNTS]
        for ap, auroc, fpr95, f1, positive, negative in zip(*values, *counts, strict=True):
            self._images.append(AnomalyValues(ap, auroc, fpr95, f1, np.nan, positive, negative, 1))

    def merge(self, other: PerImageAnomaly) -> None:
        """Add another metric.

        Raises:
            OptionError: It is of another class.
        """
        check_same_class(self, other)
        self._images += other._images

    def compute(self) -> AnomalyValues:
        """The means over the images so far. There is no common threshold, so `best_f1_threshold` is nan."""
        whole = [image for image in self._images if image.num_positive and image.num_negative]
        means = {name: _mean([getattr(image, name) for image in whole]) for name in _METRICS}
        return AnomalyValues(
            **means,
            best_f1_threshold=np.nan,
            num_positive=sum(image.num_positive for image in self._images),
            num_negative=sum(image.num_negative for image in self._images),
            num_frames=len(self._images),
        )


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values) if values else np.nan

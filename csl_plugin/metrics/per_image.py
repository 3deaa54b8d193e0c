"""Exact figures of each image, averaged over the images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.arrays import Array
from csl_plugin.metrics.anomaly_values import AnomalyFigures, FprRule, check_fpr_rule
from csl_plugin.metrics.metric import State, check_same_kind, state_array, state_counts
from csl_plugin.metrics.pixels import split_frame
from csl_plugin.metrics.pr_roc import CurveScan
from csl_plugin.metrics.sorted_scores import order

_FIGURES = ("ap", "auroc", "fpr95", "best_f1")
_COUNTS = ("num_positive", "num_negative")


class PerImageAnomaly:
    """Average precision, AUROC and FPR95 of every image by itself, then their means.

    An image without anomalous or without normal pixels has no such figures and is left out of the means.
    No published protocol of the paper's tables averages over images; the figure tells how a method does on
    a typical image, whatever the scale of its scores there.

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
        self._images: list[AnomalyFigures] = []

    def update(self, scores: Array, labels: Array) -> None:
        """Take in one frame; see `PooledAnomaly.update`."""
        positive, negative = (order(side) for side in split_frame(scores, labels))
        scan = CurveScan(positive.size, negative.size)
        if positive.size:
            scan.feed([positive], [negative])
        self._images.append(scan.figures(self.fpr_rule, 1))

    def state(self) -> dict[str, NDArray[Any]]:
        """The figures of each image, (frames,) float64 and, of the pixels, int64."""
        held: dict[str, NDArray[Any]] = {
            name: np.array([getattr(image, name) for image in self._images], np.float64) for name in _FIGURES
        }
        for name in _COUNTS:
            held[name] = np.array([getattr(image, name) for image in self._images], np.int64)
        return held

    def add_state(self, state: State) -> None:
        """Add what another metric of the same rule held.

        Raises:
            FileError: An array is missing, or of another element type.
            ShapeError: An array of another shape.
        """
        size = state_array(state, _FIGURES[0], np.float64).size
        figures = [state_array(state, name, np.float64, size).tolist() for name in _FIGURES]
        counts = [state_counts(state, name, size).tolist() for name in _COUNTS]
        for ap, auroc, fpr95, f1, positive, negative in zip(*figures, *counts, strict=True):
            self._images.append(AnomalyFigures(ap, auroc, fpr95, f1, np.nan, positive, negative, 1))

    def merge(self, other: PerImageAnomaly) -> None:
        """Add what another metric holds.

        Raises:
            OptionError: It is of another class.
        """
        check_same_kind(self, other)
        self._images += other._images

    def compute(self) -> AnomalyFigures:
        """The means over the images so far. There is no one threshold, so `best_f1_threshold` is nan."""
        whole = [image for image in self._images if image.num_positive and image.num_negative]
        means = {name: _mean([getattr(image, name) for image in whole]) for name in _FIGURES}
        return AnomalyFigures(
            **means,
            best_f1_threshold=np.nan,
            num_positive=sum(image.num_positive for image in self._images),
            num_negative=sum(image.num_negative for image in self._images),
            num_frames=len(self._images),
        )


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values) if values else np.nan

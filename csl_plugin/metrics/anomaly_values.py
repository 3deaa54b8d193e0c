"""The values of the anomaly metrics, and the curve they are computed from."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from csl_plugin._options import check_choice

FprRule: TypeAlias = Literal["first", "linear", "nearest"]
"""Where the ROC curve is read for FPR95: at the first point with TPR >= 0.95, linearly between the points
on both sides of 0.95, or at the point whose TPR is nearest to 0.95."""

FPR_RULES = ("first", "linear", "nearest")

ANOMALY_METRICS = ("ap", "auroc", "fpr95")
"""The values of `AnomalyValues` that benchmarks report."""


@dataclass(frozen=True)
class AnomalyValues:
    """Values over a set of frames, as fractions; nan where undefined.

    Attributes:
        ap: Average precision, also called AUPR: the sum of precision times the step in recall.
        auroc: Area under the ROC curve, by trapezoids.
        fpr95: False positive rate where 95 % of the anomalous pixels are found.
        best_f1: Largest F1 of the pixels over all thresholds.
        best_f1_threshold: The highest threshold with this F1, under the rule score >= threshold.
        num_positive: Anomalous pixels.
        num_negative: Normal pixels.
        num_frames: Frames, including those without labeled pixels.
    """

    ap: float
    auroc: float
    fpr95: float
    best_f1: float
    best_f1_threshold: float
    num_positive: int
    num_negative: int
    num_frames: int

    def where_defined(self) -> AnomalyValues:
        """These values, with nan for `ap`, `auroc` and `fpr95` where no pixel is anomalous or none is normal.

        `SmiycAnomaly` has an FPR95 of 0 there, as the official tool.
        """
        if self.num_positive and self.num_negative:
            return self
        return replace(self, ap=math.nan, auroc=math.nan, fpr95=math.nan)


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """Points of the precision-recall curve and the ROC curve, in the order of falling thresholds.

    Attributes:
        recall: (K,) float64, ascending.
        precision: (K,) float64.
        fpr: (K,) float64, ascending.
        tpr: (K,) float64; another name of the recall.
    """

    recall: NDArray[np.float64]
    precision: NDArray[np.float64]
    fpr: NDArray[np.float64]
    tpr: NDArray[np.float64]


def check_fpr_rule(rule: str) -> None:
    """Refuse an unknown rule.

    Raises:
        OptionError: The rule is not in `FPR_RULES`.
    """
    check_choice("fpr_rule", rule, FPR_RULES, "Most evaluators read the first point.")

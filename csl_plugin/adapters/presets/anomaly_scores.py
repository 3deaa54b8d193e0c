"""Out-of-distribution scores of a model's output, by their published formulas."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from csl_plugin.adapters.presets.class_statistics import ClassStatistics
from csl_plugin.adapters.score_kinds import ScoreKind, calibrated, wrong_shape
from csl_plugin.calibration import Calibration
from csl_plugin.errors import OptionError


@dataclass(frozen=True)
class AnomalyScore(ScoreKind):
    """An anomaly score of the class maps (B, C, h, w): how little a pixel resembles any class.

    The fused map is written in place of the class maps, with one channel, (B, 1, h, w). A single channel is
    therefore read as a written map.

    Args:
        formula: From (B, C, h, w) to (B, 1, h, w), higher for more anomalous.
        bounded: The score is in [0, 1]; otherwise it needs a calibration.
        classes: How many of the first channels are classes; None for all.
        smooth: Blur the score by a Gaussian of 7 x 7 pixels, sigma 1, where that is part of the method.
        calibration: The map of an unbounded score onto [0, 1].
        statistics: For `standardized_max_logit`.
        name: What the class maps hold: "logits" or "query sum".
    """

    formula: Callable[..., Tensor]
    bounded: bool = False
    classes: int | None = None
    smooth: bool = False
    calibration: Calibration | None = None
    statistics: ClassStatistics | None = None
    name: str = "logits"

    def read(self, *tensors: Tensor) -> Tensor:
        """The score on [0, 1]."""
        if tensors[0].shape[1:2] == (1,):
            return tensors[0]
        raw = self.raw(*tensors)
        return raw.clamp(0.0, 1.0) if self.bounded else calibrated(raw, self.calibration)

    def raw(self, *tensors: Tensor) -> Tensor:
        """The score as published."""
        (scores,) = tensors
        if scores.ndim != 4 or scores.shape[1] < 2:
            raise wrong_shape(scores, self.name, "a map for each class, (B, C, h, w) with C >= 2")
        scores = scores[:, : self.classes]
        if self.formula is standardized_max_logit:
            raw = standardized_max_logit(scores, self.statistics)
        else:
            raw = self.formula(scores)
        return gaussian(raw) if self.smooth else raw

    @property
    def options(self) -> tuple[str, ...]:
        """The calibration of an unbounded score, and the statistics where the formula takes them."""
        statistics = ("statistics",) if self.formula is standardized_max_logit else ()
        return statistics if self.bounded else ("calibration", *statistics)


def one_minus_max_probability(logits: Tensor) -> Tensor:
    """1 - the largest softmax probability (MSP), in [0, 1]."""
    return 1 - logits.softmax(1).amax(1, keepdim=True)


def negative_max_logit(logits: Tensor) -> Tensor:
    """Minus the largest logit, of any sign."""
    return -logits.amax(1, keepdim=True)


def entropy(logits: Tensor) -> Tensor:
    """The entropy of the softmax, divided by log C, in [0, 1]."""
    log_shares = logits.log_softmax(1)
    return -(log_shares.exp() * log_shares).sum(1, keepdim=True) / math.log(logits.shape[1])


def energy(logits: Tensor) -> Tensor:
    """Minus the log-sum-exp of the logits, of any sign."""
    return -logits.logsumexp(1, keepdim=True)


def standardized_max_logit(logits: Tensor, statistics: ClassStatistics | None) -> Tensor:
    """Minus the largest logit, standardized by the mean and deviation of its class, of any sign (SML).

    Raises:
        OptionError: The statistics are missing, or are of another number of classes.
    """
    if statistics is None or len(statistics.mean) != logits.shape[1]:
        raise OptionError(
            "statistics",
            "None" if statistics is None else f"{len(statistics.mean)} classes",
            f"mean and variance of the largest logit of each of {logits.shape[1]} classes",
            "Pass preset(name, statistics=ClassStatistics.load(mean_file, variance_file)).",
        )
    largest, winners = logits.max(1, keepdim=True)
    mean, variance = logits.new_tensor(statistics.mean), logits.new_tensor(statistics.variance)
    return (mean[winners] - largest) / variance[winners].sqrt()


def one_minus_tanh(sums: Tensor) -> Tensor:
    """1 - the mean over classes of tanh: RbA's negative sum, mapped from [-C, 0] to [0, 1]."""
    return 1 - sums.tanh().mean(1, keepdim=True)


def refined_one_minus_max(sums: Tensor, classes: int = 19) -> Tensor:
    """1 - the largest channel, and 0 where a refining mask is at least 0.5 (Mask2Anomaly).

    Channels after the classes are refining masks. As in the published code, the largest channel may be one of
    them, and they refine only if there are two or more.
    """
    scores = 1 - sums.amax(1, keepdim=True)
    extra = sums[:, classes:]
    return scores * (extra.amax(1, keepdim=True) < 0.5) if extra.shape[1] > 1 else scores


def gaussian(scores: Tensor, size: int = 7, sigma: float = 1.0) -> Tensor:
    """Maps (B, 1, h, w) blurred by a Gaussian, mirrored at the border."""
    reach = size // 2
    steps = torch.arange(-reach, reach + 1, dtype=scores.dtype, device=scores.device)
    weights = torch.exp(-(steps**2) / (2 * sigma**2))
    weights = weights / weights.sum()
    mode = "reflect" if min(scores.shape[-2:]) > reach else "replicate"
    padded = F.pad(scores, (reach,) * 4, mode=mode)
    return F.conv2d(F.conv2d(padded, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1))


@dataclass(frozen=True)
class DenseHybrid(ScoreKind):
    """Class logits (B, C, h, w), and logits of in- and out-of-distribution (B, 2, h, w).

    The score is the energy plus the log probability of out-of-distribution. The fused map is written in place
    of the second logits, with one channel; the class logits do not change.
    """

    calibration: Calibration | None = None
    name: str = "two sets of logits"

    def read(self, *tensors: Tensor) -> Tensor:
        """The calibrated score."""
        if tensors[1].shape[1:2] == (1,):
            return tensors[1]
        return calibrated(self.raw(*tensors), self.calibration)

    def raw(self, *tensors: Tensor) -> Tensor:
        """The score as published, but finite: the log probability is computed from the logits."""
        classes, outliers = tensors
        if classes.ndim != 4 or outliers.ndim != 4 or outliers.shape[1] != 2:
            raise wrong_shape(outliers, self.name, "logits (B, C, h, w) and (B, 2, h, w)")
        return energy(classes) + outliers.log_softmax(1)[:, 1:]

    def write(self, fused: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The class logits, and the fused map."""
        return tensors[0], fused

    @property
    def options(self) -> tuple[str, ...]:
        """The calibration."""
        return ("calibration",)

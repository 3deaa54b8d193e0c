"""Calibration of anomaly scores that stand for probabilities: reliability curve and expected error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.arrays import Array
from csl_plugin.errors import ScoreRangeError
from csl_plugin.metrics.metric import State, check_same_class, invalid_state, state_array, state_counts
from csl_plugin.metrics.pixels import scores_by_label

BINS = 15
"""Bins of equal width in [0, 1]; the last one holds 1."""

_AT_ONCE = 1 << 20  # scores


@dataclass(frozen=True, eq=False)
class ReliabilityValues:
    """Values over a set of frames, as fractions; nan where undefined.

    Attributes:
        ece: Expected calibration error: the mean over the pixels of the distance between `frequency` and
            `score` of their bin. nan without labeled pixels, or if a score is outside [0, 1].
        score: (15,) float64, the mean score of the pixels in each bin; nan where it is empty.
        frequency: (15,) float64, the share of them that is anomalous; nan where it is empty.
        pixels: (15,) int64, their number.
        num_outside: Labeled pixels whose score is outside [0, 1]; they are in no bin.
    """

    ece: float
    score: NDArray[np.float64]
    frequency: NDArray[np.float64]
    pixels: NDArray[np.int64]
    num_outside: int


class Reliability:
    """How well a score in [0, 1] is the probability that a pixel is anomalous.

    The pixels of all frames are counted in 15 bins of equal width. Anomalies are rare and most scores low, so
    most pixels are in the first bins and the error is mostly theirs; the curve shows the other bins alike.
    Bins of equal width are the same before and after a change of the scores and in every process, and need
    the same memory for any number of pixels; bins of equal mass would be others for every set of scores.

    Example:
        >>> metric = Reliability()
        >>> metric.update(np.array([[0.1, 0.1, 0.9, 0.9]]), np.array([[0, 0, 1, 0]], np.uint8))
        >>> values = metric.compute()
        >>> round(values.ece, 3), values.frequency[[1, 13]]
        (0.25, array([0. , 0.5]))

    Source:
        Naeini, Cooper, Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", 2015,
        for a binary score; Guo et al., "On Calibration of Modern Neural Networks", 2017, for the 15 bins.
    """

    def __init__(self) -> None:
        self._counts = np.zeros((2, BINS), np.int64)  # normal and anomalous
        self._sums: list[NDArray[np.float64]] = []  # of the scores, in parts that are added exactly
        self._outside = 0

    def update(self, scores: Array, labels: Array) -> None:
        """Add one frame.

        Args:
            scores: (H, W) floating point, the probability of anomaly, or uint8 in steps of 1/255.
            labels: (H, W) integers: 0 normal, 1 anomaly, everything else void. Of a mask of 0 and 255 pass
                `mask == 255`.

        Raises:
            ShapeError: Not (H, W), or not the same.
            DTypeError: Another element type.
            ScoreRangeError: A labeled pixel's score is nan.
        """
        for anomalous, side in zip((True, False), scores_by_label(scores, labels), strict=True):
            self.add(side / np.float32(255) if side.dtype == np.uint8 else side, anomalous)

    def add(self, scores: NDArray[Any], anomalous: bool, counts: NDArray[np.int64] | None = None) -> None:
        """Add pixels of one kind.

        Args:
            scores: (n,) floating point.
            anomalous: Whether the pixels are anomalous.
            counts: (n,) how many pixels have each score; None for one.

        Raises:
            ScoreRangeError: A score is nan.
        """
        for start in range(0, scores.size, _AT_ONCE):
            part = scores[start : start + _AT_ONCE].astype(np.float64)
            times = None if counts is None else counts[start : start + _AT_ONCE]
            inside = (part >= 0) & (part <= 1)
            if not inside.all():
                if np.isnan(part).any():
                    hint = "Find the source of nan, or mark these pixels as void."
                    raise ScoreRangeError("scores", "nan on a labeled pixel", "numbers", hint)
                self._outside += int((~inside).sum() if times is None else times[~inside].sum())
                part, times = part[inside], None if times is None else times[inside]
            bins = np.minimum((part * BINS).astype(np.int64), BINS - 1)
            self._counts[int(anomalous)] += np.bincount(bins, times, minlength=BINS).astype(np.int64)
            weights = part if times is None else part * times
            self._sums.append(np.bincount(bins, weights, minlength=BINS).astype(np.float64))

    def state(self) -> dict[str, NDArray[Any]]:
        """The pixels of each kind in each bin, the sums of their scores in parts, and the pixels outside."""
        return {
            "outside": np.array([self._outside], np.int64),
            "negative": self._counts[0].copy(),
            "positive": self._counts[1].copy(),
            "sum": np.concatenate([np.empty(0), *self._sums]),
        }

    def add_state(self, state: State) -> None:
        """Add the state of another metric.

        Raises:
            FileError: An array is missing, of another element type, or out of range.
            ShapeError: An array of another shape.
        """
        counts = np.stack([state_counts(state, name, BINS) for name in ("negative", "positive")])
        sums = state_array(state, "sum", np.float64)
        if sums.size % BINS or not (sums >= 0).all():
            raise invalid_state("sum", "sums that no scores in [0, 1] have")
        parts = list(np.array(sums.reshape(-1, BINS)))
        if not (sums.reshape(-1, BINS).sum(axis=0) <= counts.sum(axis=0) * (1 + 1e-9)).all():
            raise invalid_state("sum", "sums that no scores in [0, 1] have")
        self._outside += int(state_counts(state, "outside", 1)[0])
        self._counts += counts
        self._sums += parts

    def merge(self, other: Reliability) -> None:
        """Add another metric.

        Raises:
            OptionError: It is of another class.
        """
        check_same_class(self, other)
        self._outside += other._outside
        self._counts += other._counts
        self._sums += other._sums

    def compute(self) -> ReliabilityValues:
        """The values over all pixels so far."""
        pixels = self._counts.sum(axis=0)
        # Exact sums do not depend on the order of the frames.
        sums = np.array([math.fsum(part[index] for part in self._sums) for index in range(BINS)])
        with np.errstate(invalid="ignore"):
            score, frequency = sums / pixels, self._counts[1] / pixels
        full = pixels > 0
        error = math.fsum(pixels[full] * np.abs(frequency - score)[full])
        defined = full.any() and not self._outside
        return ReliabilityValues(
            ece=error / int(pixels.sum()) if defined else math.nan,
            score=score,
            frequency=frequency,
            pixels=pixels,
            num_outside=self._outside,
        )

"""Filters of a score map that know no regions: blurs, the guided filter, a dense random field."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

ScoreMap = NDArray[np.float32]

BLURS = (3.0, 6.0, 12.0, 24.0)
GUIDED_RADIUS, GUIDED_EPSILON = 16, 0.1**2
DENSE_FIELD = "pydensecrf"
_CLIP = 1e-3
_ITERATIONS = 5


def several_blurs(score: ScoreMap) -> ScoreMap:
    """The mean of a map blurred at several scales: the baseline for several partitions."""
    blurred: ScoreMap = np.mean([cv2.GaussianBlur(score, (0, 0), sigma) for sigma in BLURS], axis=0)
    return blurred


def guided_filter(score: ScoreMap, guide: ScoreMap) -> ScoreMap:
    """The guided filter: in every window the score is a linear function of the guide.

    Args:
        score: (H, W) in [0, 1].
        guide: (H, W) in [0, 1], the image in gray.

    Source:
        He, Sun and Tang, "Guided Image Filtering", 2010.
    """

    def mean(values: Any) -> Any:
        return cv2.blur(values, (2 * GUIDED_RADIUS + 1,) * 2)

    guide_mean, score_mean = mean(guide), mean(score)
    variance = mean(guide * guide) - guide_mean**2
    slope = (mean(guide * score) - guide_mean * score_mean) / (variance + GUIDED_EPSILON)
    offset = score_mean - slope * guide_mean
    filtered: ScoreMap = (mean(slope) * guide + mean(offset)).clip(0, 1)
    return filtered


class DenseField:
    """A fully connected random field over one image: the score is the probability of one of two classes.

    Smoothness and appearance have the parameters of the authors' example.

    Args:
        image: (H, W, 3) uint8 RGB.

    Source:
        Krähenbühl and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials",
        2011.
    """

    def __init__(self, image: NDArray[np.uint8]) -> None:
        from pydensecrf.densecrf import DenseCRF2D

        self._size = image.shape[:2]
        self._field = DenseCRF2D(self._size[1], self._size[0], 2)
        self._field.addPairwiseGaussian(sxy=3, compat=3)
        self._field.addPairwiseBilateral(sxy=80, srgb=13, rgbim=np.ascontiguousarray(image), compat=10)

    def __call__(self, score: ScoreMap) -> ScoreMap:
        """The probability after mean-field inference; the field is kept for the image's other scores."""
        clipped = score.clip(_CLIP, 1 - _CLIP)
        unary = -np.log(np.stack([1 - clipped, clipped]).reshape(2, -1))
        self._field.setUnaryEnergy(np.ascontiguousarray(unary, np.float32))
        inferred = np.array(self._field.inference(_ITERATIONS), np.float32)
        return inferred[1].reshape(self._size)


def missing_module(name: str) -> bool:
    """Whether a package of a row is not installed."""
    return find_spec(name) is None

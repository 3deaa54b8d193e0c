"""Programs that refine a score map with the image instead of regions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.floating[Any]]


def guided_filter(
    score: Plane, photograph: NDArray[np.uint8], radius: int = 16, epsilon: float = 1e-3
) -> Plane:
    """The guided filter (He, Sun and Tang 2010) with a gray guide: eight box filters."""
    import cv2

    def mean(plane: Plane) -> Plane:
        box = (2 * radius + 1,) * 2
        return np.asarray(cv2.boxFilter(plane, cv2.CV_32F, box, borderType=cv2.BORDER_REFLECT))

    guide = cv2.cvtColor(photograph, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    mean_guide, mean_score = mean(guide), mean(score)
    covariance = mean(guide * score) - mean_guide * mean_score
    variance = mean(guide * guide) - mean_guide * mean_guide
    slope = covariance / (variance + epsilon)
    return mean(slope) * guide + mean(mean_score - slope * mean_guide)


def dense_crf(score: Plane, photograph: NDArray[np.uint8], iterations: int = 5) -> Plane:
    """A fully connected CRF on one score, with the customary kernels."""
    from pydensecrf import densecrf

    height, width = score.shape
    clipped = np.clip(score, 1e-4, 1 - 1e-4)
    unary = -np.log(np.stack([1 - clipped, clipped])).reshape(2, -1).astype(np.float32)
    model: Any = densecrf.DenseCRF2D(width, height, 2)
    model.setUnaryEnergy(np.ascontiguousarray(unary))
    model.addPairwiseGaussian(sxy=3, compat=3)
    model.addPairwiseBilateral(sxy=80, srgb=13, rgbim=np.ascontiguousarray(photograph), compat=10)
    refined: Plane = np.asarray(model.inference(iterations), np.float32)[1]
    return refined.reshape(height, width)

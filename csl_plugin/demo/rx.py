"""The Reed-Xiaoli detector: how unusual a pixel is among the pixels of its own image.

I. S. Reed and X. Yu, "Adaptive multiple-band CFAR detection of an optical pattern with unknown spectral
distribution", IEEE Transactions on Acoustics, Speech, and Signal Processing 38 (10), pages 1760-1770, 1990.
The standard baseline of hyperspectral anomaly detection, without training. Here the bands are color and
texture.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtr

from csl_plugin._opencv import opencv

# Rounding to 8 bits changes Lab by about 0.1: a direction that varies less holds no information.
_LEAST_DEVIATION = 0.05


def pixel_features(image: NDArray[np.uint8], scale: float = 1.0) -> NDArray[np.float64]:
    """Color and texture of every pixel: L, a, b, the gradient of L and the local deviation of L.

    Args:
        image: (H, W, 3) uint8 RGB.
        scale: Standard deviation in pixels of the Gaussian window of the two texture features.

    Returns:
        (H, W, 5), in the units of CIELAB.
    """
    cv2 = opencv()
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    light = lab[..., 0]
    smooth = cv2.GaussianBlur(light, (0, 0), scale)
    down, right = (cv2.Sobel(smooth, cv2.CV_32F, *axis, scale=1 / 8) for axis in ((0, 1), (1, 0)))
    # Squares about the image's mean lose the least precision in the difference.
    centered = light - light.mean()
    variance = cv2.GaussianBlur(centered**2, (0, 0), scale) - (smooth - light.mean()) ** 2
    texture = (np.hypot(down, right), np.sqrt(np.maximum(variance, 0)))
    return np.dstack([lab, *texture]).astype(np.float64)


def rx_distance(features: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """The RX statistic: squared Mahalanobis distance of each pixel to the image's mean and covariance.

    With m and C the mean and the covariance of all pixels, d2(x) = (x - m)^T C^-1 (x - m). Directions in
    which the image hardly varies are omitted, as C is singular for a gray image. If no direction is omitted,
    d2 is invariant to an invertible affine map of the features.

    Args:
        features: (H, W, F), finite.

    Returns:
        d2, (H, W), and the number of directions in its sum, at most F.
    """
    height, width, bands = features.shape
    centered = features.reshape(-1, bands) - features.mean(axis=(0, 1))
    covariance = centered.T @ centered / len(centered)
    variances, directions = np.linalg.eigh(covariance)
    kept = variances > _LEAST_DEVIATION**2
    whitened = centered @ (directions[:, kept] / np.sqrt(variances[kept]))
    return (whitened**2).sum(axis=1).reshape(height, width), int(kept.sum())


def rx_score(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The RX detector as a score in [0, 1].

    On a Gaussian background d2 has a chi-square distribution with one degree of freedom per direction. The
    score is its distribution function, which RX uses to set a false-alarm rate: the share of background
    pixels with a smaller d2. Photographs have heavier tails than a Gaussian, so the order of the scores is
    more reliable than their values.

    Args:
        image: (H, W, 3) uint8 RGB.

    Returns:
        (H, W) in [0, 1]; all 0 for an image of one color.
    """
    distance, freedom = rx_distance(pixel_features(image))
    if freedom == 0:
        return np.zeros_like(distance)
    score: NDArray[np.float64] = chdtr(freedom, distance)
    return score

"""From an image to its smallest regions: the basins of a relief such as its color gradient."""

from __future__ import annotations

import numpy as np

from csl_plugin._opencv import opencv
from csl_plugin.proposers.hierarchy.merge_tree import Values, follow

_GRADIENT_SIGMA = 1.0
_CHROMA_WEIGHT = 2.0  # within an object, shading changes the lightness but hardly the chroma

_SURROUNDINGS_SIGMA = 12.0
_FAINT_GRADIENT = 4.0  # CIELAB units per pixel; below it an edge is faint even in flat surroundings


def opponent_color(rgb: Values) -> Values:
    """CIELAB with chroma counted twice, (H, W, 3) float32, of RGB in [0, 1]."""
    weights = np.array([1.0, _CHROMA_WEIGHT, _CHROMA_WEIGHT], np.float32)
    cv2 = opencv()
    color: Values = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB) * weights
    return color


def color_gradient(color: Values) -> Values:
    """Largest change of color per pixel in any direction (Di Zenzo), (H, W) float32."""
    cv2 = opencv()
    smooth = gaussian(color, _GRADIENT_SIGMA)
    step = np.array([[-0.5, 0.0, 0.5]], np.float32)
    across = cv2.filter2D(smooth, -1, step, borderType=cv2.BORDER_REPLICATE)
    down = cv2.filter2D(smooth, -1, step.T, borderType=cv2.BORDER_REPLICATE)
    xx, yy, xy = (np.einsum("hwc,hwc->hw", a, b) for a, b in ((across, across), (down, down), (across, down)))
    gradient: Values = np.sqrt((xx + yy + np.hypot(xx - yy, 2 * xy)) / 2)
    return gradient


def relative_to_surroundings(gradient: Values) -> Values:
    """A gradient divided by its local root mean square, (H, W): lowers texture, which is many close edges."""
    power = gaussian(gradient * gradient, _SURROUNDINGS_SIGMA)
    relative: Values = gradient / np.sqrt(power + _FAINT_GRADIENT**2)
    return relative


def gaussian(values: Values, sigma: float) -> Values:
    """Gaussian blur of (H, W) or (H, W, C); sigma in pixels."""
    cv2 = opencv()
    smooth: Values = cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return smooth


def basins(relief: Values) -> Values:
    """Basins of a relief: every pixel flows to its lowest 4-neighbor until none is lower.

    On a plateau a pixel flows to the neighbor of the lowest index, so that flat areas have few basins.

    Args:
        relief: (H, W) float, without nan.

    Returns:
        Basin of each pixel, (H, W) integer from 0 on without gaps; basins are 4-connected.
    """
    height, width = relief.shape
    pixels = np.arange(relief.size, dtype=np.int32).reshape(height, width)
    target, lowest = pixels.copy(), relief.copy()
    before, after, everything = slice(None, -1), slice(1, None), slice(None)
    for here, there in (
        ((after, everything), (before, everything)),
        ((everything, after), (everything, before)),
        ((everything, before), (everything, after)),
        ((before, everything), (after, everything)),
    ):
        lower = relief[there] < lowest[here]
        lower |= (relief[there] == lowest[here]) & (pixels[there] < target[here])
        np.copyto(lowest[here], relief[there], where=lower)
        np.copyto(target[here], pixels[there], where=lower)
    minimum = follow(target.ravel())
    basin_at = np.cumsum(minimum == pixels.ravel(), dtype=np.int32) - 1
    return basin_at[minimum].reshape(height, width)

"""From painted colors to a photograph: bloom, tone, vignette, blur of the lens, noise of the sensor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from csl_plugin._opencv import opencv
from csl_plugin.demo.street.canvas import Canvas, soft


def photograph(canvas: Canvas, size: tuple[int, int], draw: np.random.Generator) -> NDArray[np.uint8]:
    """The picture at a size (H, W), RGB."""
    cv2 = opencv()
    color = np.asarray(cv2.resize(canvas.color, (size[1], size[0]), interpolation=cv2.INTER_AREA))
    height, width = size
    bloom = soft((color - 0.72).clip(0), 0.035 * height)
    color = color + 0.5 * bloom
    exposure, contrast = draw.uniform(0.92, 1.12), draw.uniform(0.75, 1.15)
    color = color * exposure
    color = 1 - np.exp(-1.9 * color.clip(0))  # highlights roll off
    color = 0.5 + (color / 0.88 - 0.5) * contrast
    gray = color.mean(axis=2, keepdims=True)
    color = gray + draw.uniform(0.85, 1.1) * (color - gray)
    row, column = np.mgrid[0:height, 0:width].astype(np.float32)
    away = np.hypot((row - height / 2) / height, (column - width / 2) / width)
    color *= (1 - draw.uniform(0.15, 0.4) * away**2)[..., None]
    color = soft(color, draw.uniform(0.35, 0.8) * height / 384)
    light = soft(draw.standard_normal((height, width), np.float32), 0.45)[..., None]
    hue = draw.standard_normal((height, width, 3), np.float32)
    grain = draw.uniform(0.006, 0.022)
    color = color + grain * (1.2 * light + 0.5 * hue) * np.sqrt(color.clip(0.05))
    return np.asarray(np.rint(255 * color.clip(0, 1)), np.uint8)

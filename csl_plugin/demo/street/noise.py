"""Noise that repeats itself without a seam, sampled at coordinates of the world."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin._opencv import opencv

Plane = NDArray[np.float32]
_SIDE = 256
_FOLD = 1024


class Noise:
    """Two textures of mean 0 and deviation 1: clouds, with most of its power in low frequencies, and grain.

    Args:
        draw: Source of the random numbers.
    """

    def __init__(self, draw: np.random.Generator) -> None:
        self._clouds = _fractal(draw, 1.7)
        self._grain = _fractal(draw, 0.7)

    def clouds(self, across: Any, along: Any, period: float) -> Plane:
        """Smooth noise at coordinates, which repeats after `period` of their units."""
        return _sample(self._clouds, across, along, period)

    def grain(self, across: Any, along: Any, period: float) -> Plane:
        """Rough noise at coordinates, which repeats after `period` of their units."""
        return _sample(self._grain, across, along, period)


def _fractal(draw: np.random.Generator, slope: float) -> Plane:
    white = np.fft.rfft2(draw.normal(size=(_SIDE, _SIDE)))
    rows, columns = np.fft.fftfreq(_SIDE)[:, None], np.fft.rfftfreq(_SIDE)[None]
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = np.inf
    values = np.fft.irfft2(white * frequency**-slope, s=(_SIDE, _SIDE))
    texture: Plane = (values / values.std()).astype(np.float32)
    return texture


def _sample(texture: Plane, across: Any, along: Any, period: float) -> Plane:
    """The texture at coordinates of any shape; of one axis too, which OpenCV limits to 32767."""
    cv2 = opencv()
    columns, rows = np.broadcast_arrays(across, along)
    shape, count = columns.shape, columns.size
    folded = -(-count // _FOLD), _FOLD
    maps = []
    for values in (columns, rows):
        place = np.zeros(folded, np.float32)
        flat = place.reshape(-1)[:count]
        np.multiply(values.reshape(-1), np.float32(_SIDE / period), out=flat)
        flat -= _SIDE * np.floor(flat / _SIDE)
        maps.append(place)
    sampled = cv2.remap(texture, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    result: Plane = sampled.reshape(-1)[:count].reshape(shape)
    return result

"""Optical flow between neighboring frames, and maps moved along it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]
Flow = Callable[[Gray, Gray], NDArray[np.float32]]
"""From two pictures (H, W) to where each pixel of the first went in the second, (H, W, 2): x, y."""

_TRUSTED = 1.0  # pixels between the way forth and the way back


@dataclass(frozen=True, eq=False)
class Motion:
    """From a frame to the one before it.

    Attributes:
        places: (H, W, 2) float32, where each pixel was: x, y.
        trusted: (H, W) bool: it was inside, and the way forth and the way back agree.
    """

    places: NDArray[np.float32]
    trusted: NDArray[np.bool_]

    @staticmethod
    def between(before: Gray, after: Gray, flow: Flow) -> Motion:
        """The motion of the pixels of `after`."""
        back, forth = flow(after, before), flow(before, after)
        height, width = after.shape
        grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
        places = grid + back
        inside = ((places >= 0) & (places <= np.float32((width - 1, height - 1)))).all(-1)
        returned = cv2.remap(forth, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return Motion(places, inside & (np.linalg.norm(back + returned, axis=-1) < _TRUSTED))

    def moved(self, values: NDArray[Any]) -> NDArray[Any]:
        """A map (H, W) of the frame before at the pixels of this one; bilinear, of labels the nearest."""
        way = cv2.INTER_LINEAR if values.dtype.kind == "f" else cv2.INTER_NEAREST
        return np.asarray(cv2.remap(values, self.places, None, way, borderMode=cv2.BORDER_REPLICATE))


def dense_inverse_search(first: Gray, second: Gray) -> NDArray[np.float32]:
    """DIS (Kroeger et al. 2016), preset medium."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(search.calc(first, second, None), np.float32)


def farneback(first: Gray, second: Gray) -> NDArray[np.float32]:
    """Polynomial expansion (Farneback 2003), four levels, windows of 15 pixels."""
    found = cv2.calcOpticalFlowFarneback(first, second, None, 0.5, 4, 15, 3, 5, 1.2, 0)
    return np.asarray(found, np.float32)

"""A pinhole camera above a flat ground."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """Where points of the world lie in the image: x to the right, y up from the ground, z ahead, in meters.

    Attributes:
        size: (H, W) of the image, in pixels.
        horizon: Row of the horizon.
        center: Column of the vanishing point.
        focal: Focal length in pixels.
        height: Of the camera above the ground.
    """

    size: tuple[int, int]
    horizon: float
    center: float
    focal: float
    height: float

    def project(self, points: Any) -> Points:
        """(N, 3) points of the world to (N, 2) columns and rows."""
        x, y, z = np.asarray(points, dtype=np.float64).T
        return np.stack(
            [self.center + self.focal * x / z, self.horizon + self.focal * (self.height - y) / z], 1
        )

    def scale(self, z: float) -> float:
        """Pixels of a meter at a distance."""
        return self.focal / z

    def row(self, z: float) -> float:
        """The row of the ground at a distance."""
        return self.horizon + self.focal * self.height / z

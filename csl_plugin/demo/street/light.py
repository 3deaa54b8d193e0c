"""The light of a scene: where the sun stands, and the colors of sun, shade, sky and haze."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Color = NDArray[np.float32]


@dataclass(frozen=True)
class Light:
    """The light of a scene.

    Attributes:
        side: -1 if the sun stands on the left, 1 if on the right.
        cotangent: Length of a shadow in heights, across the street.
        ahead: Length of a shadow in heights, away from the camera; negative toward it.
        sun: Color that the sun adds to a surface it shines on.
        shade: Color of a surface in the shade.
        zenith: Color of the sky above.
        horizon: Color of the sky at the horizon, and of the haze.
        reach: Meters at which haze hides two thirds.
        clouds: Share of the sky that clouds cover, about.
    """

    side: int
    cotangent: float
    ahead: float
    sun: Color
    shade: Color
    zenith: Color
    horizon: Color
    reach: float
    clouds: float

    def on(self, color: Any, lit: Any) -> Color:
        """A surface's color in this light.

        Args:
            color: (..., 3), of the surface in white light.
            lit: (...), from 0 in the shade to 1 in the sun.
        """
        shone = self.shade + np.asarray(lit, np.float32)[..., None] * self.sun
        result: Color = np.asarray(color, np.float32) * shone
        return result

    def haze(self, color: Any, z: Any) -> Color:
        """A color as it looks from a distance in meters."""
        kept = np.exp(-np.asarray(z, np.float32) / self.reach)[..., None]
        result: Color = self.horizon + kept * (np.asarray(color, np.float32) - self.horizon)
        return result


# sun, shade, zenith, horizon, share of clouds
_WEATHERS = (
    ((0.62, 0.54, 0.42), (0.50, 0.55, 0.64), (0.27, 0.49, 0.80), (0.80, 0.86, 0.92), 0.40),
    ((0.78, 0.50, 0.26), (0.46, 0.47, 0.58), (0.36, 0.50, 0.74), (0.98, 0.84, 0.66), 0.35),
    ((0.10, 0.10, 0.10), (0.80, 0.82, 0.85), (0.70, 0.74, 0.79), (0.88, 0.89, 0.90), 0.95),
    ((0.46, 0.42, 0.36), (0.56, 0.58, 0.64), (0.46, 0.62, 0.80), (0.86, 0.88, 0.90), 0.65),
    ((0.58, 0.34, 0.26), (0.46, 0.45, 0.58), (0.42, 0.46, 0.68), (0.96, 0.76, 0.68), 0.50),
)


def draw_light(draw: np.random.Generator) -> Light:
    """A clear noon, a golden evening, an overcast day, a hazy day or a pink dusk."""
    *colors, clouds = _WEATHERS[draw.choice(len(_WEATHERS), p=(0.3, 0.25, 0.15, 0.2, 0.1))]
    sun, shade, zenith, horizon = (
        (np.array(color) * draw.normal(1, 0.03, 3)).astype(np.float32) for color in colors
    )
    return Light(
        side=int(draw.choice((-1, 1))),
        cotangent=float(draw.uniform(0.35, 1.1)),
        ahead=float(draw.uniform(-0.5, 0.6)),
        sun=sun,
        shade=shade,
        zenith=zenith,
        horizon=horizon,
        reach=float(draw.uniform(130, 320)),
        clouds=clouds,
    )

"""The maps of an image from which its tree of regions grows."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass
class Terrain:
    """Three maps; each is deleted once it was used, for of a large image it is much memory.

    Attributes:
        relief: (H, W) float without nan; its basins are the smallest regions.
        color: Opponent color, (3, H, W) int16.
        strength: Edge strength of each pixel, (H, W) float, not negative.
    """

    relief: Tensor
    color: Tensor
    strength: Tensor

"""Bands of rows, so that what is computed in between never has the size of a large image."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

_LEAST_OF_DEVICE = 1 << 24  # other devices than the CPU have no use for small bands


def bands(image: Tensor, pixels: int) -> Iterator[slice]:
    """The rows of a map (H, W) in slices of about so many pixels, in their order."""
    height, width = image.shape
    if image.device.type != "cpu":
        pixels = max(pixels, _LEAST_OF_DEVICE)
    step = max(pixels // width, 1)
    for start in range(0, height, step):
        yield slice(start, min(start + step, height))

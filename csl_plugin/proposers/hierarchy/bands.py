"""Bands of rows, so that what is computed in between never has the size of a large image."""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import Tensor

_LEAST_OF_DEVICE = 1 << 24  # other devices than the CPU have no use for small bands


def bands(values: Tensor, elements: int) -> Iterator[slice]:
    """The rows of a map (H, W), or the places of a vector, in slices of about so many elements, in order."""
    if values.device.type != "cpu":
        elements = max(elements, _LEAST_OF_DEVICE)
    step = max(elements // max(math.prod(values.shape[1:]), 1), 1)
    for start in range(0, len(values), step):
        yield slice(start, min(start + step, len(values)))

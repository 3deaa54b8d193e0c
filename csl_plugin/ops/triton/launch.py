"""What every launch needs: the right device, and the pixels of a tile."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor


def on_device_of(tensor: Tensor) -> AbstractContextManager[Any]:
    """Triton launches on the current device: make it the tensor's."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()


def power_of_two(number: int) -> int:
    """The smallest power of two that is not below a positive number."""
    return 1 << (number - 1).bit_length()


def cdiv(number: int, step: int) -> int:
    """How many steps cover a number."""
    return -(-number // step)


@triton.jit
def pixels_of_tile(
    tile: tl.tensor,
    across: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    rows: tl.constexpr,
    columns: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """y, x and whether they lie in the image, each (rows * columns); tiles are counted row by row."""
    pixel = tl.arange(0, rows * columns)
    y = (tile // across) * rows + pixel // columns
    x = (tile % across) * columns + pixel % columns
    return y, x, (y < height) & (x < width)

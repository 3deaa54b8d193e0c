"""What all steps on the CPU use: memory that is quick to write at first, and numpy without warnings."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

_OF_SIZE = {1: np.uint8, 2: np.int16, 4: np.int32, 8: np.int64}


# Pixels that do not count may hold any value; what is computed from them is not worth a warning.
quiet = np.errstate(all="ignore")


def empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """An uninitialized tensor on the CPU, contiguous.

    Its memory is numpy's, which asks the system for large pages. torch's comes in pages of 4 KiB, and each
    is handed out when it is first written: for a result of 100 MB that takes several times as long as the
    writing.
    """
    numbers = np.empty(math.prod(shape), _OF_SIZE[dtype.itemsize])
    return torch.from_numpy(numbers).view(dtype).view(shape)


def empty_like(values: Tensor) -> Tensor:
    """An uninitialized tensor of the same shape, dtype, device and memory layout."""
    if values.device.type != "cpu":
        return torch.empty_like(values)
    like = torch.empty_like(values, device="meta")  # for the strides alone
    return empty((values.numel(),), values.dtype).as_strided(like.shape, like.stride())

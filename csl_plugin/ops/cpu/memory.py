"""What all steps on the CPU use: memory for results, and numpy without warnings."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Smaller memory malloc itself keeps when it is freed; larger memory would be missed elsewhere.
_LEAST, _LESS_THAN = 1 << 25, 1 << 28

_kept: list[NDArray[np.uint8]] = []

# Pixels that do not count may hold any value; what is computed from them is not worth a warning.
quiet = np.errstate(all="ignore")


class _Lent:
    """Memory that is kept for the next result once no tensor and no array refers to it."""

    def __init__(self, memory: NDArray[np.uint8]) -> None:
        self._memory = memory
        self.__array_interface__: dict[str, Any] = memory.__array_interface__

    def __del__(self, kept: list[NDArray[np.uint8]] = _kept) -> None:
        kept[:] = [self._memory]


def empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """An uninitialized tensor on the CPU, contiguous.

    The system hands out and clears fresh memory page by page when it is first written, which takes twice as
    long as the writing. So of large results that were dropped the last one's memory serves the next of the
    same size. Large pages are faster only where the system has some at hand, else they are several times
    slower; none are asked for.
    """
    size = math.prod(shape) * dtype.itemsize
    if not _LEAST <= size < _LESS_THAN:
        return torch.empty(shape, dtype=dtype, device="cpu")
    return torch.from_numpy(np.asarray(_Lent(_memory(size)))).view(dtype).view(shape)


def empty_like(values: Tensor) -> Tensor:
    """An uninitialized tensor of the same shape, dtype, device and memory layout."""
    if values.device.type != "cpu":
        return torch.empty_like(values)
    like = torch.empty_like(values, device="meta")  # for the strides alone
    return empty((values.numel(),), values.dtype).as_strided(like.shape, like.stride())


def _memory(size: int) -> NDArray[np.uint8]:
    """Memory of so many bytes. What was kept is freed first if it has another size."""
    try:
        memory = _kept.pop()
    except IndexError:
        memory = None
    if memory is not None and memory.nbytes == size:
        return memory
    del memory
    fresh: NDArray[np.uint8] = torch.empty(size, dtype=torch.uint8, device="cpu").numpy()
    return fresh

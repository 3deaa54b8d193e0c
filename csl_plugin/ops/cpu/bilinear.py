"""Region scores on a low-resolution grid, and where the pixels of an image lie between its samples."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from csl_plugin.ops.dtypes import SERIAL

Ints: TypeAlias = "NDArray[np.integer[Any]]"
Floats: TypeAlias = "NDArray[np.float32]"

_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


class Samples:
    """Scores or logits of N regions on a grid, and their validity.

    Args:
        values: (N, h, w) floating point; copied if it is not contiguous.
        validity: (N).
    """

    def __init__(self, values: Tensor, validity: Tensor) -> None:
        values = values.contiguous()
        self.count, self.height, self.width = values.shape
        self.validity: Floats = validity.float().numpy()
        self.tensor = values
        # Gathering bits and not numbers, because numpy gathers several times faster and knows no bfloat16.
        self.bits: NDArray[Any] = values.view(_BITS[values.itemsize]).numpy()

    def read(self, bits: NDArray[Any], *, logits: bool) -> Floats:
        """Gathered bits as scores of the same shape, in their place; logits pass through a sigmoid."""
        stored = torch.from_numpy(np.ascontiguousarray(bits)).view(self.tensor.dtype)
        if stored.dtype == torch.float32:
            scores = stored
        else:
            scores = torch.empty(stored.shape, dtype=torch.float32, device=stored.device)
            for piece, target in zip(_pieces(stored), _pieces(scores), strict=True):
                target.copy_(piece)
        found: Floats = scores.numpy()
        return squash(found) if logits else found


def squash(values: Floats) -> Floats:
    """The sigmoid, in place, of a contiguous array."""
    for piece in _pieces(torch.from_numpy(values)):
        piece.sigmoid_()
    return values


def _pieces(values: Tensor) -> Sequence[Tensor]:
    """Views so small that torch works on each with one thread."""
    return torch.split(values.view(-1), SERIAL)


class Axis(NamedTuple):
    """The pixels of one axis: the sample before each, the sample after it, the weight of the latter."""

    before: NDArray[np.int64]
    after: NDArray[np.int64]
    weight: NDArray[np.float32]


@lru_cache(maxsize=64)
def axis(length: int, samples: int) -> Axis:
    """`length` pixels over `samples` samples, centers aligned, clamped at the border.

    In float32 with one rounding for scale * (x + 1/2) - 1/2, as torch's kernels compute it.
    """
    scale = np.float64(np.float32(samples) / np.float32(length))
    position = np.maximum(scale * (np.arange(length) + 0.5) - 0.5, 0).astype(np.float32)
    before = np.minimum(position.astype(np.int64), samples - 1)
    weight = np.clip(position - before.astype(np.float32), 0, 1).astype(np.float32)
    return Axis(_constant(before), _constant(np.minimum(before + 1, samples - 1)), _constant(weight))


def _constant(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array

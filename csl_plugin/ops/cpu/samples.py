"""The region scores of one image as the CPU reads them: gathered as bits, squashed in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

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
            scores = torch.empty(stored.shape)
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

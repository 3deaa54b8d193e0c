"""What all paths agree on: names, the dtype of the arithmetic, the scale of uint8, the size of a piece."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor

Sigmoid: TypeAlias = Literal["none", "before", "after"]

# From 32 768 elements on torch spreads an operation over threads, and waits for each where a core is busy.
SERIAL = 32_767


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """float64 stays, everything else is computed in float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def sum_dtype(device: torch.device) -> torch.dtype:
    """Sums over regions are in float64 wherever the device has it."""
    return torch.float32 if device.type == "mps" else torch.float64


def to_scores(values: Tensor) -> Tensor:
    """Stored scores in the dtype of the arithmetic; uint8 stands for [0, 1] in steps of 1/255."""
    scores = values.to(compute_dtype(values.dtype))
    return scores / 255 if values.dtype == torch.uint8 else scores


def to_stored(scores: Tensor, dtype: torch.dtype) -> Tensor:
    """Scores in the stored dtype; the inverse of `to_scores`, rounded to nearest."""
    return ((scores * 255).round() if dtype == torch.uint8 else scores).to(dtype)


def fourth_root(scores: Tensor) -> Tensor:
    """Fourth roots of scores; the gradient at 0 is 0, not infinite.

    Noise of scores grows with their level. The fourth root levels it as the logarithm of eq. 3's geometric
    mean does, and takes zeros.
    """
    positive = scores > 0
    return torch.where(positive, torch.where(positive, scores, 1.0) ** 0.25, 0.0)


def largest_root(dtype: torch.dtype) -> float:
    """The largest root of which rounding cannot make the fourth power infinite."""
    info = torch.finfo(dtype)
    return float(info.max**0.25 * (1 - info.eps))


def to_probabilities(logits: Tensor, dim: int) -> Tensor:
    """Softmax over the classes along `dim`; a sigmoid where there is only one. The dtype stays."""
    return logits.softmax(dim) if logits.shape[dim] > 1 else logits.sigmoid()

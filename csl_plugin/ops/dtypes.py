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


def root(values: Tensor) -> Tensor:
    """Square root whose gradient at 0 is 0, not infinite. NaN stays NaN, with no gradient."""
    positive = values > 0
    rest = torch.where(values.isnan(), values.detach(), 0.0)
    return torch.where(positive, torch.where(positive, values, 1.0).sqrt(), rest)


def to_probabilities(logits: Tensor, dim: int) -> Tensor:
    """Softmax over the classes along `dim`; a sigmoid where there is only one. The dtype stays."""
    return logits.softmax(dim) if logits.shape[dim] > 1 else logits.sigmoid()

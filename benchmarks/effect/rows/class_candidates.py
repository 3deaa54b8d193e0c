"""The candidates for more than one class: how far a region may overrule a pixel."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def _agreement(mean: Tensor) -> Tensor:
    """(1, H, W): the chance that two draws from a region's mean distribution give the same class."""
    return (mean * mean).sum(0, keepdim=True) / mean.sum(0, keepdim=True).square()


def _believed(score: Tensor, mean: Tensor, share: Tensor) -> Tensor:
    return (score * (share * mean + (1 - share) * score)).sqrt()


CLASS_RULES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "base": lambda score, _: score,
    "√(m D), eq. 3": lambda score, mean: (score * mean).sqrt(),
    "m": lambda _, mean: mean,
    "√(m max(m, D))": lambda score, mean: (mean * torch.maximum(mean, score)).sqrt(),
    "√(D (m + D) / 2)": lambda score, mean: _believed(score, mean, torch.tensor(0.5)),
    "√(D (a m + (1 - a) D))": lambda score, mean: _believed(score, mean, _agreement(mean)),
    "√(D (a² m + (1 - a²) D))": lambda score, mean: _believed(score, mean, _agreement(mean).square()),
    "a m + (1 - a) D": lambda score, mean: _agreement(mean) * mean + (1 - _agreement(mean)) * score,
}
"""From D and the average of its region means m, both (C, H, W), to the fused map. a is the agreement."""

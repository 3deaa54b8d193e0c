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


def _sure(score: Tensor, mean: Tensor) -> Tensor:
    return _believed(score, mean, _agreement(mean).square())


CLASS_RULES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "base": lambda score, *_: score,
    "√(m D), eq. 3": lambda score, mean, _: (score * mean).sqrt(),
    "m": lambda _, mean, __: mean,
    "√(m max(m, D))": lambda score, mean, _: (mean * torch.maximum(mean, score)).sqrt(),
    "√(D (m + D) / 2)": lambda score, mean, _: _believed(score, mean, torch.tensor(0.5)),
    "√(D (a m + (1 - a) D))": lambda score, mean, _: _believed(score, mean, _agreement(mean)),
    "√(D (a² m + (1 - a²) D))": lambda score, mean, _: _sure(score, mean),
    "√(D (a² n + (1 - a²) D))": lambda score, _, finest: _sure(score, finest),
    "a m + (1 - a) D": lambda score, mean, _: _agreement(mean) * mean + (1 - _agreement(mean)) * score,
}
"""From D, the average of its region means m and the last of them n, each (C, H, W), to the fused map.

a is the agreement.
"""

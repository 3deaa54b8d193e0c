"""The rule "adaptive": eq. 3 on D's own scale, at the scales of several partitions (docs/guide/fusion.md).

A table (B, C + 2, R) holds what a pixel needs of its regions: a^2 * n[c] for each class, then 1 - a^2, then
0. With one class: h, then 0, then the floor f.
"""

from __future__ import annotations

import torch
from torch import Tensor

from csl_plugin.ops.dtypes import root, sum_dtype


def table_of(means: Tensor, classes: int) -> Tensor:
    """The table of regions, from their means of D (B, C, R); where C = 1 of D and its root, (B, 2, R)."""
    return _of_classes(means) if classes > 1 else _of_score(means)


def _of_score(means: Tensor) -> Tensor:
    """The table (B, 3, R) of one class, from the means (B, 2, R) of D and its root."""
    mean, rooted = means[:, :1], means[:, 1:]
    floor = rooted.to(sum_dtype(means.device)).square().to(means.dtype)
    # The root is rounded, and its square may be more than the dtype holds.
    floor = floor.clamp(max=torch.finfo(means.dtype).max)
    return torch.cat([mean, torch.zeros_like(mean), floor], 1)


def _of_classes(means: Tensor) -> Tensor:
    """The table (B, C + 2, R), from the means of D (B, C, R)."""
    wide = means.to(sum_dtype(means.device))
    total = wide.sum(1, keepdim=True)
    some = total > 0
    shares = wide / torch.where(some, total, 1.0)
    agreement = torch.where(some, shares.square().sum(1, keepdim=True), 1.0)
    told = agreement.square()
    # The sum of both must not round to infinity where all scores are the dtype's largest.
    info = torch.finfo(means.dtype)
    largest = wide.amax(1, keepdim=True) > info.max / 2
    room = torch.where(largest, 1 - 4 * info.eps, 1.0)
    return torch.cat([told * wide * room, (1 - told) * room, torch.zeros_like(told)], 1).to(means.dtype)


def fused(scores: Tensor, heard: Tensor, own: Tensor, floor: Tensor) -> Tensor:
    """The fused scores of pixels, from their rows of the table."""
    return root(torch.maximum(scores, floor)) * root(heard + own * scores)

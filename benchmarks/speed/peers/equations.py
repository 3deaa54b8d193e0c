"""Equations 2 and 3 in plain torch: naive, streaming, careful."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Size = tuple[int, int]
Order = Literal["before", "after"]


def upsampled(planes: Tensor, size: Size) -> Tensor:
    """(N, h, w) to (N, H, W)."""
    return F.interpolate(planes[None], size, mode="bilinear", align_corners=False)[0]


def naive_assign(logits: Tensor, validity: Tensor, size: Size, order: Order = "before") -> Tensor:
    """Interpolate all, multiply, arg max."""
    scores = upsampled(logits.sigmoid(), size) if order == "before" else upsampled(logits, size).sigmoid()
    return (scores * validity[:, None, None]).argmax(0)


def streaming_assign(logits: Tensor, validity: Tensor, size: Size, order: Order = "before") -> Tensor:
    """One query after the other, keeping the best."""
    best = torch.full(size, -1.0, device=logits.device)
    labels = torch.zeros(size, dtype=torch.int64, device=logits.device)
    for n in range(len(logits)):
        plane = logits[n : n + 1].float()
        plane = plane.sigmoid() if order == "before" else plane
        plane = upsampled(plane, size)[0]
        plane = plane.sigmoid_() if order == "after" else plane
        plane *= validity[n]
        labels.masked_fill_(plane > best, n)
        torch.maximum(best, plane, out=best)
    return labels


def mask_loop_means(distribution: Tensor, labels: Tensor, count: int) -> Tensor:
    """(C, K): one mask per region."""
    table = torch.zeros(distribution.shape[0], count)
    for k in range(count):
        mask = labels == k
        if mask.any():
            table[:, k] = distribution[:, mask].mean(1)
    return table


def index_add_means(distribution: Tensor, labels: Tensor, count: int) -> Tensor:
    """(C, K) by index_add over (C, P)."""
    flat = labels.reshape(-1).long()
    sums = torch.zeros(distribution.shape[0], count, device=distribution.device)
    sums.index_add_(1, flat, distribution.flatten(1))
    return sums / torch.bincount(flat, minlength=count).clamp(min=1)


def index_add_transposed_means(distribution: Tensor, labels: Tensor, count: int) -> Tensor:
    """(C, K) by index_add over (P, C), the transposition counted."""
    flat = labels.reshape(-1).long()
    rows = distribution.flatten(1).t().contiguous()
    sums = torch.zeros(count, distribution.shape[0]).index_add_(0, flat, rows)
    return (sums / torch.bincount(flat, minlength=count).clamp(min=1)[:, None]).t()


def bincount_means(distribution: Tensor, labels: Tensor, count: int) -> Tensor:
    """(C, K) by a weighted torch.bincount per class."""
    flat = labels.reshape(-1).long()
    counts = torch.bincount(flat, minlength=count).clamp(min=1)
    return torch.stack([torch.bincount(flat, plane.reshape(-1), count) / counts for plane in distribution])


def mask_loop_apply(distribution: Tensor, labels: Tensor, table: Tensor) -> Tensor:
    """H (C, H, W): one mask per region."""
    fused = torch.empty_like(distribution)
    for k in range(table.shape[1]):
        mask = labels == k
        if mask.any():
            fused[:, mask] = distribution[:, mask] * table[:, k, None]
    return fused


def gather_apply(distribution: Tensor, labels: Tensor, table: Tensor) -> Tensor:
    """H (C, H, W) as m[:, a] * D."""
    return table[:, labels] * distribution


def index_select_apply(distribution: Tensor, labels: Tensor, table: Tensor) -> Tensor:
    """H (C, H, W), one class after the other."""
    flat = labels.reshape(-1)
    fused = torch.empty_like(distribution)
    for c, plane in enumerate(distribution):
        torch.mul(table[c].index_select(0, flat).view(plane.shape), plane, out=fused[c])
    return fused


def streaming_labels(distribution: Tensor, labels: Tensor, table: Tensor) -> Tensor:
    """Arg max over the classes, one class after the other."""
    flat = labels.reshape(-1)
    best = torch.full(labels.shape, -1.0)
    winner = torch.zeros(labels.shape, dtype=torch.int64)
    for c, plane in enumerate(distribution):
        fused = table[c].index_select(0, flat).view(plane.shape).mul_(plane)
        winner.masked_fill_(fused > best, c)
        torch.maximum(best, fused, out=best)
    return winner

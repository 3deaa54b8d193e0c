"""The engine: one signature per operation, and the only place that decides which path serves a call.

`reference` holds the equations letter by letter, `traced` whole-tensor torch for calls that are compiled,
exported or differentiated, `streamed` plane-by-plane torch for all others, `runs` components on the CPU.
"""

from __future__ import annotations

import torch
from torch import Tensor

from csl_plugin.ops import runs, streamed, traced
from csl_plugin.ops.arithmetic import Rule, Sigmoid, to_stored

__all__ = ["Rule", "Sigmoid", "apply", "assign", "components", "hard_assign", "labels", "means"]


def assign(values: Tensor, validity: Tensor, size: tuple[int, int], sigmoid: Sigmoid) -> Tensor:
    """Equation 2: (B, N, h, w) and (B, N) to labels (B, H, W) int32; -1 everywhere where N = 0."""
    if values.shape[1] == 0:
        return torch.full((values.shape[0], *size), -1, dtype=torch.int32, device=values.device)
    with torch.no_grad():
        if torch.compiler.is_compiling():
            return traced.assign(values, validity, size, sigmoid)
        return streamed.assign(values, validity, size, sigmoid)


def hard_assign(
    values: Tensor, validity: Tensor, size: tuple[int, int], sigmoid: Sigmoid, threshold: float
) -> Tensor:
    """The baseline's labels (B, H, W) int32, -1 where no mask covers the pixel."""
    with torch.no_grad():
        return streamed.hard_assign(values, validity, size, sigmoid, threshold)


def components(labels: Tensor, connectivity: int) -> tuple[Tensor, int]:
    """Connected components of each map of (B, H, W), int32, and the largest count of one image."""
    split = [runs.components(image.numpy(force=True), connectivity) for image in labels]
    parts = torch.stack([torch.from_numpy(part) for part, _ in split])
    return parts.to(labels.device), max(count for _, count in split)


def means(distribution: Tensor, labels: Tensor, num_regions: int) -> Tensor:
    """Region means of D, (B, C, K)."""
    if _is_traced(distribution):
        return traced.means(distribution, labels, num_regions)
    return streamed.means(distribution, labels, num_regions)


def apply(
    distribution: Tensor, labels: Tensor, table: Tensor, rule: Rule, out: Tensor | None = None
) -> Tensor:
    """The fused maps, (B, C, H, W) in the distribution's dtype and memory layout, or written into `out`."""
    if _is_traced(distribution):
        fused = to_stored(traced.apply(distribution, labels, table, rule), distribution.dtype)
        return fused if out is None else out.copy_(fused)
    out = torch.empty_like(distribution) if out is None else out
    streamed.apply(distribution, labels, table, rule, out)
    return out


def labels(distribution: Tensor, region_labels: Tensor, table: Tensor, rule: Rule) -> Tensor:
    """Arg max over classes of the fused maps, (B, H, W) int64."""
    if _is_traced(distribution):
        return traced.labels(distribution, region_labels, table, rule)
    return streamed.labels(distribution, region_labels, table, rule)


def _is_traced(distribution: Tensor) -> bool:
    differentiated = distribution.requires_grad and torch.is_grad_enabled()
    return torch.compiler.is_compiling() or differentiated or distribution.is_meta

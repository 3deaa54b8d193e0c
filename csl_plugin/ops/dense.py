"""Whole-tensor torch: every step is one differentiable, traceable operation on any device.

Used where a call is compiled, exported or differentiated; memory is that of the textbook formulation.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from csl_plugin.ops import adaptive
from csl_plugin.ops.dtypes import Sigmoid, compute_dtype, root, sum_dtype, to_scores
from csl_plugin.ops.partition import Partition
from csl_plugin.ops.pieces import Combine, Pieces, combined_means, slots_of
from csl_plugin.ops.rules import Rule


def assign(values: Tensor, validity: Tensor, size: tuple[int, int], sigmoid: Sigmoid) -> Tensor:
    """Equation 2 over the full (B, N, H, W) tensor. Returns ids (B, H, W) int32."""
    planes = values.to(compute_dtype(values.dtype))
    planes = planes.sigmoid() if sigmoid == "before" else planes
    planes = F.interpolate(planes, size, mode="bilinear", align_corners=False)
    planes = planes.sigmoid() if sigmoid == "after" else planes
    return (planes * validity.to(planes.dtype)[:, :, None, None]).argmax(1).to(torch.int32)


def means(distribution: Tensor, ids: Tensor, num_regions: int) -> Tensor:
    """Region means of D, (B, C, K) in the dtype of the arithmetic; 0 for regions without a pixel."""
    batch, classes = distribution.shape[:2]
    scores = to_scores(distribution).flatten(2)
    index = _slots(ids, num_regions)
    total = sum_dtype(scores.device)
    sums = torch.zeros(batch, classes, num_regions + 1, dtype=total, device=scores.device)
    sums = sums.scatter_add(2, index[:, None].expand(-1, classes, -1), scores.to(total))
    counts = torch.zeros(batch, num_regions + 1, dtype=torch.int64, device=scores.device)
    counts = counts.scatter_add(1, index, torch.ones_like(index))
    quotients = sums / counts.clamp(min=1)[:, None]
    return quotients[..., :num_regions].to(scores.dtype)


def apply(distribution: Tensor, ids: Tensor, table: Tensor, rule: Rule) -> Tensor:
    """The fused maps, (B, C, H, W) in the dtype of the arithmetic."""
    scores = to_scores(distribution).flatten(2)
    classes, (rows, num_regions) = scores.shape[1], table.shape[1:]
    index = _slots(ids, num_regions)
    gathered = F.pad(table, (0, 1)).gather(2, index[:, None].expand(-1, rows, -1))
    unassigned = (index == num_regions)[:, None]
    if rule == "adaptive":
        heard, own, floor = gathered[:, :classes], gathered[:, -2:-1], gathered[:, -1:]
        fused = adaptive.fused(scores, heard, own, floor)
        return torch.where(unassigned, scores, fused).view(distribution.shape)
    prior = torch.where(unassigned, scores, gathered)
    if rule == "mean":
        fused = prior
    elif rule == "product":
        fused = prior * scores
    else:
        fused = root(prior) * root(scores)
    return fused.view(distribution.shape)


def labels(distribution: Tensor, ids: Tensor, table: Tensor, rule: Rule) -> Tensor:
    """Arg max over classes of the fused maps, (B, H, W) int64."""
    return apply(distribution, ids, table, "product" if rule == "geometric" else rule).argmax(1)


def combined(
    distribution: Tensor, partitions: Sequence[Partition], combine: Combine
) -> tuple[Partition, Tensor]:
    """What each pixel's regions say together: a partition into pixels, and its table (B, C, H*W)."""
    scores = to_scores(distribution).flatten(2)
    wide, pixels_of = scores.to(sum_dtype(scores.device)), _pixels(scores, partitions)
    prior, unassigned = combined_means(wide, pixels_of, combine)
    pixels = torch.arange(scores.shape[2], device=scores.device).expand_as(unassigned)
    ids = torch.where(unassigned, -1, pixels).view(-1, *distribution.shape[2:])
    return Partition(scores.shape[2], ids), prior.to(scores.dtype)


def _pixels(scores: Tensor, partitions: Sequence[Partition]) -> Pieces:
    members = torch.stack([part.ids.flatten(1).long() for part in partitions], dim=1)
    sizes = torch.ones_like(scores[:, 0], dtype=sum_dtype(scores.device))
    return Pieces(sizes, members, [part.count for part in partitions])


def _slots(ids: Tensor, num_regions: int) -> Tensor:
    """One flat slot per pixel, (B, H*W) int64; the slot after the last region is that of pixels in none."""
    return slots_of(ids.flatten(1).long(), num_regions)[0]

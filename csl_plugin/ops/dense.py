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
from csl_plugin.ops.pieces import Member, gather, places, sums, together
from csl_plugin.ops.rules import Rule


def assign(values: Tensor, validity: Tensor, size: tuple[int, int], sigmoid: Sigmoid) -> Tensor:
    """Equation 2 over the full (B, N, H, W) tensor. Returns ids (B, H, W) int32."""
    planes = values.to(compute_dtype(values.dtype))
    planes = planes.sigmoid() if sigmoid == "before" else planes
    planes = F.interpolate(planes, size, mode="bilinear", align_corners=False)
    planes = planes.sigmoid() if sigmoid == "after" else planes
    return (planes * validity.to(planes.dtype)[:, :, None, None]).argmax(1).to(torch.int32)


def means(distribution: Tensor, partitions: Sequence[Partition], *, roots: bool) -> Tensor:
    """Region means of D, (B, C, K) in the dtype of the arithmetic; 0 for regions without a pixel.

    K are the regions of all partitions, numbered through. With `roots` also those of the square root of D, as
    further rows.
    """
    scores = to_scores(distribution).flatten(2)
    wide = (torch.cat([scores, root(scores)], 1) if roots else scores).to(sum_dtype(scores.device))
    tables = []
    for part in partitions:
        [(slots, _)] = places([_member(part)])
        counts = sums(torch.ones_like(slots), slots, part.count)
        tables.append(sums(wide, slots, part.count) / counts.clamp(min=1)[:, None])
    return torch.cat(tables, 2).to(scores.dtype)


def apply(distribution: Tensor, partitions: Sequence[Partition], table: Tensor, rule: Rule) -> Tensor:
    """The fused maps, (B, C, H, W) in the dtype of the arithmetic."""
    scores = to_scores(distribution).flatten(2)
    classes = scores.shape[1]
    where = list(places([_member(part) for part in partitions]))
    padded = F.pad(table, (0, 1))
    said = together(((gather(padded, slots), assigned) for slots, assigned in where), rule, classes)
    unassigned = ~torch.stack([assigned for _, assigned in where]).any(0)[:, None]
    if rule == "adaptive":
        heard, own, floor = said[:, :classes], said[:, -2:-1], said[:, -1:]
        fused = adaptive.fused(scores, heard, own, floor)
        return torch.where(unassigned, scores, fused).view(distribution.shape)
    prior = torch.where(unassigned, scores, said)
    if rule == "mean":
        fused = prior
    elif rule == "product":
        fused = prior * scores
    else:
        fused = root(prior) * root(scores)
    return fused.view(distribution.shape)


def labels(distribution: Tensor, partitions: Sequence[Partition], table: Tensor, rule: Rule) -> Tensor:
    """Arg max over classes of the fused maps, (B, H, W) int64."""
    return apply(distribution, partitions, table, "product" if rule == "geometric" else rule).argmax(1)


def _member(part: Partition) -> Member:
    return part.ids.flatten(1).long(), part.count

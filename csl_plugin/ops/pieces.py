"""Several partitions at once: sums over regions as sums over pieces that no region boundary divides.

A piece is a run of pixels on the CPU and a single pixel elsewhere. All statistics of regions are sums over
pieces, so K partitions cost one reading of D.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Pieces(NamedTuple):
    """The pieces of B images, padded to the same number A with pieces of no pixels.

    Attributes:
        sizes: Pixels of each piece, (B, A).
        members: The region of each piece in each of K partitions, (B, K, A) int64; negative for unassigned.
        counts: An upper bound of the region ids of each partition, K numbers.
    """

    sizes: Tensor
    members: Tensor
    counts: Sequence[int]


def average_means(means: Tensor, pieces: Pieces) -> tuple[Tensor, Tensor]:
    """The average of a piece's region means over the partitions that assign it.

    Args:
        means: Mean score of each piece, (B, C, A).
        pieces: Their sizes and regions.

    Returns:
        (B, C, A), and which pieces no partition assigns, (B, A).
    """
    total, assigned_by = torch.zeros_like(means), torch.zeros_like(pieces.sizes)
    for member, count in zip(pieces.members.unbind(1), pieces.counts, strict=True):
        slots, assigned = slots_of(member, count)
        sizes = sums(pieces.sizes, slots, count)
        table = sums(means * pieces.sizes[:, None], slots, count) / sizes.clamp(min=1)[:, None]
        total = total + gather(table, slots)
        assigned_by = assigned_by + assigned
    return total / assigned_by.clamp(min=1)[:, None], assigned_by == 0


def slots_of(member: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """One slot per piece, the last one for pieces in no region; and which pieces are assigned."""
    assigned = is_assigned(member, count)
    return torch.where(assigned, member, count), assigned


def is_assigned(member: Tensor, count: int) -> Tensor:
    """Which pieces are in a region."""
    # An id too high is refused by a compiled call's own check of indices; elsewhere it may be unchecked.
    return member >= 0 if torch.compiler.is_compiling() else (member >= 0) & (member < count)


def sums(values: Tensor, slots: Tensor, count: int) -> Tensor:
    """Values of pieces (B, A) or (B, C, A) added up by region, (..., R)."""
    if values.ndim == 3:
        slots = slots[:, None].expand(-1, values.shape[1], -1)
    zeros = values.new_zeros((*values.shape[:-1], count + 1))
    return zeros.scatter_add(-1, slots, values)[..., :count]


def gather(table: Tensor, slots: Tensor) -> Tensor:
    """Values of regions (B, C, R) at pieces, (B, C, A); 0 where there is no region."""
    return F.pad(table, (0, 1)).gather(2, slots[:, None].expand(-1, table.shape[1], -1))

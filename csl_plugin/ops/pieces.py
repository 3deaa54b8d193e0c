"""Several partitions at once: sums over regions as sums over pieces that no region boundary divides.

A piece is a run of pixels on the CPU and a single pixel elsewhere. All statistics of regions are sums over
pieces, so K partitions cost one reading of D.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

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


OfPartition: TypeAlias = "tuple[Tensor, Tensor]"
"""What one partition says: the mean of each piece's region, (B, C, A), and which pieces have one, (B, A)."""

Combine: TypeAlias = Callable[[Iterable[OfPartition]], Tensor]
"""What K partitions say together, (B, C, A)."""


def combined_means(means: Tensor, pieces: Pieces, combine: Combine) -> tuple[Tensor, Tensor]:
    """What the regions of a piece say together.

    Args:
        means: Mean score of each piece, (B, C, A).
        pieces: Their sizes and regions.
        combine: Of what the partitions say, in their order.

    Returns:
        (B, C, A), and which pieces no partition assigns, (B, A).
    """
    each = zip(pieces.members.unbind(1), pieces.counts, strict=True)
    assigned = torch.stack([is_assigned(member, count) for member, count in each]).any(0)
    return combine(_of_partitions(means, pieces)), ~assigned


def _of_partitions(means: Tensor, pieces: Pieces) -> Iterator[OfPartition]:
    for member, count in zip(pieces.members.unbind(1), pieces.counts, strict=True):
        slots, assigned = slots_of(member, count)
        sizes = sums(pieces.sizes, slots, count)
        table = sums(means * pieces.sizes[:, None], slots, count) / sizes.clamp(min=1)[:, None]
        yield gather(table, slots), assigned


def average(found: Iterable[OfPartition]) -> Tensor:
    """All partitions count the same."""
    return _weighted(found, 1.0)


def halving(found: Iterable[OfPartition]) -> Tensor:
    """Each partition counts half as much as the one before it."""
    return _weighted(found, 0.5)


def last(found: Iterable[OfPartition]) -> Tensor:
    """The last partition that assigns the piece counts alone."""
    each = iter(found)
    result, _ = next(each)
    for means, assigned in each:
        result = torch.where(assigned[:, None], means, result)
    return result


def _weighted(found: Iterable[OfPartition], ratio: float) -> Tensor:
    """An average over those that assign; each counts `ratio` times as much as the one before."""
    each = iter(found)
    means, assigned = next(each)
    weights = assigned_by = assigned.to(means.dtype)
    total = weights[:, None] * means
    for means, assigned in each:
        weight = torch.pow(ratio, assigned_by) * assigned
        total = total + weight[:, None] * means
        weights = weights + weight
        assigned_by = assigned_by + assigned
    return total / torch.where(weights > 0, weights, 1.0)[:, None]


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

"""What several partitions say together of a piece: a set of pixels that no region boundary divides.

A piece is a run of pixels on the CPU and a single pixel elsewhere. All statistics of regions are sums over
pieces, so K partitions cost one reading of D. Their regions are numbered through: those of the first
partition, then those of the second.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from csl_plugin.ops.rules import Rule

Member: TypeAlias = "tuple[Tensor, int]"
"""Each piece's region in one partition, (B, A) int64, negative for unassigned; and an upper bound of them."""

Place: TypeAlias = "tuple[Tensor, Tensor]"
"""Each piece's slot among all regions, (B, A), for none the one after them; and which have one, (B, A)."""

OfPartition: TypeAlias = "tuple[Tensor, Tensor]"
"""What one partition says: the rows of each piece's region, (B, rows, A), and which have one, (B, A)."""


def places(members: Sequence[Member]) -> Iterator[Place]:
    """Where the pieces are in each partition."""
    total, first = sum(count for _, count in members), 0
    for member, count in members:
        assigned = _is_assigned(member, count)
        yield torch.where(assigned, member + first, total), assigned
        first += count


def sums(values: Tensor, slots: Tensor, count: int) -> Tensor:
    """Values of pieces (B, A) or (B, C, A) added up by region, (..., R)."""
    if values.ndim == 3:
        slots = slots[:, None].expand(-1, values.shape[1], -1)
    zeros = values.new_zeros((*values.shape[:-1], count + 1))
    return zeros.scatter_add(-1, slots, values)[..., :count]


def gather(padded: Tensor, slots: Tensor) -> Tensor:
    """Values of regions and one for none, (B, rows, R + 1), at pieces, (B, rows, A)."""
    return padded.gather(2, slots[:, None].expand(-1, padded.shape[1], -1))


def together(found: Iterable[OfPartition], rule: Rule, classes: int) -> Tensor:
    """What partitions say together, (B, rows, A), in their order; 0 for pieces that none assigns.

    The rows are one for each class, and for the rule "adaptive" others after them.
    """
    if rule != "adaptive":
        return _weighted(found, 1)
    if classes > 1:
        return _last(found)
    each = list(found)
    # Each partition counts half as much as the one before it.
    score = _weighted(((rows[:, :1], assigned) for rows, assigned in each), 2)
    return torch.cat([score, _last((rows[:, 1:], assigned) for rows, assigned in each)], 1)


def _last(found: Iterable[OfPartition]) -> Tensor:
    """The last partition that assigns the piece counts alone."""
    each = iter(found)
    result, _ = next(each)
    for rows, assigned in each:
        result = torch.where(assigned[:, None], rows, result)
    return result


def _weighted(found: Iterable[OfPartition], growth: int) -> Tensor:
    """An average over those that assign; one counts `growth` times as much as the next."""
    each = iter(found)
    result, assigned = next(each)
    weight = assigned.to(result.dtype)
    for rows, assigned in each:
        # A step toward the new rows, for the sum of several may be more than the dtype holds.
        weight = torch.where(assigned, growth * weight + 1, weight)
        step = (rows - result) / weight.clamp(min=1)[:, None]
        result = torch.where(assigned[:, None], result + step, result)
    return result


def _is_assigned(member: Tensor, count: int) -> Tensor:
    """Which pieces are in a region."""
    # An id too high is refused by a compiled call's own check of indices; elsewhere it may be unchecked.
    return member >= 0 if torch.compiler.is_compiling() else (member >= 0) & (member < count)

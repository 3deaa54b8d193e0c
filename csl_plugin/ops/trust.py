"""What several partitions together say of every piece of the image that no region divides.

A piece is whatever no region boundary crosses: a run of pixels on the CPU, a single pixel elsewhere. Pieces
carry the mean of the scores, and of their squares, so that all statistics of regions are sums over pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from csl_plugin.ops.rules import Trust

# Of regions that differ by nothing, so that what they are shrunk by stays a number.
_LEAST_BETWEEN = 1e-3


class Pieces(NamedTuple):
    """A images with their pieces, padded to the same number A with pieces of no pixels.

    Attributes:
        sizes: Pixels of each piece, (B, A).
        members: The region of each piece in each of K partitions, (B, K, A) int64; negative for unassigned.
        counts: A bound of the regions of each partition, K numbers.
    """

    sizes: Tensor
    members: Tensor
    counts: Sequence[int]


class Belief(NamedTuple):
    """What the experts say.

    Attributes:
        prior: Of each piece, (B, C, A); of no meaning where silent.
        silent: Pieces of which no expert says anything, (B, A).
        noise: Variance of the pixels about their regions' means, (B, C).
    """

    prior: Tensor
    silent: Tensor
    noise: Tensor


def average(means: Tensor, pieces: Pieces) -> tuple[Tensor, Tensor]:
    """The average of a piece's region means over the partitions that assign it.

    Args:
        means: Mean score of each piece, (B, C, A).
        pieces: Their sizes and regions.

    Returns:
        (B, C, A), and which pieces no partition assigns, (B, A).
    """
    total, voices = torch.zeros_like(means), torch.zeros_like(pieces.sizes)
    for member, count in zip(pieces.members.unbind(1), pieces.counts, strict=True):
        slots, assigned = _slots(member, count)
        sizes = _sums(pieces.sizes, slots, count)
        table = _sums(means * pieces.sizes[:, None], slots, count) / sizes.clamp(min=1)[:, None]
        total = total + _gather(table, slots)
        voices = voices + assigned
    prior = total / voices.clamp(min=1)[:, None]
    return prior, voices == 0


def center(means: Tensor, pieces: Pieces) -> Tensor:
    """The mean of all pixels that some partition assigns, (B, C)."""
    counted = (pieces.members >= 0).any(1)
    sizes = torch.where(counted, pieces.sizes, 0.0)
    sums = torch.where(counted[:, None], means * pieces.sizes[:, None], 0.0).sum(2)
    return sums / sizes.sum(1, keepdim=True).clamp(min=1)


def trusted(means: Tensor, squares: Tensor, pieces: Pieces, trust: Trust) -> Belief:
    """The experts' answers, weighted by how far each deserves it.

    Args:
        means: Mean score of each piece, (B, C, A), less the image's: else rounding swallows small spreads.
        squares: Mean of the squares of such scores, (B, C, A).
        pieces: Their sizes and regions.
        trust: What is assumed.
    """
    experts = [
        _Partition.of(means, squares, pieces.sizes, member, count, trust)
        for member, count in zip(pieces.members.unbind(1), pieces.counts, strict=True)
    ]
    scale = torch.stack([expert.overall for expert in experts]).amax(0)
    scale = _positive(scale)[:, None]
    answer, weight = torch.zeros_like(means), torch.zeros_like(pieces.sizes)
    for expert in experts:
        believed = expert.experience * (expert.variance / scale).clamp(min=1e-12) ** -trust.exponent
        answer = answer + _gather(expert.answer * believed[:, None], expert.slots)
        weight = weight + _gather(believed[:, None], expert.slots)[:, 0]
    silent = weight <= 0
    prior = answer / _positive(weight)[:, None]
    noise = torch.stack([expert.noise for expert in experts]).mean(0)
    return Belief(prior, silent, noise)


def kept(apart: Tensor, noise: Tensor, trust: Trust) -> Tensor:
    """What of a pixel's difference from its experts is signal: the local Wiener filter.

    A pixel stands apart in all its classes or in none: the class that does most decides.

    Args:
        apart: The differences, (B, C, A).
        noise: Variance of such differences, (B, C).
        trust: What is assumed.
    """
    power = (apart * apart / _positive(audible(noise))[..., None]).amax(1, keepdim=True)
    ground = power + trust.keep_sigma**2
    alone = (noise.sum(1) == 0)[:, None, None] | (ground == 0)
    return apart * torch.where(alone, 1.0, power / _positive(ground))


def audible(noise: Tensor) -> Tensor:
    """No class is quieter than rounding: at least a millionth of all classes' noise, (B, C)."""
    return torch.maximum(noise, 1e-6 * noise.sum(1, keepdim=True))


class _Partition(NamedTuple):
    """The R regions of one partition as experts.

    Attributes:
        slots: Region of each piece, (B, A); R where there is none.
        answer: What a region says, (B, C, R).
        variance: How far off it expects to be, summed over the classes, (B, R).
        experience: How much it has seen, in [0, 1), (B, R).
        overall: Variance of all scores, summed over the classes, (B).
        noise: Variance within regions, (B, C).
    """

    slots: Tensor
    answer: Tensor
    variance: Tensor
    experience: Tensor
    overall: Tensor
    noise: Tensor

    @staticmethod
    def of(
        means: Tensor, squares: Tensor, sizes: Tensor, member: Tensor, count: int, trust: Trust
    ) -> _Partition:
        slots, _ = _slots(member, count)
        pixels = _sums(sizes, slots, count)
        some = pixels.clamp(min=1)[:, None]
        mean = _sums(means * sizes[:, None], slots, count) / some
        spread = (_sums(squares * sizes[:, None], slots, count) / some - mean * mean).clamp(min=0)
        image = pixels.sum(1, keepdim=True).clamp(min=1)
        share = (pixels / image)[:, None]
        center = (share * mean).sum(2, keepdim=True)
        noise = (share * spread).sum(2)
        within = noise.sum(1, keepdim=True)
        overall = within + (share * (mean - center) ** 2).sum((1, 2))[:, None]
        between = torch.maximum(overall - within, _LEAST_BETWEEN * overall)
        observations = pixels * (trust.effective_samples / image).clamp(max=1)
        signal = observations * between
        known = torch.where(signal + within > 0, signal / _positive(signal + within), 1.0)[:, None]
        # One observation places the mean; only what comes after says how good it is.
        more = (observations - 1).clamp(min=0)
        evidence = (trust.prior_strength + more).clamp(min=1e-12)
        variance = (trust.prior_strength * overall + more * spread.sum(1)) / evidence
        answer = center + known * (mean - center)
        return _Partition(slots, answer, variance, more / evidence, overall[:, 0], noise)


def _positive(values: Tensor) -> Tensor:
    """Values to divide by: 1 in place of 0."""
    return torch.where(values > 0, values, 1.0)


def _slots(member: Tensor, count: int) -> tuple[Tensor, Tensor]:
    assigned = member >= 0
    return torch.where(assigned, member, count), assigned


def _sums(values: Tensor, slots: Tensor, count: int) -> Tensor:
    """Values of pieces (B, A) or (B, C, A) added up by region, (..., R)."""
    if values.ndim == 3:
        slots = slots[:, None].expand(-1, values.shape[1], -1)
    zeros = values.new_zeros((*values.shape[:-1], count + 1))
    return zeros.scatter_add(-1, slots, values)[..., :count]


def _gather(table: Tensor, slots: Tensor) -> Tensor:
    """Values of regions (B, C, R) at pieces, (B, C, A); 0 where there is no region."""
    return F.pad(table, (0, 1)).gather(2, slots[:, None].expand(-1, table.shape[1], -1))

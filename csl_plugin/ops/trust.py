"""The rule "trust": every region of every partition is an expert on its pixels (docs/guide/fusion.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from csl_plugin.ops.dtypes import fourth_root, largest_root
from csl_plugin.ops.pieces import Pieces, gather, is_assigned, slots_of, sums
from csl_plugin.ops.rules import Trust

# A lower bound of the variance between regions, as a share of the whole: shrinkage stays defined.
_LEAST_BETWEEN = 1e-3
# The variance below which regions count as equally good, as a share of the largest partition's whole.
_LEAST_VARIANCE = 1e-12


class Estimate(NamedTuple):
    """What the experts of each piece expect.

    Attributes:
        prior: Expected score of each piece, (B, C, A); undefined where unassigned.
        unassigned: Pieces without an expert, (B, A).
        noise: Variance of the pixels about their regions' means, (B, C).
    """

    prior: Tensor
    unassigned: Tensor
    noise: Tensor


def center(means: Tensor, pieces: Pieces) -> Tensor:
    """The mean over all pixels that some partition assigns, (B, C)."""
    counted = torch.stack(
        [is_assigned(*part) for part in zip(pieces.members.unbind(1), pieces.counts, strict=True)]
    ).any(0)
    sizes = torch.where(counted, pieces.sizes, 0.0)
    total = torch.where(counted[:, None], means * pieces.sizes[:, None], 0.0).sum(2)
    return total / sizes.sum(1, keepdim=True).clamp(min=1)


def estimate(means: Tensor, squares: Tensor, pieces: Pieces, trust: Trust) -> Estimate:
    """The experts' answers, averaged by their weights.

    Args:
        means: Mean score of each piece, (B, C, A), minus the image's mean: rounding would hide small spreads.
        squares: Mean of the squares of such scores, (B, C, A).
        pieces: Their sizes and regions.
        trust: The rule's parameters.
    """
    experts = [
        _Experts.of(means, squares, pieces.sizes, member, count, trust)
        for member, count in zip(pieces.members.unbind(1), pieces.counts, strict=True)
    ]
    weights = _weights(experts, trust)
    total = torch.zeros_like(means)
    for expert, weight in zip(experts, weights, strict=True):
        total = total + weight[:, None] * gather(expert.answer, expert.slots)
    noise = torch.stack([expert.noise for expert in experts]).mean(0)
    weight = weights.sum(0)
    return Estimate(total / _nonzero(weight)[:, None], weight == 0, noise)


def _weights(experts: Sequence[_Experts], trust: Trust) -> Tensor:
    """The weight of each partition at each piece, (K, B, A); 1 is the largest of a piece, 0 of no region.

    In logarithms, and relative to the best expert of the piece: no exponent overflows.
    """
    scale = _nonzero(torch.stack([expert.overall for expert in experts]).amax(0))[:, None]
    evidence, spread = (
        torch.stack([gather(t[:, None], e.slots, least)[:, 0] for t, e in zip(tables, experts, strict=True)])
        for tables, least in (
            ([e.more.log() - (trust.prior_strength + e.more).log() for e in experts], -torch.inf),
            ([(e.variance / scale).clamp(min=_LEAST_VARIANCE).log() for e in experts], 0.0),
        )
    )
    heard = evidence > -torch.inf
    least = torch.where(heard, spread, torch.inf).amin(0).detach()
    odds = torch.where(heard, evidence - trust.exponent * (spread - least), -torch.inf)
    most = odds.amax(0).clamp(min=torch.finfo(odds.dtype).min).detach()
    return (odds - most).exp()


def fused(scores: Tensor, pieces: Pieces, trust: Trust, dtype: torch.dtype) -> Tensor:
    """The fused scores of pixels, (B, C, P), each pixel a piece; whole-tensor torch, differentiable.

    Args:
        scores: D in the dtype of the arithmetic, (B, C, P).
        pieces: The pixels and their regions.
        trust: The rule's parameters.
        dtype: Of sums over regions.
    """
    roots = fourth_root(scores)
    wide = roots.to(dtype)
    middle = center(wide, pieces)[..., None]
    apart = wide - middle
    found = estimate(apart, apart * apart, pieces, trust)
    prior, noise = (found.prior + middle).to(scores.dtype), found.noise.to(scores.dtype)
    result = prior + _kept(roots - prior, noise, trust)
    result = result.clamp(0, largest_root(scores.dtype)) ** 4
    return torch.where(found.unassigned[:, None], scores, result)


def _kept(apart: Tensor, noise: Tensor, trust: Trust) -> Tensor:
    """How much of a pixel's difference from its experts is signal, by the local Wiener filter.

    A pixel stands apart in all its classes or in none: the class with the largest difference decides.

    Args:
        apart: The differences, (B, C, P).
        noise: Variance of such differences, (B, C).
        trust: The rule's parameters.
    """
    power = (apart * apart / _nonzero(floored(noise))[..., None]).amax(1, keepdim=True)
    ground = power + trust.keep_sigma * trust.keep_sigma
    noiseless = (noise.sum(1) == 0)[:, None, None] | (ground == 0)
    return apart * torch.where(noiseless, 1.0, power / _nonzero(ground))


def floored(noise: Tensor) -> Tensor:
    """Noise per class, (B, C), at least a millionth of the sum over classes: rounding is no signal."""
    return torch.maximum(noise, 1e-6 * noise.sum(1, keepdim=True))


class _Experts(NamedTuple):
    """The R regions of one partition.

    Attributes:
        slots: Region of each piece, (B, A); R where there is none.
        answer: Shrunk mean of each region, (B, C, R).
        variance: Predictive variance, summed over the classes, (B, R).
        more: Observations beyond the first, (B, R).
        overall: Variance of all scores, summed over the classes, (B).
        noise: Variance within regions, (B, C).
    """

    slots: Tensor
    answer: Tensor
    variance: Tensor
    more: Tensor
    overall: Tensor
    noise: Tensor

    @staticmethod
    def of(
        means: Tensor, squares: Tensor, sizes: Tensor, member: Tensor, count: int, trust: Trust
    ) -> _Experts:
        slots, _ = slots_of(member, count)
        pixels = sums(sizes, slots, count)
        some = pixels.clamp(min=1)[:, None]
        mean = sums(means * sizes[:, None], slots, count) / some
        spread = (sums(squares * sizes[:, None], slots, count) / some - mean * mean).clamp(min=0)
        image = pixels.sum(1, keepdim=True).clamp(min=1)
        share = (pixels / image)[:, None]
        middle = (share * mean).sum(2, keepdim=True)
        noise = (share * spread).sum(2)
        within = noise.sum(1, keepdim=True)
        overall = within + (share * (mean - middle) ** 2).sum((1, 2))[:, None]
        between = torch.maximum(overall - within, _LEAST_BETWEEN * overall)
        observations = pixels * (trust.effective_samples / image).clamp(max=1)
        signal = observations * between
        shrinkage = torch.where(signal + within > 0, signal / _nonzero(signal + within), 1.0)[:, None]
        # One observation places the mean; only further ones measure how good it is.
        more = (observations - 1).clamp(min=0)
        total = _nonzero(trust.prior_strength + more)
        variance = trust.prior_strength / total * overall + more / total * spread.sum(1)
        answer = middle + shrinkage * (mean - middle)
        return _Experts(slots, answer, variance, more, overall[:, 0], noise)


def _nonzero(values: Tensor) -> Tensor:
    """Values to divide by: 1 in place of 0."""
    return torch.where(values > 0, values, 1.0)

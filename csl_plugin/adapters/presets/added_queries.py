"""Queries that a processor drops, added to an output for what its kept queries do not hold of a fused map."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from csl_plugin._tracing import all_values
from csl_plugin.adapters.presets.class_heads import ClassHead
from csl_plugin.errors import ScoreRangeError

LEAST = -14.0
"""A mask logit of a share near 0 from which a processor's resizing comes back within a pixel."""
_MOST = 8 << 30  # bytes of masks


def added_queries(
    sums: Tensor, classes: list[int], head: ClassHead, logits: Tensor, least: float = -torch.inf
) -> tuple[Tensor, Tensor]:
    """Mask logits (B, N, h, w) and class logits (B, N, C) whose sum over queries is `sums`.

    No threshold from 1/2 on, on classes or masks, finds one of these queries. A sum takes as many equal
    queries as it needs, at least one. Where a query gives something to every class, the sums of a pixel are
    larger, all by the same.

    Args:
        sums: The sums >= 0, (B, K, h, w).
        classes: The class of each of the K sums.
        head: What class logits mean.
        logits: Those of the output, (B, Q, C).
        least: The smallest mask logit.

    Raises:
        ScoreRangeError: A sum is not finite, or so large that the queries to hold it take over 8 GiB.
    """
    given = head.probabilities(head.added_rows(classes[:1], logits).to(sums.dtype))[0]
    probability = float(given[classes[0]])
    spread = (float(given.sum()) - probability) / max(1, len(given) - 1)  # of every other class
    masks_of = _masked(sums, probability, spread)
    peaks = all_values(masks_of.detach()).amax((0, 2, 3)).tolist()
    needed = sum(peaks) / head.largest
    if not needed * (sums[:, 0].numel() * sums.element_size()) < _MOST:
        got = f"scores whose sums over queries take {needed:.3g} queries"
        hint = 'Fuse with another rule than "product", which leaves the model\'s scale, and with check=True.'
        raise ScoreRangeError("fused map", got, f"finite ones that {_MOST >> 30} GiB of queries hold", hint)
    copies = [max(1, math.ceil(peak / head.largest)) for peak in peaks]
    masks = [
        mask_logits(masks_of[:, k, None] / n, logits.dtype).clamp(min=least).expand(-1, n, -1, -1)
        for k, n in enumerate(copies)
    ]
    index = [label for label, n in zip(classes, copies, strict=True) for _ in range(n)]
    return torch.cat(masks, 1), head.added_rows(index, logits).expand(len(sums), -1, -1)


def _masked(sums: Tensor, probability: float, spread: float) -> Tensor:
    """The sum of the masks of each class, (B, K, h, w), whose queries give it `sums`.

    Args:
        sums: The sums.
        probability: What a query gives to its class.
        spread: What it gives to every other class. As much of that as all sums hold is left out of them.
    """
    if not spread:
        return sums / probability
    share = spread / (probability - spread)
    common = share * sums.sum(1, keepdim=True) / (1 + share * sums.shape[1])
    return (sums - torch.minimum(common, sums.amin(1, keepdim=True))) / (probability - spread)


def mask_logits(shares: Tensor, dtype: torch.dtype) -> Tensor:
    """The logits of shares in [0, 1], finite, with the precision of small shares kept."""
    limits = torch.finfo(dtype)
    tiny = float(torch.finfo(torch.float32).tiny)
    return (shares.clamp(min=tiny).log() - (1 - shares).clamp(min=limits.eps / 2).log()).clamp(limits.min)

"""Queries that a processor drops, added to an output for what its kept queries do not hold of a fused map."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from csl_plugin._tracing import all_values
from csl_plugin.adapters.presets.kept_queries import CERTAIN
from csl_plugin.errors import ScoreRangeError

_LOGIT = -1.0  # of the class against "none"; every dtype holds it exactly
_PROBABILITY = 1 / (1 + math.e)
_LARGEST = 0.5  # of a mask: one that never exceeds it is empty to every processor
LEAST = -14.0
"""A mask logit of a share near 0 from which a processor's resizing comes back within a pixel."""
_MOST = 8 << 30  # bytes of masks


def added_queries(
    sums: Tensor, classes: list[int], count: int, dtype: torch.dtype, least: float = -torch.inf
) -> tuple[Tensor, Tensor]:
    """Mask logits (B, N, h, w) and class logits (B, N, `count`) whose sum over queries is `sums`.

    Each query is "none" with a probability of 0.73, and its mask is at most 1/2: no threshold on either finds
    it. A sum takes as many equal queries as it needs, at least one.

    Args:
        sums: The sums >= 0, (B, K, h, w).
        classes: The class of each of the K sums.
        count: The number of classes with "none", the last one.
        dtype: The output's dtype.
        least: The smallest mask logit.

    Raises:
        ScoreRangeError: A sum is not finite, or so large that the queries to hold it take over 8 GiB.
    """
    peaks = all_values(sums.detach()).amax((0, 2, 3)).tolist()
    needed = sum(peaks) / (_PROBABILITY * _LARGEST)
    if not needed * (sums[:, 0].numel() * sums.element_size()) < _MOST:
        got = f"scores whose sums over queries take {needed:.3g} queries"
        hint = 'Fuse with another rule than "product", which leaves the model\'s scale, and with check=True.'
        raise ScoreRangeError("fused map", got, f"finite ones that {_MOST >> 30} GiB of queries hold", hint)
    copies = [max(1, math.ceil(peak / (_PROBABILITY * _LARGEST))) for peak in peaks]
    shares = [sums[:, k, None] / (n * _PROBABILITY) for k, n in enumerate(copies)]
    masks = [
        mask_logits(share, dtype).clamp(min=least).expand(-1, n, -1, -1)
        for share, n in zip(shares, copies, strict=True)
    ]
    rows = torch.full((sum(copies), count), -CERTAIN, dtype=dtype, device=sums.device)
    rows[:, -1] = 0.0
    index = [label for label, n in zip(classes, copies, strict=True) for _ in range(n)]
    rows[range(len(index)), index] = _LOGIT
    return torch.cat(masks, 1), rows.expand(len(sums), -1, -1)


def mask_logits(shares: Tensor, dtype: torch.dtype) -> Tensor:
    """The logits of shares in [0, 1], finite, with the precision of small shares kept."""
    limits = torch.finfo(dtype)
    tiny = float(torch.finfo(torch.float32).tiny)
    return (shares.clamp(min=tiny).log() - (1 - shares).clamp(min=limits.eps / 2).log()).clamp(limits.min)

"""The model's own queries, kept when a fused map is written, so that what its processor finds stays found.

A processor thresholds the probability of a query's class, compares probability times mask between queries,
and tests how much of its mask a query keeps. A query whose class has a probability over 1/2 is called sure:
any threshold from 1/2 on can find it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from csl_plugin._autocast import without_autocast
from csl_plugin._tracing import untransformed
from csl_plugin.arrays import has_values
from csl_plugin.errors import DeviceError

# The softmax of logits with this difference is exactly 1 and 0, also in half precision.
CERTAIN = 200.0
_STRICT = 0.8  # the highest default threshold of the processors


@dataclass(frozen=True)
class KeptQueries:
    """Queries of which each has one class.

    Args:
        masks: Mask probabilities, (B, Q, h, w).
        labels: The most probable class of each query, (B, Q).
        logits: The logit of its probability, (B, Q), in the output's dtype.
    """

    masks: Tensor
    labels: Tensor
    logits: Tensor

    @property
    def probabilities(self) -> Tensor:
        """The probability of each query's class, (B, Q)."""
        return self.logits.to(self.masks.dtype).sigmoid()

    @property
    def sure(self) -> Tensor:
        """The queries whose class has a probability over 1/2, (B, Q)."""
        return self.logits.detach() > 0

    def held(self) -> Tensor:
        """Probability times mask of the sure queries, (B, Q, h, w), 0 for the others; without gradient."""
        return (self.probabilities * self.sure)[..., None, None].detach() * self.masks.detach()


def kept_queries(
    masks: Tensor,
    classes: Tensor,
    best: Callable[[Tensor], tuple[Tensor, Tensor]],
    size: tuple[int, int],
    dtype: torch.dtype,
) -> KeptQueries:
    """The queries of mask logits (B, Q, h, w) and class logits (B, Q, C), with their most probable class.

    Args:
        masks: The mask logits; resized to `size`, bilinear, where they have another one.
        classes: The class logits.
        best: The class of each query and the logit of its probability, from class logits.
        size: (h, w) of the fused map.
        dtype: float32 or float64, for the arithmetic.

    Raises:
        DeviceError: They have no values, on which the queries of a fused map depend.
        OptionError: torch.func.vmap maps over them.
    """
    if not (has_values(masks) and has_values(classes)):
        got = "queries on meta, fake, or recorded by torch.export"
        hint = "How many queries a fused map takes depends on the scores: export the model by itself."
        raise DeviceError("model output", got, "tensors with values", hint)
    untransformed("model output", masks)
    untransformed("model output", classes)
    masks = resized(masks, size).to(dtype)
    labels, logits = best(classes.to(dtype))
    return KeptQueries(masks.sigmoid(), labels, logits.clamp(-CERTAIN, CERTAIN).to(classes.dtype))


def resized(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Mask logits (B, Q, h, w) at another size, bilinear."""
    if tuple(masks.shape[-2:]) == size:
        return masks
    return F.interpolate(masks, size, mode="bilinear", align_corners=False)


def followed(own: KeptQueries, fused: Tensor) -> KeptQueries:
    """The queries after fusion: sure ones follow the classes of the fused map, (B, K, h, w).

    A segment takes the class that most of its pixels have in the fused map. A pixel whose fused class is not
    that of the query which owns it goes to the query of that class that claims it most, if there is one as
    likely to be kept. So each of several objects of a class keeps its own pixels.
    """
    with torch.no_grad():
        winners = fused.argmax(1)
        held = own.held()
        owners = held.argmax(1)
        labels = _relabeled(own, winners, owners, fused.shape[1])
        sure = own.sure[..., None, None]
        same = (labels[..., None, None] == winners[:, None]) & sure
        probability = own.probabilities
        least = probability.gather(1, owners.flatten(1)).view(owners.shape).clamp(max=_STRICT)
        able = same & (probability[..., None, None] >= least[:, None])
        heirs = torch.where(able, held, -1.0).argmax(1, keepdim=True)
        moved = able.any(1, keepdim=True) & ~same.gather(1, owners[:, None])
    best = torch.maximum(own.masks.gather(1, heirs), own.masks.gather(1, owners[:, None]))
    most = 0.5 * best * probability.gather(1, heirs.flatten(1)).view(heirs.shape)
    masks = torch.where(moved & sure & ~same, torch.minimum(own.masks, most), own.masks)
    masks = masks.scatter(1, heirs, torch.where(moved, best, masks.gather(1, heirs)))
    return replace(own, masks=masks, labels=labels)


def _relabeled(own: KeptQueries, winners: Tensor, owners: Tensor, classes: int) -> Tensor:
    """Labels (B, Q): the class of most pixels, where a sure query owns more than half of its mask."""
    batch, queries = own.labels.shape
    inside = own.masks >= 0.5
    owned = inside.gather(1, owners[:, None])[:, 0]
    images = torch.arange(batch, device=winners.device).view(-1, 1, 1).expand_as(owners)
    cells = ((images * queries + owners) * classes + winners)[owned]
    votes = torch.bincount(cells, minlength=batch * queries * classes).view(batch, queries, classes)
    won, most = votes.sum(-1), votes.max(-1)
    own_votes = votes.gather(-1, own.labels[..., None])[..., 0]
    change = own.sure & (2 * won > inside.sum((2, 3))) & (most.values > own_votes)
    return torch.where(change, most.indices, own.labels)


def fitted(total: Tensor, weights: Tensor, masks: Tensor, first: Tensor) -> Tensor:
    """Masks (B, Q, h, w), lowered so that their weighted sum is at most the total.

    Args:
        total: The sum to stay below, (B, K, h, w).
        weights: What a query gives to each sum, (B, Q, K); the largest one decides.
        masks: The masks.
        first: Where a mask is served first, boolean (B, Q, h, w) or (B, Q, 1, 1); the others share the rest.
    """
    served = weighted(weights, masks * first)
    others = weighted(weights, masks * ~first)
    tiny = torch.finfo(masks.dtype).tiny
    shares = (
        (total / served.clamp(min=tiny)).clamp(max=1.0),
        ((total - served).clamp(min=0.0) / others.clamp(min=tiny)).clamp(max=1.0),
    )
    place = weights.argmax(-1)[..., None, None].expand_as(masks)
    return masks * torch.where(first, shares[0].gather(1, place), shares[1].gather(1, place))


def weighted(weights: Tensor, masks: Tensor) -> Tensor:
    """Sums (B, K, h, w) of masks (B, Q, h, w) with weights (B, Q, K), in their dtype, also under autocast."""
    with without_autocast(masks.device):
        return torch.einsum("bqk,bqhw->bkhw", weights, masks)

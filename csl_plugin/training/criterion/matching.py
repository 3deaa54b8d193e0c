"""Which query is compared with which region: the assignment of least cost."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from csl_plugin.training.criterion.targets import RegionTargets

_MASK, _DICE, _VALIDITY = 5.0, 5.0, 2.0


@torch.no_grad()
def match(
    mask_logits: Tensor,
    validity_logits: Tensor,
    targets: RegionTargets,
    cells: Tensor,
    class_logits: Tensor | None = None,
) -> Tensor:
    """Hungarian matching on a sample of cells.

    Args:
        mask_logits: (L, B, N, cells) of L predictions.
        validity_logits: (L, B, N).
        targets: Of the batch.
        cells: (P,) indices of the cells on which costs are computed.
        class_logits: (L, B, N, K + 1) where queries and targets have classes: the probability of the region's
            class then replaces validity.

    Returns:
        (L, B, K) the query of each region; -1 for regions that an image lacks, and for those without a query
        where there are more regions than queries.
    """
    from scipy.optimize import linear_sum_assignment

    layers, batch = mask_logits.shape[:2]
    count = targets.shares.shape[1]
    logits = mask_logits[..., cells].float()
    weights = targets.counted[:, cells]
    inside = (targets.shares[:, :, cells] * weights[:, None]).transpose(1, 2)
    total = weights.sum(1).clamp(min=1e-6)
    positive = F.softplus(-logits) @ inside
    negative = (F.softplus(logits) * weights[:, None]).sum(-1, keepdim=True) - F.softplus(logits) @ inside
    mask_cost = (positive + negative) / total[:, None, None]
    scores = logits.sigmoid()
    both = (scores * weights[:, None]).sum(-1, keepdim=True) + inside.sum(1)[:, None]
    dice_cost = 1 - (2 * scores @ inside + 1) / (both + 1)
    cost = (
        _MASK * mask_cost
        + _DICE * dice_cost
        - _VALIDITY * _probability(validity_logits, class_logits, targets)
    )
    costs = torch.nan_to_num(cost, nan=1e4, posinf=1e4, neginf=-1e4).cpu().numpy()
    found = np.full((layers, batch, count), -1, np.int64)
    present = targets.present.cpu().numpy()
    for layer in range(layers):
        for image in range(batch):
            regions = np.flatnonzero(present[image])
            chosen, of = linear_sum_assignment(costs[layer, image][:, regions])
            found[layer, image, regions[of]] = chosen
    return torch.from_numpy(found).to(mask_logits.device)


def _probability(validity_logits: Tensor, class_logits: Tensor | None, targets: RegionTargets) -> Tensor:
    """Probability that a query is a region, of each region's class if it has one, (L, B, N, K or 1)."""
    if class_logits is None or targets.classes is None:
        return validity_logits.float().sigmoid()[..., None]
    wanted = targets.classes[None, :, None, :].expand(*class_logits.shape[:3], -1)
    return class_logits.float().softmax(-1).gather(-1, wanted)

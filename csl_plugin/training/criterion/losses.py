"""The paper's losses: validity, region and distillation; and those of the two optional heads."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from csl_plugin.distributed import SINGLE, Processes
from csl_plugin.errors import OptionError
from csl_plugin.models import NetworkOutput, RegionPrediction
from csl_plugin.models.network import STRIDE
from csl_plugin.ops import to_probabilities
from csl_plugin.training.criterion.matching import match
from csl_plugin.training.criterion.targets import RegionTargets, boundary_targets, region_targets

WEIGHTS = {
    "validity": 2.0,
    "region": 5.0,
    "dice": 5.0,
    "point_region": 2.5,
    "point_dice": 2.5,
    "distillation": 400.0,
}
_UNMATCHED = 0.5
_BOUNDARY = 4.0
# Shares of the cells, drawn at random, on which queries are matched and on which losses are computed.
_MATCHING_SHARE, _LOSS_SHARE = 0.25, 0.5


def losses(
    output: NetworkOutput,
    regions: Tensor,
    points: Tensor | None = None,
    *,
    classes: Tensor | None = None,
    generator: torch.Generator | None = None,
    processes: Processes = SINGLE,
) -> dict[str, Tensor]:
    """The weighted losses of a batch by name; their sum is minimized.

    Args:
        output: Of the network in training mode, for images whose sides are multiples of 4.
        regions: (B, H, W) integer region ids from 0; negative pixels are ignored. A query without a region
            may hold any of them, so "no region" counts for it by the share of its image that is not ignored.
        points: (B, P, 2), the points that the network was given.
        classes: (B, H, W) class ids, constant in every region, for a network whose queries have classes;
            pixels of negative ones are ignored.
        generator: Draws the cells on which losses are computed; torch's global generator by default.
        processes: Those that share the batch. Normalizers are sums over all of them, so the losses of the
            processes add up to those of the whole batch.

    Raises:
        OptionError: Queries have classes, and `classes` is None or holds a class that they lack.

    Source:
        Paper, Figure 1 (validity and region loss); Cheng et al. 2022 (deep supervision, dice, and the
        classification loss of the class-aware variant).
    """
    if classes is not None:
        regions = torch.where(classes < 0, -1, regions)
    targets = region_targets(regions, STRIDE, classes)
    num_cells = targets.counted.shape[1]
    order = torch.randperm(num_cells, generator=generator).to(regions.device)
    matched_on = order[: max(1, int(num_cells * _MATCHING_SHARE))]
    compared = order[: max(1, int(num_cells * _LOSS_SHARE))]
    found = _query_losses(output.regions, targets, matched_on, compared, processes)
    if output.pointed is not None and points is not None:
        found |= _point_losses(output.pointed, targets, regions, points, compared, processes)
    if output.boundary is not None:
        found["boundary"] = _BOUNDARY * boundary_loss(output.boundary, regions, processes)
    return found


def boundary_loss(logits: Tensor, regions: Tensor, processes: Processes = SINGLE) -> Tensor:
    """Binary cross-entropy over all cells that are not ignored.

    Cells with and without a boundary weigh one over the square root of their share.

    Args:
        logits: (B, 1, H / 2, W / 2) of the network.
        regions: (B, H, W), as for `losses`.
        processes: As for `losses`.
    """
    target, counted = boundary_targets(regions)
    on_boundary, cells = processes.total(torch.stack([(target * counted).sum(), counted.sum()]))
    share = (on_boundary / cells.clamp(min=1.0)).clamp(0.01, 0.99)
    weights = counted * torch.where(target > 0, share**-0.5, (1 - share) ** -0.5)
    loss = F.binary_cross_entropy_with_logits(logits.float(), target, weights, reduction="sum")
    return loss / processes.total(weights.sum()).clamp(min=1.0)


def finer_boundary_loss(
    finer: Tensor, halved: Tensor, boundary: Tensor, regions: Tensor, processes: Processes = SINGLE
) -> Tensor:
    """Binary cross-entropy of the finer boundaries with what the network itself predicts in two passes.

    The target is the mean of the boundaries at both sizes: at half the size wide ones are certain, at the
    full size those of small things are there. Labels serve only to leave out what is ignored.

    Args:
        finer: (B, 1, H / 2, W / 2) logits for images of half the size and the images as the finer ones.
        halved: (B, 1, h, w) logits of the boundary head for the images of half the size.
        boundary: (B, 1, H / 2, W / 2) logits of the boundary head for the images.
        regions: (B, H, W), as for `losses`.
        processes: As for `losses`.
    """
    _, counted = boundary_targets(regions)
    size = (boundary.shape[2], boundary.shape[3])
    with torch.no_grad():
        wide = F.interpolate(halved.float().sigmoid(), size, mode="bilinear", align_corners=False)
        target = (boundary.float().sigmoid() + wide) / 2
    loss = F.binary_cross_entropy_with_logits(finer.float(), target, counted, reduction="sum")
    return _BOUNDARY * loss / processes.total(counted.sum()).clamp(min=1.0)


def distillation_loss(
    distribution: Tensor, teacher: Tensor, counted: Tensor | None = None, processes: Processes = SINGLE
) -> Tensor:
    """Mean Huber loss between two per-pixel distributions (scheme 1).

    Args:
        distribution: (B, C, h, w) logits of the network.
        teacher: (B, C, h, w) distribution of the teacher, in [0, 1].
        counted: (B, h, w) in [0, 1], the weight of each pixel; 1 by default.
        processes: As for `losses`.

    Source:
        Paper, "two schemes": "the mean Huber loss between the predicted per-pixel distribution and the output
        of the base teacher network".
    """
    own = to_probabilities(distribution.float(), 1)
    error = F.huber_loss(own, teacher.float(), reduction="none").mean(1)
    if counted is None:
        counted = torch.ones_like(error)
    return (error * counted).sum() / processes.total(counted.sum()).clamp(min=1.0)


def _query_losses(
    predictions: Sequence[RegionPrediction],
    targets: RegionTargets,
    matched_on: Tensor,
    compared: Tensor,
    processes: Processes,
) -> dict[str, Tensor]:
    logits = torch.stack([prediction.mask_logits.flatten(2) for prediction in predictions])
    validity = torch.stack([prediction.validity_logits for prediction in predictions]).float()
    class_logits = _class_logits(predictions, targets)
    matched = match(logits, validity, targets, matched_on, class_logits)
    layer, image, region = (matched >= 0).nonzero(as_tuple=True)
    query = matched[layer, image, region]
    is_region = torch.zeros_like(validity)
    is_region[layer, image, query] = 1.0
    unmatched = _UNMATCHED * targets.counted.mean(1)[:, None]
    weight = torch.where(is_region > 0, 1.0, unmatched)
    if class_logits is None or targets.classes is None:
        errors = F.binary_cross_entropy_with_logits(validity, is_region, reduction="none")
    else:
        target = torch.full_like(is_region, class_logits.shape[-1] - 1, dtype=torch.int64)
        target[layer, image, query] = targets.classes[image, region]
        errors = F.cross_entropy(class_logits.movedim(-1, 1), target, reduction="none")
    weights, pairs = processes.total(torch.stack([weight.sum(), weight.new_tensor(len(image))]))
    validity_loss = (weight * errors).sum() / weights.clamp(min=1e-6)
    region_loss, dice = _region_losses(logits[layer, image, query], targets, image, region, compared, pairs)
    layers = len(predictions)
    return {
        "validity": WEIGHTS["validity"] * layers * validity_loss,
        "region": WEIGHTS["region"] * layers * region_loss,
        "dice": WEIGHTS["dice"] * layers * dice,
    }


def _class_logits(predictions: Sequence[RegionPrediction], targets: RegionTargets) -> Tensor | None:
    """(L, B, N, K + 1), None where queries have no classes."""
    given = [prediction.class_logits for prediction in predictions if prediction.class_logits is not None]
    if not given:
        return None
    found = torch.stack(given).float()
    last = found.shape[-1] - 2
    if targets.classes is None or int(targets.classes.max()) > last:
        got = "none" if targets.classes is None else f"a class {int(targets.classes.max())}"
        hint = "Name as many region_classes as the labels have, and pass the classes of the batch."
        raise OptionError("classes", got, f"class ids up to {last}, as the network has", hint)
    return found


def _point_losses(
    predictions: Sequence[RegionPrediction],
    targets: RegionTargets,
    regions: Tensor,
    points: Tensor,
    compared: Tensor,
    processes: Processes,
) -> dict[str, Tensor]:
    """The query of each point is compared with the region under it; its validity with the mask's IoU."""
    size = torch.tensor(regions.shape[1:], device=points.device)
    place = torch.minimum((points * size).long(), size - 1)
    batch = torch.arange(len(points), device=points.device)[:, None]
    under = regions[batch, place[..., 0], place[..., 1]].long()
    image, point = (under >= 0).nonzero(as_tuple=True)
    region = under[image, point]
    pairs = processes.total(points.new_tensor(len(image)))
    found = {"point_region": points.new_zeros(()), "point_dice": points.new_zeros(())}
    found["point_validity"] = points.new_zeros(())
    for prediction in predictions[1:]:  # before the first layer a query has read one pixel only
        logits = prediction.mask_logits.flatten(2)[image, point]
        region_loss, dice = _region_losses(logits, targets, image, region, compared, pairs)
        found["point_region"] = found["point_region"] + WEIGHTS["point_region"] * region_loss
        found["point_dice"] = found["point_dice"] + WEIGHTS["point_dice"] * dice
        if len(image):
            quality = _overlap(logits.detach(), targets, image, region)
            validity = prediction.validity_logits[image, point].float()
            own = F.binary_cross_entropy_with_logits(validity, quality, reduction="sum")
            found["point_validity"] = found["point_validity"] + WEIGHTS["validity"] * own / pairs
    return found


def _region_losses(
    logits: Tensor,
    targets: RegionTargets,
    image: Tensor,
    region: Tensor,
    compared: Tensor,
    pairs: Tensor,
) -> tuple[Tensor, Tensor]:
    """Cross-entropy and dice loss of M pairs with logits (M, cells), over all pairs; 0 for M = 0."""
    if not len(image):
        return logits.sum() * 0.0, logits.sum() * 0.0
    logits = logits[:, compared].float()
    inside = targets.shares[image, region][:, compared]
    weights = targets.counted[image][:, compared]
    entropy = F.binary_cross_entropy_with_logits(logits, inside, weights, reduction="none").sum(1)
    scores, inside = logits.sigmoid() * weights, inside * weights
    dice = 1 - (2 * (logits.sigmoid() * inside).sum(1) + 1) / (scores.sum(1) + inside.sum(1) + 1)
    return (entropy / weights.sum(1).clamp(min=1.0)).sum() / pairs, dice.sum() / pairs


def _overlap(logits: Tensor, targets: RegionTargets, image: Tensor, region: Tensor) -> Tensor:
    """Intersection over union of each mask and its region, (M,)."""
    weights = targets.counted[image]
    mask, inside = (logits > 0) * weights, targets.shares[image, region] * weights
    both = torch.minimum(mask, inside).sum(1)
    return both / (mask.sum(1) + inside.sum(1) - both).clamp(min=1e-6)

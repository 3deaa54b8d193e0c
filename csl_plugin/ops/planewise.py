"""One plane at a time on any device: never N x H x W, never a second C x H x W."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from csl_plugin.ops import adaptive
from csl_plugin.ops.dtypes import Sigmoid, compute_dtype, root, sum_dtype, to_scores, to_stored
from csl_plugin.ops.partition import Partition
from csl_plugin.ops.pieces import Place, places, together
from csl_plugin.ops.rules import Rule


def assign(values: Tensor, validity: Tensor, size: tuple[int, int], sigmoid: Sigmoid) -> Tensor:
    """Equation 2, one region after the other. Returns ids (B, H, W) int32."""
    ids = torch.zeros(values.shape[0], *size, dtype=torch.int32, device=values.device)
    best: Tensor | None = None
    for n in range(values.shape[1]):
        probability = upsampled(values[:, n], size, sigmoid)
        probability *= validity[:, n, None, None].to(probability.dtype)
        if best is None:
            best = probability
            continue
        # Strictly greater, so that ties stay with the lowest index.
        ids.masked_fill_(probability > best, n)
        torch.maximum(best, probability, out=best)
    return ids


def hard_assign(
    values: Tensor, validity: Tensor, size: tuple[int, int], sigmoid: Sigmoid, threshold: float
) -> Tensor:
    """Binary masks painted in ascending validity. Returns ids (B, H, W) int32, -1 where nothing covers."""
    ids = torch.full((values.shape[0], *size), -1, dtype=torch.int32, device=values.device)
    for image, masks, valid in zip(ids, values, validity, strict=True):
        # Stable and descending, then reversed: among equal validities the lowest index is painted last.
        for n in reversed(torch.argsort(valid, descending=True, stable=True).tolist()):
            image.masked_fill_(upsampled(masks[n, None], size, sigmoid)[0] > threshold, n)
    return ids


def upsampled(planes: Tensor, size: tuple[int, int], sigmoid: Sigmoid) -> Tensor:
    """(B, h, w) scores or logits of one region at the image's size, (B, H, W), freshly allocated."""
    source = planes.to(compute_dtype(planes.dtype), copy=True)
    source = source.sigmoid_() if sigmoid == "before" else source
    result = F.interpolate(source[:, None], size, mode="bilinear", align_corners=False)[:, 0]
    return result.sigmoid_() if sigmoid == "after" else result


def means(distribution: Tensor, partitions: Sequence[Partition], *, roots: bool) -> Tensor:
    """Region means of D, (B, C, K) in the dtype of the arithmetic; 0 for regions without a pixel.

    K are the regions of all partitions, numbered through. With `roots` also those of the square root of D, as
    further rows.
    """
    batch, classes = distribution.shape[:2]
    count, total = sum(part.count for part in partitions), sum_dtype(distribution.device)
    rows = 2 * classes if roots else classes
    table = torch.empty(
        batch, rows, count, dtype=compute_dtype(distribution.dtype), device=distribution.device
    )
    for b in range(batch):
        slots = [slots for slots, _ in _places(partitions, b)]

        def summed(plane: Tensor, slots: Sequence[Tensor] = slots) -> Tensor:
            sums = torch.zeros(count + 1, dtype=total, device=plane.device)
            for each in slots:
                sums.index_add_(0, each, plane.flatten().to(total))
            return sums[:count]

        counts = summed(torch.ones_like(distribution[b, 0])).clamp_(min=1)
        for c, plane in enumerate(distribution[b]):
            scores = to_scores(plane)
            table[b, c] = summed(scores) / counts
            if roots:
                table[b, classes + c] = summed(root(scores)) / counts
    return table


def apply(
    distribution: Tensor, partitions: Sequence[Partition], table: Tensor, rule: Rule, out: Tensor
) -> None:
    """Write the fused maps into `out`, which may be the distribution itself."""
    for b in range(distribution.shape[0]):
        for c, fused in enumerate(_fused(distribution[b], _places(partitions, b), table[b], rule)):
            out[b, c] = to_stored(fused, out.dtype)


def labels(distribution: Tensor, partitions: Sequence[Partition], table: Tensor, rule: Rule) -> Tensor:
    """Arg max over classes of the fused maps, (B, H, W) int64, holding two planes at a time."""
    batch, _, height, width = distribution.shape
    winners = torch.zeros(batch, height, width, dtype=torch.int64, device=distribution.device)
    # The square root keeps the order, so the product decides for it.
    rule = "product" if rule == "geometric" else rule
    for b in range(batch):
        planes = enumerate(_fused(distribution[b], _places(partitions, b), table[b], rule))
        _, best = next(planes)
        for c, fused in planes:
            winners[b].masked_fill_(fused > best, c)
            best = torch.maximum(best, fused)
    return winners


def _places(partitions: Sequence[Partition], b: int) -> list[Place]:
    """Where the pixels of one image are in each partition, flat."""
    return list(places([(part.ids[b].flatten().long(), part.count) for part in partitions]))


def _fused(distribution: Tensor, where: Sequence[Place], table: Tensor, rule: Rule) -> Iterator[Tensor]:
    """The fused maps of one image (C, H, W), class by class; each (H, W), and read before the next."""
    classes, height, width = distribution.shape
    unassigned = ~torch.stack([assigned for _, assigned in where]).any(0).view(height, width)

    def said(*rows: int) -> Tensor:
        chosen = F.pad(table[list(rows)], (0, 1))
        found = ((chosen.index_select(1, slots)[None], assigned[None]) for slots, assigned in where)
        return together(found, rule, classes)[0].view(-1, height, width)

    if rule == "adaptive":
        _, own, floor = said(0, -2, -1)
        for c, plane in enumerate(distribution):
            [heard] = said(c)
            scores = to_scores(plane)
            yield torch.where(unassigned, scores, adaptive.fused(scores, heard, own, floor))
        return
    for c, plane in enumerate(distribution):
        scores = to_scores(plane)
        [prior] = said(c)
        prior = torch.where(unassigned, scores, prior)
        if rule == "geometric":
            prior, scores = prior.sqrt(), scores.sqrt()
        yield prior if rule == "mean" else prior * scores

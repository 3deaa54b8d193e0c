"""One plane at a time on any device: never N x H x W, never a second C x H x W."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from csl_plugin.ops import adaptive
from csl_plugin.ops.dtypes import Sigmoid, compute_dtype, sum_dtype, to_scores, to_stored
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


def means(distribution: Tensor, ids: Tensor, num_regions: int) -> Tensor:
    """Region means of D, (B, C, K) in the dtype of the arithmetic; 0 for regions without a pixel."""
    batch, classes = distribution.shape[:2]
    dtype, total = compute_dtype(distribution.dtype), sum_dtype(distribution.device)
    table = torch.empty(batch, classes, num_regions, dtype=dtype, device=distribution.device)
    for b in range(batch):
        slots = _slots(ids[b], num_regions)
        counts = torch.bincount(slots, minlength=num_regions + 1).clamp_(min=1)
        for c in range(classes):
            plane = to_scores(distribution[b, c]).flatten().to(total)
            sums = torch.zeros(num_regions + 1, dtype=total, device=plane.device).index_add_(0, slots, plane)
            table[b, c] = (sums / counts)[:num_regions]
    return table


def apply(distribution: Tensor, ids: Tensor, table: Tensor, rule: Rule, out: Tensor) -> None:
    """Write the fused maps into `out`, which may be the distribution itself."""
    for b in range(distribution.shape[0]):
        for c, fused in enumerate(_fused(distribution[b], ids[b], table[b], rule)):
            out[b, c] = to_stored(fused, out.dtype)


def labels(distribution: Tensor, ids: Tensor, table: Tensor, rule: Rule) -> Tensor:
    """Arg max over classes of the fused maps, (B, H, W) int64, holding two planes at a time."""
    batch, _, height, width = distribution.shape
    winners = torch.zeros(batch, height, width, dtype=torch.int64, device=distribution.device)
    # The square root keeps the order, so the product decides for it.
    rule = "product" if rule == "geometric" else rule
    for b in range(batch):
        planes = enumerate(_fused(distribution[b], ids[b], table[b], rule))
        _, best = next(planes)
        for c, fused in planes:
            winners[b].masked_fill_(fused > best, c)
            best = torch.maximum(best, fused)
    return winners


def _fused(distribution: Tensor, ids: Tensor, table: Tensor, rule: Rule) -> Iterator[Tensor]:
    """The fused maps of one image (C, H, W), class by class; each (H, W), and read before the next."""
    slots = _slots(ids, table.shape[1])
    unassigned = (slots == table.shape[1]).view(ids.shape)

    def at_pixels(row: Tensor) -> Tensor:
        return F.pad(row, (0, 1)).index_select(0, slots).view(ids.shape)

    if rule == "adaptive":
        own, floor = (at_pixels(row) for row in table[-2:])
        for plane, row in zip(distribution, table[:-2], strict=True):
            scores = to_scores(plane)
            fused = adaptive.fused(scores, at_pixels(row), own, floor)
            yield torch.where(unassigned, scores, fused)
        return
    factors = table.sqrt() if rule == "geometric" else table
    for plane, row in zip(distribution, factors, strict=True):
        scores = to_scores(plane)
        scores = scores.sqrt() if rule == "geometric" else scores
        prior = torch.where(unassigned, scores, at_pixels(row))
        yield prior if rule == "mean" else prior * scores


def _slots(ids: Tensor, num_regions: int) -> Tensor:
    """One flat slot per pixel, int64; the slot after the last region is that of pixels in none."""
    flat = ids.flatten().long()
    return torch.where((flat < 0) | (flat >= num_regions), num_regions, flat)

"""The equations of the paper and of docs/guide/fusion.md, letter by letter: slow, the oracle of faster paths.

Nothing in the library calls this module; its tests compare everything with it. All arithmetic is in float64.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor


def upsample(plane: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear interpolation of one (h, w) plane, pixel centers aligned, clamped at the border."""
    h, w = plane.shape
    height, width = size
    result = torch.empty(height, width, dtype=torch.float64)
    for y in range(height):
        source_y = min(max((y + 0.5) * h / height - 0.5, 0.0), h - 1.0)
        y0 = math.floor(source_y)
        y1, fy = min(y0 + 1, h - 1), source_y - y0
        for x in range(width):
            source_x = min(max((x + 0.5) * w / width - 0.5, 0.0), w - 1.0)
            x0 = math.floor(source_x)
            x1, fx = min(x0 + 1, w - 1), source_x - x0
            top = (1 - fx) * plane[y0, x0] + fx * plane[y0, x1]
            bottom = (1 - fx) * plane[y1, x0] + fx * plane[y1, x1]
            result[y, x] = (1 - fy) * top + fy * bottom
    return result


def region_scores(
    values: Tensor, size: tuple[int, int], sigmoid: Literal["none", "before", "after"]
) -> Tensor:
    """R at the image's size: (N, h, w) scores or logits to (N, H, W) scores."""
    planes = []
    for plane in values.double():
        source = plane.sigmoid() if sigmoid == "before" else plane
        raised = upsample(source, size)
        planes.append(raised.sigmoid() if sigmoid == "after" else raised)
    return torch.stack(planes) if planes else torch.zeros(0, *size, dtype=torch.float64)


def assign(scores: Tensor, validity: Tensor) -> Tensor:
    """Equation 2: for every pixel the n that maximizes r[n, y, x] * v[n], the lowest on ties.

    `scores` is R at the image's size, (N, H, W); `validity` is V, (N). Returns (H, W), -1 where N = 0.
    """
    count, height, width = scores.shape
    labels = torch.full((height, width), -1, dtype=torch.int32)
    for y in range(height):
        for x in range(width):
            best = -math.inf
            for n in range(count):
                probability = float(scores[n, y, x].double() * validity[n].double())
                if probability > best:
                    best = probability
                    labels[y, x] = n
    return labels


def hard_assign(scores: Tensor, validity: Tensor, threshold: float) -> Tensor:
    """The baseline: masks r > threshold stacked in ascending validity, the lowest index on top of ties.

    Shapes as for `assign`; pixels that no mask covers stay -1.
    """
    count, height, width = scores.shape
    labels = torch.full((height, width), -1, dtype=torch.int32)
    ascending = sorted(range(count), key=lambda n: (float(validity[n]), -n))
    for n in ascending:
        for y in range(height):
            for x in range(width):
                if float(scores[n, y, x].double()) > threshold:
                    labels[y, x] = n
    return labels


def components(labels: Tensor, connectivity: int) -> Tensor:
    """Connected components of equal labels in one (H, W) map, by flood fill in raster order; -1 stays -1."""
    height, width = labels.shape
    steps = [(-1, 0), (1, 0), (0, -1), (0, 1)]
    if connectivity == 8:
        steps += [(-1, -1), (-1, 1), (1, -1), (1, 1)]
    result = torch.full((height, width), -1, dtype=torch.int32)
    found = 0
    for y in range(height):
        for x in range(width):
            if labels[y, x] < 0 or result[y, x] >= 0:
                continue
            result[y, x] = found
            frontier = deque([(y, x)])
            while frontier:
                cy, cx = frontier.popleft()
                for dy, dx in steps:
                    ny, nx = cy + dy, cx + dx
                    inside = 0 <= ny < height and 0 <= nx < width
                    if inside and result[ny, nx] < 0 and labels[ny, nx] == labels[cy, cx]:
                        result[ny, nx] = found
                        frontier.append((ny, nx))
            found += 1
    return result


def fuse(distribution: Tensor, labels: Tensor, rule: Literal["product", "geometric", "mean"]) -> Tensor:
    """Equation 3 for one image: H[c] = (mean of D[c] over the pixel's region) * D[c].

    `distribution` is D, (C, H, W); `labels` (H, W). An unassigned pixel is a region of its own. Rule
    "geometric" is the square root of the product, "mean" the first factor alone. Returns (C, H, W) float64.
    """
    scores = distribution.double()
    means = scores.clone()
    for region in sorted(set(labels.flatten().tolist())):
        if region < 0:
            continue
        mask = (labels == region).double()
        for c in range(scores.shape[0]):
            mean = (scores[c] * mask).sum() / mask.sum()
            means[c][labels == region] = mean
    if rule == "mean":
        return means
    product = means * scores
    return product if rule == "product" else product.sqrt()


def average_means(distribution: Tensor, partitions: Sequence[Tensor]) -> Tensor:
    """The average over partitions of the mean of D over the pixel's region; its own score where it has none.

    `distribution` is (C, H, W), each of the partitions (H, W). Returns (C, H, W) float64.
    """
    scores = distribution.double()
    result = scores.clone()
    means = [fuse(distribution, labels, "mean") for labels in partitions]
    for y in range(scores.shape[1]):
        for x in range(scores.shape[2]):
            pairs = zip(means, partitions, strict=True)
            found = [mean[:, y, x] for mean, labels in pairs if labels[y, x] >= 0]
            if found:
                result[:, y, x] = torch.stack(found).mean(0)
    return result


def adaptive(distribution: Tensor, partitions: Sequence[Tensor]) -> Tensor:
    """The rule "adaptive" for one image, as docs/guide/fusion.md writes it.

    `distribution` is (C, H, W), each of the partitions (H, W), -1 for unassigned. Returns (C, H, W) float64.
    """
    scores = distribution.double()
    result = scores.clone()
    for y in range(scores.shape[1]):
        for x in range(scores.shape[2]):
            regions = [labels == labels[y, x] for labels in partitions if labels[y, x] >= 0]
            if not regions:
                continue
            own, finest = scores[:, y, x], scores[:, regions[-1]]
            if len(scores) == 1:
                weights = [0.5**k for k in range(len(regions))]
                means = [scores[:, region].mean(1) for region in regions]
                weighted = [weight * mean for weight, mean in zip(weights, means, strict=True)]
                mean = torch.stack(weighted).sum(0) / sum(weights)
                floor = finest.sqrt().mean(1) ** 2
                first, second = mean, torch.maximum(own, floor)
            else:
                mean = finest.mean(1)
                agreement = float(((mean / mean.sum()) ** 2).sum()) if mean.sum() > 0 else 1.0
                first, second = own, agreement**2 * mean + (1 - agreement**2) * own
            result[:, y, x] = first.sqrt() * second.sqrt()  # their product may be more than float64 holds
    return result

"""What the network is compared with: the regions of a batch as shares of the network's cells."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class RegionTargets(NamedTuple):
    """The regions of a batch at the network's resolution, K the most of one image.

    Attributes:
        shares: (B, K, cells) float32, how much of each cell belongs to each region, of what counts in it.
        counted: (B, cells) float32 in [0, 1], how much of each cell counts.
        present: (B, K) bool, which of the K regions an image has.
        classes: (B, K) int64, the class of each region; None where regions have no class.
    """

    shares: Tensor
    counted: Tensor
    present: Tensor
    classes: Tensor | None = None


def region_targets(regions: Tensor, stride: int, classes: Tensor | None = None) -> RegionTargets:
    """Regions of pixels to shares of cells.

    Args:
        regions: (B, H, W) integer, region ids from 0 on, negative for pixels that count in no loss; H and W
            multiples of `stride`.
        stride: Pixels along the side of a cell.
        classes: (B, H, W) class ids, from 0 on and the same all over a region.
    """
    batch, height, width = regions.shape
    count = max(int(regions.max()) + 1, 1)
    rows = torch.arange(height, device=regions.device) // stride * (width // stride)
    cells = rows[:, None] + torch.arange(width, device=regions.device) // stride
    num_cells = (height // stride) * (width // stride)
    # One slot more than regions, for what counts nowhere.
    slots = torch.where(regions < 0, count, regions).long() * num_cells + cells
    sums = torch.zeros(batch, (count + 1) * num_cells, device=regions.device)
    sums.scatter_add_(1, slots.flatten(1), torch.ones_like(slots.flatten(1), dtype=torch.float32))
    sums = sums.view(batch, count + 1, num_cells)
    inside, outside = sums[:, :count], sums[:, count]
    pixels = stride * stride
    counted = (pixels - outside) / pixels
    shares = inside / (pixels - outside).clamp(min=1.0)[:, None]
    return RegionTargets(shares, counted, inside.sum(2) > 0, _class_of_each(regions, classes, count))


def _class_of_each(regions: Tensor, classes: Tensor | None, count: int) -> Tensor | None:
    if classes is None:
        return None
    found = torch.zeros(len(regions), count + 1, dtype=torch.int64, device=regions.device)
    slots = torch.where(regions < 0, count, regions).long().flatten(1)
    return found.scatter_reduce_(1, slots, classes.long().flatten(1), "amax")[:, :count]


def boundary_targets(regions: Tensor, stride: int = 2) -> tuple[Tensor, Tensor]:
    """Which cells hold a boundary between two regions, and which count.

    Args:
        regions: (B, H, W), as for `region_targets`.
        stride: Pixels along the side of a cell.

    Returns:
        (B, 1, H / stride, W / stride) float32 in {0, 1}, twice.
    """
    batch, height, width = regions.shape
    touches = torch.zeros(batch, 1, height, width, device=regions.device)
    unknown = (regions < 0)[:, None].float()
    down = (regions[:, 1:] != regions[:, :-1])[:, None]
    across = (regions[:, :, 1:] != regions[:, :, :-1])[:, None]
    touches[:, :, 1:][down] = 1.0
    touches[:, :, :-1][down] = 1.0
    touches[:, :, :, 1:][across] = 1.0
    touches[:, :, :, :-1][across] = 1.0
    pool = torch.nn.functional.max_pool2d
    # Beside pixels that count nowhere it is not known whether a boundary is one.
    near_unknown = pool(unknown, 3, 1, 1)
    return pool(touches, stride, stride), 1.0 - pool(near_unknown, stride, stride)

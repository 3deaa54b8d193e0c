"""Targets: the regions of a batch as shares of the network's cells, and their boundaries."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class RegionTargets(NamedTuple):
    """The regions of a batch at the network's resolution; K is the largest number in one image.

    Attributes:
        shares: (B, K, cells) float32, share of each region in the pixels of a cell that are not ignored.
        counted: (B, cells) float32 in [0, 1], share of a cell's pixels that are not ignored.
        present: (B, K) bool, which of the K regions an image has.
        classes: (B, K) int64, the class of each region; None where regions have no class.
    """

    shares: Tensor
    counted: Tensor
    present: Tensor
    classes: Tensor | None = None


def region_targets(regions: Tensor, stride: int, classes: Tensor | None = None) -> RegionTargets:
    """Shares of the regions in the cells of the network.

    Args:
        regions: (B, H, W) integer, region ids from 0, negative for ignored pixels; H and W multiples of
            `stride`.
        stride: Pixels along the side of a cell.
        classes: (B, H, W) class ids from 0, constant in every region.
    """
    batch, height, width = regions.shape
    count = max(int(regions.max()) + 1, 1)
    rows = torch.arange(height, device=regions.device) // stride * (width // stride)
    cells = rows[:, None] + torch.arange(width, device=regions.device) // stride
    num_cells = (height // stride) * (width // stride)
    # One slot more than regions, for ignored pixels.
    slots = torch.where(regions < 0, count, regions).long() * num_cells + cells
    sums = torch.zeros(batch, (count + 1) * num_cells, device=regions.device)
    sums.scatter_add_(1, slots.flatten(1), torch.ones_like(slots.flatten(1), dtype=torch.float32))
    sums = sums.view(batch, count + 1, num_cells)
    inside, outside = sums[:, :count], sums[:, count]
    pixels = stride * stride
    counted = (pixels - outside) / pixels
    shares = inside / (pixels - outside).clamp(min=1.0)[:, None]
    return RegionTargets(shares, counted, inside.sum(2) > 0, _region_classes(regions, classes, count))


def _region_classes(regions: Tensor, classes: Tensor | None, count: int) -> Tensor | None:
    if classes is None:
        return None
    found = torch.zeros(len(regions), count + 1, dtype=torch.int64, device=regions.device)
    slots = torch.where(regions < 0, count, regions).long().flatten(1)
    return found.scatter_reduce_(1, slots, classes.long().flatten(1), "amax")[:, :count]


def boundary_targets(regions: Tensor, stride: int = 2) -> tuple[Tensor, Tensor]:
    """Which cells hold a boundary between two regions, and which are not ignored.

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
    # Beside an ignored pixel it is not known whether there is a boundary.
    near_unknown = pool(unknown, 3, 1, 1)
    return pool(touches, stride, stride), 1.0 - pool(near_unknown, stride, stride)

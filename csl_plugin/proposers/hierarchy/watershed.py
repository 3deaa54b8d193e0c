"""From an image to its smallest regions: the basins of a relief such as its color gradient."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from csl_plugin._tracing import is_exporting
from csl_plugin.proposers.hierarchy.bands import bands
from csl_plugin.proposers.hierarchy.forest import roots

_BAND = 1 << 17


def flow(relief: Tensor) -> Tensor:
    """Where every pixel flows: to its lowest 4-neighbor if that is lower, else it stays.

    On a plateau a pixel flows to the neighbor of the lowest index, so that flat areas have few basins.

    Args:
        relief: (H, W) float, without nan.

    Returns:
        A pixel's number in reading order for each pixel, (H, W) int32.
    """
    if is_exporting():
        own = torch.arange(relief.numel(), dtype=torch.int32, device=relief.device)
        return own.view(relief.shape) + _steps(relief, slice(0, relief.shape[0]))
    target = torch.empty(relief.shape, dtype=torch.int32, device=relief.device)
    for rows in bands(relief, _BAND):
        own = torch.arange(
            rows.start * relief.shape[1],
            rows.stop * relief.shape[1],
            dtype=torch.int32,
            device=relief.device,
        )
        torch.add(own.view(target[rows].shape), _steps(relief, rows), out=target[rows])
    return target


def basins(target: Tensor) -> Tensor:
    """Basins of a relief: the pixels that flow to the same one.

    Args:
        target: What `flow` found, (H, W) int32; the basins are written over it.

    Returns:
        Basin of each pixel, (H, W) int32 from 0 on without gaps; basins are 4-connected.
    """
    found = roots(target.view(-1))
    number = torch.empty_like(found)
    count = found.new_zeros(1)
    for part in bands(found, _BAND):
        own = torch.arange(part.start, part.stop, dtype=torch.int32, device=found.device)
        torch.cumsum(found[part] == own, 0, dtype=torch.int32, out=number[part]).add_(count)
        count = number[part][-1:]
    for part in bands(found, _BAND):
        torch.sub(number.index_select(0, found[part]), 1, out=found[part])
    return found.view(target.shape)


def _steps(relief: Tensor, rows: slice) -> Tensor:
    """How far each pixel of some rows, as a number in reading order, is from the lowest around it."""
    height, width = relief.shape
    above, below = min(rows.start, 1), min(height - rows.stop, 1)
    wide = relief[rows.start - above : rows.stop + below]
    padded = F.pad(wide, (1, 1, 1 - above, 1 - below), value=float("inf"))
    here = padded[1:-1, 1:-1]
    # From the last to the first in reading order.
    around = (padded[2:, 1:-1], padded[1:-1, 2:], here, padded[1:-1, :-2], padded[:-2, 1:-1])
    steps = torch.tensor([width, 1, 0, -1, -width], dtype=torch.int32, device=relief.device)
    lowest = here
    for neighbor in around:
        lowest = torch.minimum(lowest, neighbor)
    chosen = torch.zeros(here.shape, dtype=torch.int32, device=relief.device)
    for index, neighbor in enumerate(around):
        chosen.masked_fill_(neighbor == lowest, index)
    return steps.index_select(0, chosen.flatten()).view(here.shape)

"""The basins of a relief, by pointer jumping in a loop of the graph."""

from __future__ import annotations

import torch
from torch import Tensor

from csl_plugin.export.hierarchy.loop import looped
from csl_plugin.proposers.hierarchy.watershed import flow


def jumped(parents: Tensor, times: int) -> Tensor:
    """The node 2^times steps above each: the root, where no path is longer."""
    for _ in range(times):
        parents = parents.index_select(0, parents)
    return parents


def numbered_basins(relief: Tensor) -> tuple[Tensor, Tensor]:
    """The basin of each pixel, (H, W) int64 from 0 on without gaps, and how many pixels each has, float64."""
    target = flow(relief).flatten().long()
    moving = torch.ones((), dtype=torch.bool, device=relief.device)

    def body(places: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
        above = places.index_select(0, places)
        return above, (above != places).any()

    found, _ = looped(lambda _, moving: moving.clone(), body, (target, moving))
    lowest = found == torch.arange(found.shape[0], device=found.device)
    number = (lowest.cumsum(0) - 1).index_select(0, found)
    count = lowest.nonzero().shape[0]
    sizes = torch.zeros(count, dtype=torch.float64, device=relief.device)
    sizes = sizes.scatter_add(0, number, torch.ones_like(number, dtype=torch.float64))
    return number.view(relief.shape), sizes

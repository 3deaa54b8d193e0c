"""The region graph in tensors of a fixed length, of which a part is in use.

A loop in a graph carries tensors of one shape. So regions that merged and boundaries that vanished stay at
the end of their tensors, with sizes and lengths of zero.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from csl_plugin.proposers.hierarchy.region_graph import STRENGTH_STEPS, RegionGraph


class OpenGraph(NamedTuple):
    """A region graph, of which the first regions and the first boundaries are in use.

    Attributes:
        sizes: (n,) float64; zero for those that are not in use.
        colors: (3, n) float64.
        first: (m,) int64, m >= 1: one boundary at least is not in use.
        second: (m,) int64.
        lengths: (m,) float64.
        edges: (m,) float64.
        regions: How many regions are in use, ().
        boundaries: How many boundaries are in use, ().
    """

    sizes: Tensor
    colors: Tensor
    first: Tensor
    second: Tensor
    lengths: Tensor
    edges: Tensor
    regions: Tensor
    boundaries: Tensor

    def listed(self) -> RegionGraph:
        """The same tensors as a plain graph."""
        return RegionGraph(*self[:6])

    def in_use(self) -> tuple[Tensor, Tensor]:
        """Which regions, (n,), and which boundaries, (m,), are in use."""
        regions, boundaries = (torch.arange(len_of(each), device=each.device) for each in (self[0], self[2]))
        return regions < self.regions, boundaries < self.boundaries


def len_of(values: Tensor) -> int:
    """The length of the first axis; `len` would make a number of an open size."""
    return values.shape[0]


def open_graph(labels: Tensor, color: Tensor, strength: Tensor, sizes: Tensor) -> OpenGraph:
    """The graph of a partition.

    Args:
        labels: Region of each pixel, (H, W) int64 from 0 on without gaps.
        color: Opponent color, (3, H, W) integer.
        strength: Edge strength, (H, W) float.
        sizes: Pixels of each region, (n,) float64.
    """
    count = len_of(sizes)
    inside = labels.flatten()[None].expand(3, -1)
    colors = sizes.new_zeros(3, count).scatter_add(1, inside, color.flatten(1).double())
    keys, edges = [], []
    for (here, there), (one, two) in zip(_neighbors(labels), _neighbors(strength), strict=True):
        where = (here != there).nonzero()[:, 0]
        here, there = here.index_select(0, where), there.index_select(0, where)
        keys.append(torch.minimum(here, there) * count + torch.maximum(here, there))
        edges.append((torch.maximum(one, two).index_select(0, where).double() * STRENGTH_STEPS).round())
    unused = keys[0].new_full((1,), 0) + count * count
    found = torch.cat(edges)
    lengths = torch.cat([torch.ones_like(found), found.new_zeros(1)])
    listed = _listed_once(torch.cat([*keys, unused]), lengths, torch.cat([found, found.new_zeros(1)]), count)
    return OpenGraph(sizes, colors, *listed[:4], torch.ones_like(sizes).sum().long(), listed[4])


def contracted(graph: OpenGraph, group: Tensor, count: Tensor) -> OpenGraph:
    """The graph of `count` groups of regions: region i belongs to group[i], (n,)."""
    total = len_of(graph.sizes)
    sizes = torch.zeros_like(graph.sizes).scatter_add(0, group, graph.sizes)
    colors = torch.zeros_like(graph.colors).scatter_add(1, group[None].expand(3, -1), graph.colors)
    first, second = group.index_select(0, graph.first), group.index_select(0, graph.second)
    apart = (first != second) & graph.in_use()[1]
    keys = torch.where(
        apart, torch.minimum(first, second) * total + torch.maximum(first, second), total * total
    )
    listed = _listed_once(keys, graph.lengths, graph.edges, total)
    return OpenGraph(sizes, colors, *listed[:4], count, listed[4])


def compacted(graph: OpenGraph) -> OpenGraph:
    """The same in tensors as long as needed."""
    regions = graph.in_use()[0].nonzero()[:, 0]
    # One that is not in use stays.
    boundaries = (torch.arange(len_of(graph.first), device=regions.device) <= graph.boundaries).nonzero()[
        :, 0
    ]
    first, second, lengths, edges = (column.index_select(0, boundaries) for column in graph[2:6])
    sizes, colors = graph.sizes.index_select(0, regions), graph.colors.index_select(1, regions)
    return OpenGraph(sizes, colors, first, second, lengths, edges, graph.regions, graph.boundaries)


def _neighbors(values: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The values (H, W) of both pixels of every pair in a row, and of every pair in a column."""
    pairs = (values[:, :-1], values[:, 1:]), (values[:-1], values[1:])
    return [(one.flatten(), two.flatten()) for one, two in pairs]


def _listed_once(
    keys: Tensor, lengths: Tensor, edges: Tensor, count: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Boundaries in order and listed once, those of the same key added up; how many there are.

    A key of count² stands for one that is not in use.
    """
    ordered, order = keys.sort()
    before = torch.cat([ordered.new_full((1,), -1), ordered])[:-1]
    starts = ordered != before
    slot = starts.cumsum(0) - 1
    used = (starts & (ordered < count * count)).sum()
    in_use = torch.arange(len_of(keys), device=keys.device) < used
    unique = torch.zeros_like(keys).scatter(0, slot, ordered)
    unique = torch.where(in_use, unique, 0)
    sums = [
        torch.where(in_use, torch.zeros_like(column).scatter_add(0, slot, column.index_select(0, order)), 0.0)
        for column in (lengths, edges)
    ]
    first = unique // count
    return first, unique - first * count, sums[0], sums[1], used

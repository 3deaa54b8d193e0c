"""The regions of a partition and the boundaries between them.

All sums are of whole numbers below 2^53, which float64 holds exactly: they do not depend on the order, so
neither on the device.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from csl_plugin.proposers.hierarchy.bands import bands
from csl_plugin.proposers.hierarchy.ordering import positions, sorted_order

_BAND = 1 << 21

STRENGTH_STEPS = float(1 << 16)
"""Steps of an edge strength in a `RegionGraph`, per unit."""


class RegionGraph(NamedTuple):
    """n regions and the m boundaries between them; every boundary is listed once. Numbers are float64.

    Attributes:
        sizes: Pixels of each region, (n,).
        colors: The opponent color summed over them, (3, n).
        first: One of the two regions of each boundary, (m,) int64.
        second: The other, (m,) int64.
        lengths: Pixel pairs along each boundary, (m,).
        edges: Edge strength summed over those pairs, (m,), in steps of 1 / `STRENGTH_STEPS`.
    """

    sizes: Tensor
    colors: Tensor
    first: Tensor
    second: Tensor
    lengths: Tensor
    edges: Tensor


def region_graph(labels: Tensor, color: Tensor, strength: Tensor) -> RegionGraph:
    """The graph of a partition.

    Args:
        labels: Region of each pixel, (H, W) int32 from 0 on without gaps.
        color: (3, H, W) int16.
        strength: Edge strength of each pixel, (H, W) float, not negative.
    """
    count = int(labels.max()) + 1
    sizes = torch.zeros(count, dtype=torch.float64, device=labels.device)
    colors = sizes.new_zeros(len(color), count)
    boundaries = []
    for rows in bands(labels, _BAND):
        inside = labels[rows].flatten().long()
        sizes.scatter_add_(0, inside, torch.ones_like(inside, dtype=torch.float64))
        for total, channel in zip(colors, color, strict=True):
            total.scatter_add_(0, inside, channel[rows].flatten().double())
        boundaries.append(_boundaries(labels, strength, rows, count))
    columns = (torch.cat(column) for column in zip(*boundaries, strict=True))
    return RegionGraph(sizes, colors, *(_listed_once(count, *columns) if len(boundaries) > 1 else columns))


def _boundaries(
    labels: Tensor, strength: Tensor, rows: slice, count: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The boundaries within some rows of a partition and below them."""
    here = labels[rows]
    wide, strengths = (values[rows.start : rows.stop + 1].flatten() for values in (labels, strength))
    differ = torch.zeros(here.shape, dtype=torch.bool, device=labels.device)
    torch.ne(here[:, 1:], here[:, :-1], out=differ[:, :-1])
    below = labels[rows.start + 1 : rows.stop + 1]
    found = []
    for first, step in (
        (positions(differ), 1),
        (positions(here[: len(below)] != below), labels.shape[1]),
    ):
        second = first + step
        edge = torch.maximum(strengths.index_select(0, first), strengths.index_select(0, second))
        found.append((wide.index_select(0, first).long(), wide.index_select(0, second).long(), edge))
    one, two, edges = (torch.cat(column) for column in zip(*found, strict=True))
    edges = (edges.double() * STRENGTH_STEPS).round_()
    return _listed_once(count, one, two, torch.ones_like(edges), edges)


def contracted(graph: RegionGraph, group: Tensor, count: int) -> RegionGraph:
    """The graph of groups of regions: region i belongs to group[i], (n,) int64 below `count`."""
    sizes = totals(graph.sizes, group, count)
    colors = torch.stack([totals(channel, group, count) for channel in graph.colors])
    first, second = group.index_select(0, graph.first), group.index_select(0, graph.second)
    kept = positions(first != second)
    boundaries = (first, second, graph.lengths, graph.edges)
    return RegionGraph(
        sizes, colors, *_listed_once(count, *(column.index_select(0, kept) for column in boundaries))
    )


def totals(values: Tensor, group: Tensor, count: int) -> Tensor:
    """The sum of the values, (n,), of each group: (count,)."""
    return values.new_zeros(count).scatter_add_(0, group, values)


def _listed_once(
    count: int, first: Tensor, second: Tensor, lengths: Tensor, edges: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Boundaries in order and listed once: those between the same two of `count` regions are added up."""
    keys = torch.minimum(first, second) * count + torch.maximum(first, second)
    order = sorted_order(keys)
    keys, boundary = torch.unique_consecutive(keys.index_select(0, order), return_inverse=True)
    lengths, edges = (
        totals(values.index_select(0, order), boundary, len(keys)) for values in (lengths, edges)
    )
    return keys // count, keys % count, lengths, edges

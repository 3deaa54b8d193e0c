"""The regions of a partition and the boundaries between them.

All sums are of whole numbers below 2^53, which float64 holds exactly: they do not depend on the order, so
neither on the device.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from csl_plugin.proposers.hierarchy.bands import bands
from csl_plugin.proposers.hierarchy.ordering import positions, sorted_order
from csl_plugin.proposers.hierarchy.terrain import Terrain

_BAND = 1 << 21
_BOUNDARIES = 1 << 18

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


def region_graph(labels: Tensor, terrain: Terrain) -> RegionGraph:
    """The graph of a partition.

    Args:
        labels: Region of each pixel, (H, W) int32 from 0 on without gaps.
        terrain: Its color and edge strength are used, and deleted from it.
    """
    count = int(labels.max()) + 1
    sizes, colors = _sums(labels, terrain.color, count)
    del terrain.color
    columns = _in_bands(labels, terrain.strength, count)
    del terrain.strength
    if len(columns[0]) == 1:
        keys, lengths, edges = map(joined, columns)
    else:
        keys, lengths, edges = _listed_once(joined(columns[0]), map(joined, columns[1:]))
    return RegionGraph(sizes, colors, keys // count, keys % count, lengths, edges)


def _sums(labels: Tensor, color: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The sizes of regions, (n,), and the color summed over them, (3, n)."""
    sizes = torch.zeros(count, dtype=torch.float64, device=labels.device)
    colors = sizes.new_zeros(len(color), count)
    for rows in bands(labels, _BAND):
        inside = labels[rows].flatten().long()
        sizes.scatter_add_(0, inside, torch.ones_like(inside, dtype=torch.float64))
        for total, channel in zip(colors, color, strict=True):
            total.scatter_add_(0, inside, channel[rows].flatten().double())
    return sizes, colors


def _in_bands(labels: Tensor, strength: Tensor, count: int) -> list[list[Tensor]]:
    """The keys, lengths and edges of boundaries, a tensor for each band; one across bands is in several."""
    columns: list[list[Tensor]] = [[], [], []]
    for rows in bands(labels, _BAND):
        for column, values in zip(columns, _boundaries(labels, strength, rows, count), strict=True):
            column.append(values)
    return columns


def _boundaries(labels: Tensor, strength: Tensor, rows: slice, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The keys, lengths and edges of the boundaries within some rows of a partition and below them."""
    here = labels[rows]
    wide, strengths = (values[rows.start : rows.stop + 1].flatten() for values in (labels, strength))
    differ = torch.zeros(here.shape, dtype=torch.bool, device=labels.device)
    torch.ne(here[:, 1:], here[:, :-1], out=differ[:, :-1])
    below = labels[rows.start + 1 : rows.stop + 1]
    keys, edges = [], []
    for first, step in (
        (positions(differ), 1),
        (positions(here[: len(below)] != below), labels.shape[1]),
    ):
        second = first + step
        edges.append(torch.maximum(strengths.index_select(0, first), strengths.index_select(0, second)))
        keys.append(_keys(wide.index_select(0, first), wide.index_select(0, second), count))
    steps = (torch.cat(edges).double() * STRENGTH_STEPS).round_()
    return _listed_once(torch.cat(keys), iter((torch.ones_like(steps), steps)))


def contracted(graph: RegionGraph, group: Tensor, count: int) -> RegionGraph:
    """The graph of groups of regions: region i belongs to group[i], (n,) int64 below `count`."""
    sizes = totals(graph.sizes, group, count)
    colors = graph.colors.new_zeros(3, count).scatter_add_(1, group.expand(3, -1), graph.colors)
    keys, kept = [], []
    for start, part in parts(graph):
        first, second = group.index_select(0, part.first), group.index_select(0, part.second)
        apart = positions(first != second)
        keys.append(_keys(first.index_select(0, apart), second.index_select(0, apart), count))
        kept.append(apart.add_(start) if start else apart)
    boundaries = joined(kept)
    columns = (column.index_select(0, boundaries) for column in (graph.lengths, graph.edges))
    listed, lengths, edges = _listed_once(joined(keys), columns)
    return RegionGraph(sizes, colors, listed // count, listed % count, lengths, edges)


def parts(graph: RegionGraph) -> Iterator[tuple[int, RegionGraph]]:
    """The graph with some of its boundaries at a time, and the place of the first of them."""
    if len(graph.first) <= _BOUNDARIES:
        yield 0, graph
        return
    for part in bands(graph.first, _BOUNDARIES):
        yield (
            part.start,
            graph._replace(
                first=graph.first[part],
                second=graph.second[part],
                lengths=graph.lengths[part],
                edges=graph.edges[part],
            ),
        )


def joined(parts: list[Tensor]) -> Tensor:
    """The parts one after the other; they are deleted."""
    whole = parts[0] if len(parts) == 1 else torch.cat(parts)
    parts.clear()
    return whole


def totals(values: Tensor, group: Tensor, count: int) -> Tensor:
    """The sum of the values, (n,), of each group: (count,)."""
    return values.new_zeros(count).scatter_add_(0, group, values)


def _keys(one: Tensor, two: Tensor, count: int) -> Tensor:
    """A number for each boundary between two of `count` regions, whichever comes first."""
    return torch.minimum(one, two).long().mul_(count).add_(torch.maximum(one, two))


def _listed_once(keys: Tensor, columns: Iterator[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Boundaries in order and listed once: those of the same key are added up.

    Args:
        keys: (m,) int64.
        columns: Their lengths and their edges, (m,); one at a time, for there may be millions.
    """
    order = sorted_order(keys)
    keys, boundary = torch.unique_consecutive(keys.index_select(0, order), return_inverse=True)
    lengths, edges = (totals(column.index_select(0, order), boundary, len(keys)) for column in columns)
    return keys, lengths, edges

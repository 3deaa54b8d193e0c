"""Partitions of an image from a tree of regions: the labels of `BasinTree` as a graph."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from csl_plugin.export.hierarchy.basins import jumped, numbered_basins
from csl_plugin.export.hierarchy.graph import OpenGraph, len_of, open_graph
from csl_plugin.export.hierarchy.loop import looped
from csl_plugin.export.hierarchy.merging import NODE_JUMPS, OpenTree, leaves, merge_tree
from csl_plugin.proposers.hierarchy.basin_tree import height_of
from csl_plugin.proposers.hierarchy.node_validity import (
    COARSEST_SCALE,
    agreement,
    at_centers,
    cell_scores,
    with_count,
)
from csl_plugin.proposers.hierarchy.scales import AUTO, Scale
from csl_plugin.proposers.hierarchy.terrain import Terrain
from csl_plugin.regions.region_map import RegionMap


def partitions(
    terrain: Terrain,
    scales: Sequence[Scale],
    proposed: tuple[Tensor, Tensor] | None,
    step: tuple[float, float],
) -> tuple[RegionMap, ...]:
    """The regions of one image at each scale.

    Args:
        terrain: What its tree grows from.
        scales: "auto" needs proposals.
        proposed: Mask logits (N, h, w) and validity logits (N,).
        step: Rows and columns of the image from one cell of the proposals to the next.
    """
    basins, sizes = numbered_basins(terrain.relief)
    pixels = torch.tensor(basins.shape[0] * basins.shape[1], device=basins.device)
    graph, leaf_of_basin = leaves(open_graph(basins, terrain.color, terrain.strength, sizes), pixels)
    leaf = leaf_of_basin.index_select(0, basins.flatten())
    count = len_of(graph.sizes)
    positions = torch.arange(len_of(leaf), device=leaf.device)
    first = torch.zeros(count, dtype=torch.int64, device=leaf.device) + pixels
    first = first.scatter_reduce(0, leaf, positions, "amin")
    side, own = pixels.double().sqrt(), torch.arange(count, device=leaf.device)
    if proposed is None:
        tree = merge_tree(graph, torch.zeros_like(graph.sizes)[:, None], lambda sums: sums[:, 0])
    else:
        scores = cell_scores(proposed[0])
        of_image, validity = scores.sum(0), proposed[1].sigmoid()
        cells = at_centers(leaf.view(basins.shape), proposed[0].shape[1:], step)
        of_leaves = scores.new_zeros(count, scores.shape[1] + 1)
        of_cells = with_count(scores)
        of_leaves = of_leaves.scatter_add(0, cells[:, None].expand(-1, of_cells.shape[1]), of_cells)
        tree = merge_tree(graph, of_leaves, lambda sums: agreement(sums, of_image, validity))
    found = []
    for scale in scales:
        if scale == AUTO:
            values = torch.where(tree.heights > height_of(COARSEST_SCALE, side), -1.0, tree.values)
            part = _connected(graph, _best(tree.parents, values).index_select(0, own))
        else:
            part = _cut(tree, height_of(float(scale), side)).index_select(0, own)
        labels = _in_reading_order(part, first, pixels, 2 * count).index_select(0, leaf)
        found.append(RegionMap(labels.view(1, *basins.shape), count))
    return tuple(found)


def _cut(tree: OpenTree, threshold: Tensor) -> Tensor:
    """The part of each node after all merges up to a threshold, (t,)."""
    own = torch.arange(len_of(tree.parents), device=tree.parents.device)
    done = tree.heights.index_select(0, tree.parents) <= threshold
    return jumped(torch.where(done, tree.parents, own), NODE_JUMPS)


def _best(parents: Tensor, values: Tensor) -> Tensor:
    """The node of the greatest value of those that contain each node, (t,); of equal ones the largest."""
    found = torch.arange(len_of(parents), device=parents.device)
    above = parents
    for _ in range(NODE_JUMPS):
        upper = found.index_select(0, above)
        better = values.index_select(0, upper) >= values.index_select(0, found)
        found, above = torch.where(better, upper, found), above.index_select(0, above)
    return found


def _connected(graph: OpenGraph, label: Tensor) -> Tensor:
    """The first of the leaves of the same label that are connected with each, (n,)."""
    same = label.index_select(0, graph.first) == label.index_select(0, graph.second)

    def body(lowest: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
        one, two = lowest.index_select(0, graph.first), lowest.index_select(0, graph.second)
        lower = torch.where(same, torch.minimum(one, two), 0)
        found = lowest
        for side in (one, two):  # the first leaf of all is 0, whatever else is written there
            found = found.scatter_reduce(0, torch.where(same, side, 0), lower, "amin")
        found = jumped(found, 2)
        return found, (found != lowest).any()

    own = torch.arange(len_of(label), device=label.device)
    moving = torch.ones((), dtype=torch.bool, device=label.device)
    return looped(lambda _, moving: moving.clone(), body, (own, moving))[0]


def _in_reading_order(part: Tensor, first_of_leaf: Tensor, pixels: Tensor, most: int) -> Tensor:
    """The labels of leaves, (n,): their parts, numbers below `most`, in the order of their first pixels."""
    first = (torch.zeros(most, dtype=torch.int64, device=part.device) + pixels).scatter_reduce(
        0, part, first_of_leaf, "amin"
    )
    order = first.sort().indices
    rank = torch.zeros_like(first).scatter(0, order, torch.arange(most, device=part.device))
    return rank.index_select(0, part)

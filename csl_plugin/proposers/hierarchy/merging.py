"""Merging the regions of a graph in rounds of array operations, the cheapest pairs of neighbors first."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from csl_plugin.proposers.hierarchy.color import UNIT
from csl_plugin.proposers.hierarchy.forest import roots
from csl_plugin.proposers.hierarchy.merge_tree import MergeTree
from csl_plugin.proposers.hierarchy.ordering import positions
from csl_plugin.proposers.hierarchy.region_graph import STRENGTH_STEPS, RegionGraph, contracted, joined, parts

# Merging one pair at a time gives the same regions, but is a loop over them. In a round the cheapest share of
# the regions merges; where few are left, each is a large part of the image and the order matters more.
SHARE, FINAL_SHARE = 0.3, 0.07
FINAL_REGIONS = 1000


def merge_tree(graph: RegionGraph, max_leaves: int) -> MergeTree:
    """Merge neighbors until no neighbors are left.

    In a round, those regions whose cheapest boundary is among the cheapest of all regions merge with the
    neighbor on its other side. A graph of more than `max_leaves` regions is reduced first, by rounds in which
    all regions do so (Boruvka).

    Args:
        graph: The regions to merge.
        max_leaves: The most leaves of the tree.
    """
    leaf_of_region = torch.arange(len(graph.sizes), device=graph.sizes.device)
    while len(graph.sizes) > max_leaves and len(graph.first):
        group, count, _ = _round(graph, 1.0)
        graph, leaf_of_region = contracted(graph, group, count), group.index_select(0, leaf_of_region)
    leaves = len(graph.sizes)
    # As many nodes as pairs merge, at most; several regions may merge into one node at once.
    parents = torch.arange(max(2 * leaves - 1, 1), device=graph.sizes.device)
    heights = graph.sizes.new_zeros(len(parents))
    node, rounds, end = parents[:leaves], [], leaves
    while len(graph.first):
        share = SHARE if len(graph.sizes) > FINAL_REGIONS else FINAL_SHARE
        group, count, cost = _round(graph, share)
        merged = torch.bincount(group, minlength=count) > 1
        new = positions(merged)
        child = positions(merged.index_select(0, group))
        made = len(new)
        into = torch.empty_like(group[:count]).index_copy_(0, group, node)
        into.index_copy_(0, new, torch.arange(end, end + made, device=into.device))
        below, above = node.index_select(0, child), into.index_select(0, group.index_select(0, child))
        parents.index_copy_(0, below, above)
        # A merge may cost less than one before it; partitions are nested only if heights never fall.
        height = torch.maximum(heights.index_select(0, below), cost.index_select(0, child))
        heights.scatter_reduce_(0, above, height, "amax")
        rounds.append(end)
        graph, node, end = contracted(graph, group, count), into, end + made
    return MergeTree(leaf_of_region, parents[:end], heights[:end], rounds)


def _round(graph: RegionGraph, share: float) -> tuple[Tensor, int, Tensor]:
    """One round of merging.

    Args:
        graph: n regions with boundaries.
        share: Of the regions, those that merge with their cheapest neighbor.

    Returns:
        The group of each region, (n,); how many groups there are; and the cost of the merge that each region
        decided on, (n,), zero for the others.
    """
    regions = len(graph.sizes)
    means = graph.colors / (graph.sizes * UNIT)
    costs = joined([merge_costs(part, means) for _, part in parts(graph)])
    cheapest = costs.new_full((regions,), math.inf)
    for side in (graph.first, graph.second):
        cheapest.scatter_reduce_(0, side, costs, "amin")
    last = len(costs) - 1
    best = graph.first.new_full((regions,), last)
    for start, part in parts(graph):
        boundaries = torch.arange(start, start + len(part.first), device=costs.device)
        for side in (part.first, part.second):
            chosen = costs[start : start + len(side)] == cheapest.index_select(0, side)
            best.scatter_reduce_(0, side, torch.where(chosen, boundaries, last), "amin")
    merging = max(math.ceil(share * regions), 1)
    limit = cheapest.kthvalue(merging).values if merging < regions else cheapest.amax()
    deciding = cheapest <= limit
    own = torch.arange(regions, device=costs.device)
    other = graph.first.index_select(0, best) + graph.second.index_select(0, best) - own
    target = torch.where(deciding, other, own)
    # Two regions that choose each other are the only cycles: the first becomes the root.
    mutual = target.index_select(0, target) == own
    root = roots(torch.where(mutual & (own < target), own, target))
    number = torch.cumsum(root == own, 0) - 1
    return number.index_select(0, root), int(number[-1]) + 1, torch.where(deciding, cheapest, 0.0)


def merge_costs(graph: RegionGraph, means: Tensor) -> Tensor:
    """The cost of merging across each boundary, (m,), where regions have these mean colors, (3, n).

    The squared error that the merge adds to piecewise constant features, per unit of boundary that it removes
    (Mumford and Shah's functional; Koepfler et al. merge by it), times the squared mean edge strength.
    """
    one, two, length = graph.first, graph.second, graph.lengths
    size_one, size_two = graph.sizes.index_select(0, one), graph.sizes.index_select(0, two)
    difference = means.index_select(1, one) - means.index_select(1, two)
    square = difference * difference
    distance = square[0] + square[1] + square[2]
    edge = graph.edges / (length * STRENGTH_STEPS)
    return size_one * size_two / ((size_one + size_two) * length) * distance * edge * edge

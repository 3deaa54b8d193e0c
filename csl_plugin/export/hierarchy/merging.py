"""The rounds of `proposers.hierarchy.merging` as loops of a graph."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from csl_plugin.export.hierarchy.basins import jumped
from csl_plugin.export.hierarchy.graph import OpenGraph, compacted, contracted, len_of
from csl_plugin.export.hierarchy.loop import looped
from csl_plugin.proposers.hierarchy.basin_tree import MAX_LEAVES, MIN_LEAVES, PIXELS_PER_LEAF
from csl_plugin.proposers.hierarchy.color import UNIT
from csl_plugin.proposers.hierarchy.merging import FINAL_REGIONS, FINAL_SHARE, SHARE, merge_costs

# No path of pointers is longer than a power of two of these: basins of 2^26 pixels, nodes of a tree.
BASIN_JUMPS, NODE_JUMPS = 26, 15

OfNode = Callable[[Tensor], Tensor]
"""A number of each node, (n,), from what its leaves have together, (n, k)."""


class OpenTree(NamedTuple):
    """A merge tree in tensors of a fixed length, t = 2 n for n leaves; the last of its nodes is in no use.

    Attributes:
        parents: The node each node merges into, (t,) int64; a root, or what is not in use, is its own parent.
        heights: Threshold from which on a node's children are merged, (t,) float64.
        values: What `OfNode` says of each node, (t,) float64.
    """

    parents: Tensor
    heights: Tensor
    values: Tensor


def leaves(graph: OpenGraph, pixels: Tensor) -> tuple[OpenGraph, Tensor]:
    """The leaves of the tree of an image of so many pixels, and the leaf of each region, (n,)."""
    most = (pixels // PIXELS_PER_LEAF).clamp(min=MIN_LEAVES, max=MAX_LEAVES)

    def more(*state: Tensor) -> Tensor:
        return (state[6] > most) & (state[7] > 0)

    def body(*state: Tensor) -> tuple[Tensor, ...]:
        graph = OpenGraph(*state[:8])
        group, count, _ = _round(graph, 1.0, BASIN_JUMPS)
        return (*contracted(graph, group, count), group.index_select(0, state[8]))

    own = torch.arange(len_of(graph.sizes), device=graph.sizes.device)
    *found, leaf = looped(more, body, (*graph, own))
    return compacted(OpenGraph(*found)), leaf


def merge_tree(graph: OpenGraph, of_leaves: Tensor, of_node: OfNode) -> OpenTree:
    """Merge neighbors until no neighbors are left.

    Args:
        graph: The leaves.
        of_leaves: (n, k) float64, summed up over the leaves of each node.
        of_node: What is kept of these sums.
    """
    count = len_of(graph.sizes)
    node = torch.arange(count, device=graph.sizes.device)
    parents = torch.arange(2 * count, device=node.device)
    heights = torch.zeros_like(parents, dtype=torch.float64)
    values = torch.cat([of_node(of_leaves), torch.zeros_like(graph.sizes)])
    state: tuple[Tensor, ...] = (*graph, graph.regions.clone(), node, of_leaves, parents, heights, values)
    state = looped(lambda *s: (s[6] > FINAL_REGIONS) & (s[7] > 0), _step(SHARE, of_node), state)
    few = compacted(OpenGraph(*state[:8]))
    kept = torch.arange(len_of(few.sizes), device=node.device)
    node, of_nodes = (each.index_select(0, kept) for each in state[9:11])
    state = (*few, state[8], node, of_nodes, *state[11:])
    state = looped(lambda *s: s[7] > 0, _step(FINAL_SHARE, of_node), state)
    return OpenTree(*state[11:])


def _step(share: float, of_node: OfNode) -> Callable[..., tuple[Tensor, ...]]:
    """A round of merging, from a state to the next.

    The state is the graph, the number of nodes so far, the node of each region, the sums of its leaves, and
    the tree.
    """

    def body(*state: Tensor) -> tuple[Tensor, ...]:
        graph, (end, node, of_regions), tree = OpenGraph(*state[:8]), state[8:11], OpenTree(*state[11:])
        unused = len_of(tree.parents) - 1
        group, count, cost = _round(graph, share, NODE_JUMPS)
        in_use = graph.in_use()[0]
        members = torch.zeros_like(group).scatter_add(0, group, in_use.long())
        merged = members > 1
        kept = torch.zeros_like(group).scatter_reduce(0, group, torch.where(in_use, node, 0), "amax")
        into = torch.where(merged, merged.cumsum(0) - 1 + end, kept)
        child = merged.index_select(0, group) & in_use
        below, above = (
            torch.where(child, node, unused),
            torch.where(child, into.index_select(0, group), unused),
        )
        # A merge may cost less than one before it; partitions are nested only if heights never fall.
        height = torch.maximum(tree.heights.index_select(0, below), cost)
        of_groups = torch.zeros_like(of_regions)
        of_groups = of_groups.scatter_add(0, group[:, None].expand(-1, of_regions.shape[1]), of_regions)
        made = torch.where(merged, into, unused)
        return (
            *contracted(graph, group, count),
            end + merged.sum(),
            into,
            of_groups,
            tree.parents.scatter(0, below, above),
            tree.heights.scatter_reduce(0, above, torch.where(child, height, 0.0), "amax"),
            tree.values.scatter(0, made, torch.where(merged, of_node(of_groups), 0.0)),
        )

    return body


def _round(graph: OpenGraph, share: float, jumps: int) -> tuple[Tensor, Tensor, Tensor]:
    """The group of each region, how many groups there are, and what each region's merge costs.

    See `proposers.hierarchy.merging`. What is not in use belongs to the last group, to which it adds nothing.
    """
    in_use, bounds = graph.in_use()
    means = graph.colors / (graph.sizes.clamp(min=1) * float(UNIT))
    costs = torch.where(bounds, merge_costs(graph.listed(), means), math.inf)
    sides = graph.first, graph.second
    cheapest = torch.full_like(graph.sizes, math.inf)
    for side in sides:
        cheapest = cheapest.scatter_reduce(0, side, costs, "amin")
    last = (graph.boundaries - 1).clamp(min=0)
    own = torch.arange(len_of(graph.sizes), device=costs.device)
    best = torch.zeros_like(own) + last
    for side in sides:
        chosen = (costs == cheapest.index_select(0, side)) & bounds
        numbers = torch.arange(len_of(costs), device=costs.device)
        best = best.scatter_reduce(0, side, torch.where(chosen, numbers, last), "amin")
    merging = (graph.regions.double() * share).ceil().long().clamp(min=1)
    limit = cheapest.sort().values.index_select(0, (merging - 1)[None])
    deciding = (cheapest <= limit) & in_use
    other = graph.first.index_select(0, best) + graph.second.index_select(0, best) - own
    target = torch.where(deciding, other, own)
    # Two regions that choose each other are the only cycles: the first becomes the root.
    mutual = target.index_select(0, target) == own
    root = jumped(torch.where(mutual & (own < target), own, target), jumps)
    roots = (root == own) & in_use
    number = roots.cumsum(0) - 1
    return number.index_select(0, root), roots.sum(), torch.where(deciding, cheapest, 0.0)

"""A region adjacency graph, and the tree in which its regions merge: one partition for every threshold."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

Values: TypeAlias = "np.ndarray[Any, Any]"

# A boundary in the greedy loop: one list shared by both sides, with the cost that it has in the queue.
_Boundary: TypeAlias = "list[float]"
_LENGTH, _EDGE, _QUEUED_COST = 0, 1, 2


class RegionGraph(NamedTuple):
    """n regions and the m boundaries between them; every boundary is listed once.

    Attributes:
        sizes: Pixels of each region, (n,) float64.
        means: Mean feature of each region, (n, F) float64.
        first: One of the two regions of each boundary, (m,) integer.
        second: The other, (m,) integer.
        lengths: Pixel pairs along each boundary, (m,) float64.
        edges: Edge strength summed over those pairs, (m,) float64.
    """

    sizes: Values
    means: Values
    first: Values
    second: Values
    lengths: Values
    edges: Values


class MergeTree:
    """Nested partitions of a graph's regions: the larger the threshold, the fewer and larger the parts.

    Args:
        leaf_of_region: The leaf that holds each region of the graph, (n,) integer.
        parents: The node each node merges into, (nodes,) integer; a root is its own parent. Leaves
            come first, parents after their children.
        heights: Threshold from which on a node's children are merged, (nodes,); never below a child's.
    """

    def __init__(self, leaf_of_region: Values, parents: Values, heights: Values) -> None:
        self.leaf_of_region, self.heights, self._parents = leaf_of_region, heights, parents

    def cut(self, threshold: float) -> Values:
        """The part of each region, (n,) integers in no order, after all merges up to `threshold`."""
        nodes = np.arange(self._parents.size)
        done = self.heights[self._parents] <= threshold
        return follow(np.where(done, self._parents, nodes))[self.leaf_of_region]

    def totals(self, of_leaves: Values) -> Values:
        """The sum over the leaves of each node: (leaves, ...) to (nodes, ...)."""
        totals = np.zeros((self._parents.size, *of_leaves.shape[1:]))
        totals[: len(of_leaves)] = of_leaves
        for node, parent in enumerate(self._parents.tolist()):
            if parent != node:
                totals[parent] += totals[node]
        return totals

    def best(self, values: Values) -> Values:
        """For each region, (n,), the node with the greatest value of those that contain it.

        Args:
            values: Of the nodes, (nodes,). Of equal values the larger node's counts.
        """
        found, parents, compared = list(range(values.size)), self._parents.tolist(), values.tolist()
        for node in reversed(range(values.size)):
            above = found[parents[node]]
            if compared[above] >= compared[node]:
                found[node] = above
        return np.array(found)[self.leaf_of_region]


def follow(target: Values) -> Values:
    """Where each position ends when `target` is followed to a fixed point."""
    while True:
        further = target[target]
        if np.array_equal(further, target):
            return target
        target = further


def region_graph(labels: Values, features: Values, strength: Values) -> RegionGraph:
    """The graph of a partition.

    Args:
        labels: Region of each pixel, (H, W) integer from 0 on without gaps.
        features: (H, W, F) float; a region is described by their mean.
        strength: Edge strength of each pixel, (H, W) float, not negative.
    """
    flat = labels.ravel()
    sizes = np.bincount(flat).astype(np.float64)
    sums = [np.bincount(flat, channel.ravel()) for channel in np.moveaxis(features, -1, 0)]
    pairs = []
    for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        border = labels[here] != labels[there]
        pair_strength = np.maximum(strength[here][border], strength[there][border])
        pairs.append((labels[here][border], labels[there][border], pair_strength))
    first, second, edges = (np.concatenate(column) for column in zip(*pairs, strict=True))
    boundaries = _boundaries(sizes.size, first, second, np.ones(edges.size), edges)
    return RegionGraph(sizes, np.stack(sums, 1) / sizes[:, None], *boundaries)


def merge_tree(graph: RegionGraph, max_leaves: int) -> MergeTree:
    """Merge neighbors, the cheapest pair first, until no neighbors are left.

    A graph of more than `max_leaves` regions is reduced first: in each round every region merges with its
    cheapest neighbor (Boruvka). Those rounds are array operations; the rest is a loop in Python.

    Args:
        graph: The regions to merge.
        max_leaves: The most regions that the loop starts from.
    """
    leaf_of_region = np.arange(graph.sizes.size)
    while graph.sizes.size > max_leaves:
        group = _cheapest_neighbors(graph)
        graph, leaf_of_region = _contracted(graph, group), group[leaf_of_region]
    leaves = graph.sizes.size
    merges = _GreedyMerging(graph).merges
    parents = list(range(leaves + len(merges)))
    heights = [0.0] * len(parents)
    for node, (one, other, cost) in enumerate(merges, leaves):
        parents[one] = parents[other] = node
        # A merge may cost less than one before it; partitions are nested only if heights never fall.
        heights[node] = max(cost, heights[one], heights[other])
    return MergeTree(leaf_of_region, np.array(parents), np.array(heights))


def _cost(
    size_one: Any, mean_one: Iterable[Any], size_two: Any, mean_two: Iterable[Any], length: Any, edge: Any
) -> Any:
    """The cost of merging two regions, for numbers and for arrays.

    The squared error that the merge adds to piecewise constant features, per unit of boundary that it removes
    (Mumford and Shah's functional; Koepfler et al. merge by it), times the squared mean edge strength.
    """
    distance = 0.0
    for one, two in zip(mean_one, mean_two, strict=True):
        distance = distance + (one - two) * (one - two)
    mean_edge = edge / length
    return size_one * size_two / ((size_one + size_two) * length) * distance * mean_edge * mean_edge


def _costs(graph: RegionGraph) -> Values:
    one, two, means = graph.first, graph.second, graph.means
    sizes = graph.sizes
    cost = _cost(sizes[one], means[one].T, sizes[two], means[two].T, graph.lengths, graph.edges)
    return np.asarray(cost)


def _cheapest_neighbors(graph: RegionGraph) -> Values:
    """The group of each region, (n,), when every region merges with its cheapest neighbor."""
    count, order = graph.sizes.size, np.argsort(_costs(graph), kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    best = np.full(count, order.size)
    np.minimum.at(best, graph.first, rank)
    np.minimum.at(best, graph.second, rank)
    chosen = order[np.unique(best)]
    links = (np.ones(chosen.size), (graph.first[chosen], graph.second[chosen]))
    group: Values = connected_components(coo_matrix(links, (count, count)), directed=False)[1]
    return group


def _contracted(graph: RegionGraph, group: Values) -> RegionGraph:
    sizes = np.bincount(group, graph.sizes)
    sums = [np.bincount(group, graph.sizes * mean) for mean in graph.means.T]
    first, second = group[graph.first], group[graph.second]
    kept = first != second
    boundaries = _boundaries(sizes.size, first[kept], second[kept], graph.lengths[kept], graph.edges[kept])
    return RegionGraph(sizes, np.stack(sums, 1) / sizes[:, None], *boundaries)


def _boundaries(
    count: int, first: Values, second: Values, lengths: Values, edges: Values
) -> tuple[Values, Values, Values, Values]:
    """Boundaries listed once: those between the same two of `count` regions are added up."""
    pair = np.minimum(first, second), np.maximum(first, second)
    length = coo_matrix((lengths.astype(np.float64), pair), (count, count)).tocsr().tocoo()
    edge = coo_matrix((edges.astype(np.float64), pair), (count, count)).tocsr()
    return length.row, length.col, length.data, edge.data


class _GreedyMerging:
    """A loop that merges the cheapest pair of neighbors until there is none, and records the `merges`.

    A merged region keeps the number of the part with more neighbors. If it has very many, only the costs of
    the inherited boundaries are updated at a merge; updating all would be quadratic on noise. A cost that has
    risen meanwhile is corrected when it reaches the front of the queue, one that has fallen when the region
    on the other side changes.
    """

    _UPDATE_ALL = 64

    def __init__(self, graph: RegionGraph) -> None:
        self.merges: list[tuple[int, int, float]] = []  # nodes and cost; merge i makes node n + i
        self._nodes = list(range(graph.sizes.size))
        self._sizes: list[float] = graph.sizes.tolist()
        self._means: list[list[float]] = graph.means.tolist()
        self._neighbors: list[dict[int, _Boundary]] = [{} for _ in self._nodes]
        self._queue: list[tuple[float, int, int]] = []
        costs = _costs(graph)
        for one, two, *boundary in zip(*(column.tolist() for column in (*graph[2:], costs)), strict=True):
            self._neighbors[one][two] = self._neighbors[two][one] = boundary
            self._queue.append((boundary[_QUEUED_COST], one, two))
        heapq.heapify(self._queue)
        while self._queue:
            self._take_cheapest()

    def _take_cheapest(self) -> None:
        cost, one, two = heapq.heappop(self._queue)
        boundary = self._neighbors[one].get(two)
        if boundary is None or boundary[_QUEUED_COST] != cost:
            return
        if self._cost(one, two) > cost:
            self._enqueue(one, two)
        else:
            self._merge(one, two, cost)

    def _merge(self, one: int, two: int, cost: float) -> None:
        kept, gone = (one, two) if len(self._neighbors[one]) >= len(self._neighbors[two]) else (two, one)
        self.merges.append((self._nodes[kept], self._nodes[gone], cost))
        self._nodes[kept] = len(self._nodes) + len(self.merges) - 1
        total = self._sizes[kept] + self._sizes[gone]
        share = self._sizes[gone] / total
        means = zip(self._means[kept], self._means[gone], strict=True)
        self._means[kept] = [ours + share * (theirs - ours) for ours, theirs in means]
        self._sizes[kept] = total
        inherited = self._inherit_boundaries(kept, gone)
        around = self._neighbors[kept]
        for other in around if len(around) <= self._UPDATE_ALL else inherited:
            self._enqueue(kept, other)

    def _inherit_boundaries(self, kept: int, gone: int) -> list[int]:
        """Move the boundaries of a region to the one it merges into; returns its other neighbors."""
        ours, theirs = self._neighbors[kept], self._neighbors[gone]
        self._neighbors[gone] = {}
        del ours[gone], theirs[kept]
        for other, boundary in theirs.items():
            del self._neighbors[other][gone]
            if other in ours:
                ours[other][_LENGTH] += boundary[_LENGTH]
                ours[other][_EDGE] += boundary[_EDGE]
            else:
                ours[other] = self._neighbors[other][kept] = boundary
        return list(theirs)

    def _enqueue(self, one: int, two: int) -> None:
        cost = self._cost(one, two)
        self._neighbors[one][two][_QUEUED_COST] = cost
        heapq.heappush(self._queue, (cost, one, two))

    def _cost(self, one: int, two: int) -> float:
        sizes, means, boundary = self._sizes, self._means, self._neighbors[one][two]
        cost: float = _cost(
            sizes[one], means[one], sizes[two], means[two], boundary[_LENGTH], boundary[_EDGE]
        )
        return cost

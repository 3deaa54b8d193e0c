"""The tree in which the regions of a graph merge: one partition for every threshold."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor

from csl_plugin.proposers.hierarchy.forest import roots


class MergeTree:
    """Nested partitions of a graph's regions: the larger the threshold, the fewer and larger the parts.

    Args:
        leaf_of_region: The leaf that holds each region of the graph, (n,) int64.
        parents: The node each node merges into, (nodes,) int64; a root is its own parent. Leaves come first,
            then the nodes of each round of merging, whose children are of earlier rounds.
        heights: Threshold from which on a node's children are merged, (nodes,) float64; never below a
            child's.
        rounds: The first node of each round, rising; the first is the number of leaves.
    """

    def __init__(
        self, leaf_of_region: Tensor, parents: Tensor, heights: Tensor, rounds: Sequence[int]
    ) -> None:
        self.leaf_of_region, self.heights, self.rounds = leaf_of_region, heights, rounds
        self._parents = parents

    @property
    def num_leaves(self) -> int:
        """How many leaves there are."""
        return self.rounds[0] if self.rounds else len(self._parents)

    def cut(self, threshold: float) -> Tensor:
        """The part of each region, (n,) int64 in no order, after all merges up to `threshold`."""
        nodes = torch.arange(len(self._parents), device=self._parents.device)
        done = self.heights.index_select(0, self._parents) <= threshold
        return roots(torch.where(done, self._parents, nodes)).index_select(0, self.leaf_of_region)

    def totals(self, of_leaves: Tensor) -> Tensor:
        """The sum over the leaves of each node: (leaves, ...) to (nodes, ...)."""
        totals = of_leaves.new_zeros((len(self._parents), *of_leaves.shape[1:]))
        totals[: len(of_leaves)] = of_leaves
        for children, parents in self._merges:
            totals.index_add_(0, parents, totals.index_select(0, children))
        return totals

    def best(self, values: Tensor) -> Tensor:
        """For each region, (n,), the node with the greatest value of those that contain it.

        Args:
            values: Of the nodes, (nodes,). Of equal values the larger node's counts.
        """
        found = torch.arange(len(values), device=values.device)
        for children, parents in reversed(self._merges):
            above = found.index_select(0, parents)
            better = values.index_select(0, above) >= values.index_select(0, children)
            found[children] = torch.where(better, above, children)
        return found.index_select(0, self.leaf_of_region)

    @cached_property
    def _merges(self) -> list[tuple[Tensor, Tensor]]:
        """The children and parents of every round."""
        order = torch.argsort(self._parents, stable=True)
        parents = self._parents.index_select(0, order)
        starts = torch.searchsorted(parents, torch.tensor(self.rounds, device=parents.device)).tolist()
        found = []
        for start, stop in pairwise([*starts, len(order)]):
            children, into = order[start:stop], parents[start:stop]
            kept = children != into
            found.append((children[kept], into[kept]))
        return found

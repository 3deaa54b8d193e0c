"""The basins of an image and the tree in which they merge: where regions of any scale are cut from."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from csl_plugin.proposers.hierarchy.merge_tree import MergeTree, Values, merge_tree, region_graph
from csl_plugin.proposers.hierarchy.watershed import basins
from csl_plugin.regions.components import split_components
from csl_plugin.regions.region_map import RegionMap

# Bounds on the leaves, because merging them is a loop in Python. Large images get larger leaves.
_PIXELS_PER_LEAF = 60
_MIN_LEAVES, _MAX_LEAVES = 1024, 12_000
_COLOR_DIFFERENCE = 10.0


class BasinTree(NamedTuple):
    """The basins of an image, (H, W), and the tree in which they merge."""

    basins: Values
    tree: MergeTree

    def height(self, scale: float) -> float:
        """The height in the tree up to which basins are merged at a scale."""
        thickness = scale * math.sqrt(self.basins.size) / 1000
        return thickness * _COLOR_DIFFERENCE**2

    def cut(self, scale: float) -> Values:
        """The labels (H, W) at one scale."""
        return self._connected(self.tree.cut(self.height(scale)))

    def assigned(self, validity: Values) -> Values:
        """The labels (H, W) by eq. 2: every pixel goes to the most valid of the nodes that contain it.

        What better nodes leave of a node may be in several pieces; each piece is a region.
        """
        return self._connected(self.tree.best(validity))

    def _connected(self, part_of_basin: Values) -> Values:
        parts = torch.from_numpy(part_of_basin[self.basins])
        return split_components(RegionMap(parts[None]), connectivity=4).labels[0].numpy()


def grow(relief: Values, color: Values, strength: Values) -> BasinTree:
    """Merge the basins of a relief (H, W) by color (H, W, 3) and the edge strength (H, W) between them."""
    found = basins(relief)
    graph = region_graph(found, color, strength)
    count = min(max(found.size // _PIXELS_PER_LEAF, _MIN_LEAVES), _MAX_LEAVES)
    return BasinTree(found, merge_tree(graph, count))


def pixels_of(image: Tensor) -> Values:
    """An image (1, 3, H, W) as (H, W, 3) float32 on the CPU."""
    rgb: Values = image[0].permute(1, 2, 0).to("cpu", torch.float32).contiguous().numpy()
    return rgb

"""The basins of an image and the tree in which they merge: where regions of any scale are cut from."""

from __future__ import annotations

import math
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from csl_plugin.proposers.hierarchy.bands import bands
from csl_plugin.proposers.hierarchy.merge_tree import MergeTree
from csl_plugin.proposers.hierarchy.merging import merge_tree
from csl_plugin.proposers.hierarchy.region_graph import region_graph
from csl_plugin.proposers.hierarchy.terrain import Terrain
from csl_plugin.proposers.hierarchy.watershed import basins, flow
from csl_plugin.regions.components import split_components
from csl_plugin.regions.region_map import RegionMap

# Bounds on the leaves: the smallest regions are about as large as what the network was trained to separate.
PIXELS_PER_LEAF = 60
MIN_LEAVES, MAX_LEAVES = 1024, 12_000
_COLOR_DIFFERENCE = 10.0

_BAND = 1 << 21

SideT = TypeVar("SideT", float, Tensor)


class BasinTree(NamedTuple):
    """The basins of an image, (H, W) int32, and the tree in which they merge."""

    basins: Tensor
    tree: MergeTree

    def height(self, scale: float) -> float:
        """The height in the tree up to which basins are merged at a scale."""
        return height_of(scale, math.sqrt(self.basins.numel()))

    def cut(self, scale: float) -> Tensor:
        """The labels (H, W) int32 at one scale, in reading order."""
        nodes, part = torch.unique(self.tree.cut(self.height(scale)), return_inverse=True)
        return self._in_reading_order(part, len(nodes))

    def assigned(self, validity: Tensor) -> Tensor:
        """The labels (H, W) int32 by eq. 2: every pixel goes to the most valid of the nodes that contain it.

        What better nodes leave of a node may be in several pieces; each piece is a region.
        """
        labels = self.tree.best(validity).int().index_select(0, self.basins.flatten())
        parts = RegionMap(labels.view(1, *self.basins.shape))
        return split_components(parts, connectivity=4).labels[0]

    def _in_reading_order(self, part_of_basin: Tensor, count: int) -> Tensor:
        """Labels of so many parts, numbered by their first pixel."""
        of_pixels = self.basins.flatten()
        pixels = len(of_pixels)
        first_of_basin = part_of_basin.new_full(part_of_basin.shape, pixels)
        for part in bands(of_pixels, _BAND):
            positions = torch.arange(part.start, part.stop, device=of_pixels.device)
            first_of_basin.scatter_reduce_(0, of_pixels[part].long(), positions, "amin")
        first = first_of_basin.new_full((count,), pixels)
        first.scatter_reduce_(0, part_of_basin, first_of_basin, "amin")
        rank = torch.empty_like(first)
        rank[torch.argsort(first)] = torch.arange(len(first), device=first.device)
        labels = rank.index_select(0, part_of_basin).int()
        return labels.index_select(0, of_pixels).view(self.basins.shape)


def height_of(scale: float, side: SideT) -> SideT:
    """The height up to which basins are merged at a scale, in the tree of an image of side sqrt(H W)."""
    thickness = scale * side / 1000
    return thickness * _COLOR_DIFFERENCE**2


def grow(terrain: Terrain) -> BasinTree:
    """Merge the basins of the relief by the color and the edge strength between them.

    The maps are deleted from the terrain, one after the other.
    """
    target = flow(terrain.relief)
    del terrain.relief
    found = basins(target)
    graph = region_graph(found, terrain)
    count = min(max(found.numel() // PIXELS_PER_LEAF, MIN_LEAVES), MAX_LEAVES)
    return BasinTree(found, merge_tree(graph, count))

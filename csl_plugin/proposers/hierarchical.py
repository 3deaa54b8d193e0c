"""What proposers share that cut a tree of merging basins at a scale."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from numbers import Real
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from csl_plugin.arrays import Array
from csl_plugin.errors import OptionError
from csl_plugin.proposers.images import read_images
from csl_plugin.proposers.merge_tree import MergeTree, Values, merge_tree, region_graph
from csl_plugin.proposers.relief import basins, number_by_first_use
from csl_plugin.region_map import RegionMap

# What a loop in Python can take. Of a large image the leaves are larger, and still finer beside its side.
_PIXELS_PER_LEAF = 60
_MIN_LEAVES, _MAX_LEAVES = 1024, 12_000
_COLOUR_DIFFERENCE = 10.0


class Hierarchy(NamedTuple):
    """The basins of an image, (H, W), and the tree in which they merge."""

    leaves: Values
    tree: MergeTree


def grow(relief: Values, colour: Values, strength: Values) -> Hierarchy:
    """Merge the basins of a relief (H, W) by colour (H, W, 3) and the edge strength (H, W) between them."""
    leaves = basins(relief)
    graph = region_graph(leaves, colour, strength)
    count = min(max(leaves.size // _PIXELS_PER_LEAF, _MIN_LEAVES), _MAX_LEAVES)
    return Hierarchy(leaves, merge_tree(graph, count))


class HierarchicalRegions(ABC):
    """One partition per scale, the same from every batch, regions numbered in reading order.

    Args:
        scale: How coarse the partitions are: the thickness, in thousandths of the image's side sqrt(H W),
            from which two regions stay apart when they differ by 10 units of colour and an edge of strength
            1 lies between them. Positive and finite.

    Raises:
        OptionError: `scale` is not a positive finite number.
    """

    default_scale: float

    def __init__(self, scale: float) -> None:
        self.scale: float = self.checked_scale(scale)

    @classmethod
    def checked_scale(cls, scale: float) -> float:
        """A scale as a float.

        Raises:
            OptionError: Not a positive finite number.
        """
        if isinstance(scale, bool) or not isinstance(scale, Real) or not 0 < scale < math.inf:
            mend = f"The default is {cls.default_scale:g}; half of it gives more and smaller regions."
            raise OptionError("scale", repr(scale), "a positive finite number", mend)
        return float(scale)

    def __call__(self, images: Array) -> RegionMap:
        """The regions of a batch of images, each image by itself.

        Args:
            images: RGB, (B, 3, H, W), floating point in [0, 1].

        Returns:
            Labels (B, H, W) int32 from 0 on, on the images' device.

        Raises:
            DTypeError: Not a floating-point tensor or array.
            ShapeError: Not (B, 3, H, W), or an axis is empty.
            ScoreRangeError: A value is outside [0, 1] or not finite.
        """
        return self.at_scales(images, (self.scale,))[0]

    def at_scales(self, images: Array, scales: Sequence[float]) -> tuple[RegionMap, ...]:
        """The regions at each of several scales, nested; arguments and errors as for a call."""
        tensor = read_images(images)
        trees = [self.hierarchy(image) for image in torch.split(tensor, 1)]
        found = []
        for scale in scales:
            labels = np.stack([_cut(tree, scale) for tree in trees])
            found.append(RegionMap(torch.from_numpy(labels).to(tensor.device), int(labels.max()) + 1))
        return tuple(found)

    @abstractmethod
    def hierarchy(self, image: Tensor) -> Hierarchy:
        """All scales of one image, (1, 3, H, W)."""


def _cut(hierarchy: Hierarchy, scale: float) -> Values:
    leaves, tree = hierarchy
    thickness = scale * math.sqrt(leaves.size) / 1000
    parts = tree.cut(thickness * _COLOUR_DIFFERENCE**2)
    labels: Values = number_by_first_use(parts[leaves.ravel()]).reshape(leaves.shape)
    return labels


def pixels_of(image: Tensor) -> Values:
    """An image (1, 3, H, W) as (H, W, 3) float32 on the CPU."""
    rgb: Values = image[0].permute(1, 2, 0).to("cpu", torch.float32).contiguous().numpy()
    return rgb

"""What proposers share whose regions are nodes of a tree of merging basins."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from numbers import Real
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from csl_plugin.arrays import Array
from csl_plugin.errors import OptionError
from csl_plugin.proposers.base import read_images
from csl_plugin.proposers.hierarchy.merge_tree import MergeTree, Values, merge_tree, region_graph
from csl_plugin.proposers.hierarchy.watershed import basins
from csl_plugin.regions.components import split_components
from csl_plugin.regions.region_map import RegionMap

AUTO: Final = "auto"
Scale: TypeAlias = "float | Literal['auto']"
"""How coarse a partition is; "auto" where a network says it, for each place of an image by itself."""

# What a loop in Python can take. Of a large image the leaves are larger, and still finer beside its side.
_PIXELS_PER_LEAF = 60
_MIN_LEAVES, _MAX_LEAVES = 1024, 12_000
_COLOUR_DIFFERENCE = 10.0


class Hierarchy(NamedTuple):
    """The basins of an image, (H, W), and the tree in which they merge."""

    basins: Values
    tree: MergeTree

    def height(self, scale: float) -> float:
        """The height in the tree up to which basins are merged at a scale."""
        thickness = scale * math.sqrt(self.basins.size) / 1000
        return thickness * _COLOUR_DIFFERENCE**2

    def cut(self, scale: float) -> Values:
        """The labels (H, W) at one scale."""
        return self._connected(self.tree.cut(self.height(scale)))

    def assigned(self, validity: Values) -> Values:
        """The labels (H, W) when every pixel goes to the most valid of the nodes that hold it, by eq. 2.

        A node of which better ones have taken their part may fall into pieces; each is a region.
        """
        return self._connected(self.tree.best(validity))

    def _connected(self, part_of_basin: Values) -> Values:
        parts = torch.from_numpy(part_of_basin[self.basins])
        return split_components(RegionMap(parts[None]), connectivity=4).labels[0].numpy()


def grow(relief: Values, color: Values, strength: Values) -> Hierarchy:
    """Merge the basins of a relief (H, W) by color (H, W, 3) and the edge strength (H, W) between them."""
    found = basins(relief)
    graph = region_graph(found, color, strength)
    count = min(max(found.size // _PIXELS_PER_LEAF, _MIN_LEAVES), _MAX_LEAVES)
    return Hierarchy(found, merge_tree(graph, count))


class HierarchicalRegions(ABC):
    """One partition per scale, the same from every batch, regions numbered in reading order.

    Args:
        scale: How coarse the partitions are: the thickness, in thousandths of the image's side sqrt(H W),
            from which two regions stay apart when they differ by 10 units of color and an edge of strength
            1 lies between them. Positive and finite.

    Raises:
        OptionError: `scale` is not a positive finite number.
    """

    default_scale: Scale

    def __init__(self, scale: Scale) -> None:
        self.scale: Scale = self.checked_scale(scale)

    @classmethod
    def checked_scale(cls, scale: Scale) -> Scale:
        """A scale, numbers as float.

        Raises:
            OptionError: Not a positive finite number.
        """
        if isinstance(scale, bool) or not isinstance(scale, Real) or not 0 < scale < math.inf:
            hint = f"The default is {scale_name(cls.default_scale)}; half of a scale gives smaller regions."
            auto = '"auto" or ' if cls.default_scale == AUTO else ""
            raise OptionError("scale", repr(scale), f"{auto}a positive finite number", hint)
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

    def at_scales(self, images: Array, scales: Sequence[Scale]) -> tuple[RegionMap, ...]:
        """The regions at each of several scales; arguments and errors as for a call."""
        tensor = read_images(images)
        found = zip(*(self.partitions(image, scales) for image in torch.split(tensor, 1)), strict=True)
        return tuple(as_map(labels, tensor.device) for labels in found)

    @abstractmethod
    def partitions(self, image: Tensor, scales: Sequence[Scale]) -> list[Values]:
        """The labels (H, W) of one image, (1, 3, H, W), at each scale."""


def as_map(labels: Sequence[Values], device: torch.device) -> RegionMap:
    """The labels (H, W) of each image of a batch as one map."""
    return RegionMap(torch.from_numpy(np.stack(labels)).to(device), int(np.max(labels)) + 1)


def scale_name(scale: Scale) -> str:
    """A scale as `load_proposer` takes it."""
    return scale if isinstance(scale, str) else f"{scale:g}"


def pixels_of(image: Tensor) -> Values:
    """An image (1, 3, H, W) as (H, W, 3) float32 on the CPU."""
    rgb: Values = image[0].permute(1, 2, 0).to("cpu", torch.float32).contiguous().numpy()
    return rgb

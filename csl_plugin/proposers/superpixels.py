"""Regions of similar color: a proposer that needs no weights."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from csl_plugin.proposers.hierarchy.basin_tree import grow
from csl_plugin.proposers.hierarchy.color import (
    color_gradient,
    opponent_color,
    relative_to_surroundings,
)
from csl_plugin.proposers.hierarchy.scales import HierarchicalRegions, Scale, scale_name
from csl_plugin.proposers.hierarchy.terrain import Terrain

_SCALE = 150.0  # chosen, with the constants of color.py, on the 200 training images of BSDS500


class Superpixels(HierarchicalRegions):
    """Regions of similar color, bounded by edges that stand out; no weights, no training.

    The basins of the color gradient (a watershed) merge, the cheapest pairs of neighbors first. A merge
    costs t d² e². t is the thickness of the two regions: their harmonic area divided by the length of their
    boundary. d is the distance of their mean colors. e is the strength of the edge between them relative to
    its surroundings, because crowded edges are texture. So thick regions stay separate at a smaller contrast
    than thin ones, as with the k / size of Felzenszwalb and Huttenlocher. t d² is the criterion of Koepfler,
    Lopez and Morel. The tree of merges contains all scales, as the hierarchy of Wei et al. does.

    Every pixel is assigned, every region is 4-connected, and regions are numbered by their first pixel in
    reading order. Partitions of one image at several scales are nested. The regions of an image do not
    depend on its batch.

    Args:
        scale: How coarse the partition is: the thickness, in thousandths of the image's side sqrt(H W), from
            which two regions stay separate when their colors differ by 10 CIELAB units (chroma counted twice)
            and the edge between them is as strong as the average edge around it. Positive and finite.

    Raises:
        OptionError: `scale` is not a positive finite number.

    References:
        Felzenszwalb and Huttenlocher, Efficient Graph-Based Image Segmentation, IJCV 2004.
        Koepfler, Lopez and Morel, A Multiscale Algorithm for Image Segmentation by Variational Method,
        SIAM Journal on Numerical Analysis 1994.
        Wei, Yang, Gong, Ahuja and Yang, Superpixel Hierarchy, IEEE Transactions on Image Processing 2018.

    Example:
        >>> import torch
        >>> from csl_plugin.proposers import Superpixels
        >>> image = torch.zeros(1, 3, 24, 32)
        >>> image[..., 8:16, 8:20] = torch.tensor([0.9, 0.4, 0.1]).view(3, 1, 1)
        >>> (regions,) = Superpixels()(image)
        >>> regions
        RegionMap(batch_size=1, size=(24, 32), num_regions=2)
        >>> regions.labels[0, 12, ::4]
        tensor([0, 0, 1, 1, 1, 0, 0, 0], dtype=torch.int32)
    """

    default_scale = _SCALE
    loaded_as = "superpixels"

    def __init__(self, scale: float = _SCALE) -> None:
        super().__init__(scale)

    def partitions(self, image: Tensor, scales: Sequence[Scale]) -> list[Tensor]:
        """The labels (H, W) of one image, (1, 3, H, W), at each scale."""
        hierarchy = grow(terrain_of(image[0]))
        return [hierarchy.cut(float(scale)) for scale in scales]

    def __repr__(self) -> str:
        return f"Superpixels(scale={scale_name(self.scale)})"


def terrain_of(image: Tensor) -> Terrain:
    """What the tree of an image, (3, H, W), grows from."""
    color = opponent_color(image)
    gradient = color_gradient(color)
    return Terrain(gradient, color, relative_to_surroundings(gradient))

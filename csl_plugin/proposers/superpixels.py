"""Regions of similar colour: a proposer that needs no weights."""

from __future__ import annotations

import math
from numbers import Real

import numpy as np
import torch

from csl_plugin.arrays import Array
from csl_plugin.errors import OptionError
from csl_plugin.proposers.images import read_images
from csl_plugin.proposers.merge_tree import MergeTree, Values, merge_tree, region_graph
from csl_plugin.proposers.relief import (
    basins,
    colour_gradient,
    number_by_first_use,
    opponent_colour,
    relative_to_surroundings,
)
from csl_plugin.region_map import RegionMap

# Chosen, with the default scale, on the 200 training images of BSDS500.
_PIXELS_PER_LEAF = 60  # what a loop in Python can take: a second for a million pixels
_MIN_LEAVES = 1024


class Superpixels:
    """Regions of similar colour, bounded by edges that stand out; no weights, no training.

    The basins of the colour gradient (a watershed) merge, the cheapest pair of neighbours first. A merge
    costs t d² e²: t is the thickness of the two regions (their harmonic area by the length of their
    boundary), d the distance of their mean colours, e the strength of the edge between them relative to its
    surroundings, because crowded edges are texture. So thick regions stay apart at a smaller contrast than
    thin ones, as with the k / |C| of Felzenszwalb and Huttenlocher; t d² is the criterion of Koepfler, Lopez
    and Morel; and the tree of merges holds all scales, as the hierarchy of Wei et al. does.

    Every pixel is assigned, every region is 4-connected, and regions are numbered by their first pixel in
    reading order. Partitions of one image at several scales are nested, and the same image always has the
    same regions, alone or in a batch.

    Args:
        scale: How coarse the partition is: the thickness, in thousandths of the image's side sqrt(H W), from
            which two regions stay apart when their colours differ by 10 CIELAB units (chroma counted twice)
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
        >>> from csl_plugin.proposers.superpixels import Superpixels
        >>> image = torch.zeros(1, 3, 24, 32)
        >>> image[..., 8:16, 8:20] = torch.tensor([0.9, 0.4, 0.1]).view(3, 1, 1)
        >>> regions = Superpixels()(image)
        >>> regions
        RegionMap(batch_size=1, size=(24, 32), num_regions=2)
        >>> regions.labels[0, 12, ::4]
        tensor([0, 0, 1, 1, 1, 0, 0, 0], dtype=torch.int32)
    """

    def __init__(self, scale: float = 150.0) -> None:
        if isinstance(scale, bool) or not isinstance(scale, Real) or not 0 < scale < math.inf:
            raise OptionError(
                "scale",
                repr(scale),
                "a positive finite number",
                "The default is 150; half of it gives more and smaller regions.",
            )
        self.scale: float = float(scale)

    def __call__(self, images: Array) -> RegionMap:
        """The regions of a batch of images, each image by itself.

        Args:
            images: RGB, (B, 3, H, W), floating point in [0, 1]. The work is done on the CPU, in float32.

        Returns:
            Labels (B, H, W) int32 from 0 on, on the images' device.

        Raises:
            DTypeError: Not a floating-point tensor or array.
            ShapeError: Not (B, 3, H, W), or an axis is empty.
            ScoreRangeError: A value is outside [0, 1] or not finite.
        """
        tensor = read_images(images)
        pixels = tensor.permute(0, 2, 3, 1).to("cpu", torch.float32).contiguous().numpy()
        labels = np.stack([self._partition(rgb) for rgb in pixels])
        return RegionMap(torch.from_numpy(labels).to(tensor.device), num_regions=int(labels.max()) + 1)

    def _partition(self, rgb: Values) -> Values:
        height, width, _ = rgb.shape
        leaves, tree = _hierarchy(rgb)
        side_over_thousand, colour_difference = math.sqrt(height * width) / 1000, 10.0
        parts = tree.cut(self.scale * side_over_thousand * colour_difference**2)
        return number_by_first_use(parts[leaves.ravel()]).reshape(height, width)

    def __repr__(self) -> str:
        return f"Superpixels(scale={self.scale:g})"


def _hierarchy(rgb: Values) -> tuple[Values, MergeTree]:
    """The basins of an image, (H, W), and the tree in which they merge; rgb is (H, W, 3) float32."""
    colour = opponent_colour(rgb)
    gradient = colour_gradient(colour)
    leaves = basins(gradient)
    graph = region_graph(leaves, colour, relative_to_surroundings(gradient))
    return leaves, merge_tree(graph, max(leaves.size // _PIXELS_PER_LEAF, _MIN_LEAVES))

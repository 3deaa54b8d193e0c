"""Regions from a CSL network: as it scores them, or gathered along the boundaries it sees."""

from __future__ import annotations

import math
from numbers import Real

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from csl_plugin.arrays import Array
from csl_plugin.errors import OptionError
from csl_plugin.models import CSLNetwork
from csl_plugin.models.storage import weights_digest
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
from csl_plugin.region_proposals import RegionProposals

_GRADIENT_SHARE = 0.02
_CONTRAST_SHARE = 0.3
_FAINT_EDGE = 1e-3
_PIXELS_PER_LEAF = 60
_MIN_LEAVES = 1024
_LONGEST_SIDE = 1024


class NetworkProposals:
    """The region scores and validities of a CSL network, as eq. 2 takes them.

    Args:
        network: A trained network with its weights, in evaluation mode.

    Example:
        >>> import torch
        >>> from csl_plugin.models import CSLNetwork, NetworkConfig
        >>> proposer = NetworkProposals(CSLNetwork(NetworkConfig(num_queries=8)).eval())
        >>> proposer(torch.rand(1, 3, 64, 96))
        RegionProposals(batch_size=1, num_regions=8, resolution=(16, 24))
    """

    def __init__(self, network: CSLNetwork) -> None:
        self.network: CSLNetwork = network

    def __call__(self, images: Array) -> RegionProposals:
        """The proposals of a batch of images, at stride 4 of the network's input.

        Args:
            images: RGB, (B, 3, H, W), floating point in [0, 1].

        Raises:
            DTypeError: Not a floating-point tensor or array.
            ShapeError: Not (B, 3, H, W), or an axis is empty.
            ScoreRangeError: A value is outside [0, 1] or not finite.
        """
        tensor = read_images(images)
        with torch.inference_mode():
            answer = self.network(_network_input(tensor, self.network)).regions[-1]
        logits, validity = answer.mask_logits.float(), answer.validity_logits.float()
        return RegionProposals.from_logits(logits.to(tensor.device), validity.to(tensor.device))

    def __repr__(self) -> str:
        return f"NetworkProposals({_identity(self.network)})"


class NetworkRegions:
    """Regions that a CSL network tells apart, along the boundaries that it sees.

    The basins of the predicted boundary (a watershed) merge, the cheapest pair of neighbours first, as those
    of `Superpixels` do and at the same cost t d² e²: t is the thickness of the two regions, d the distance of
    their mean colours, and e here the network's boundary probability between them (or three tenths of the
    superpixels' own edge strength, where that is more). Superpixels divide what texture divides and miss
    faint outlines; the network has seen what bounds a thing.

    Every pixel is assigned, every region is 4-connected, and partitions of one image at several scales are
    nested.

    Args:
        network: A trained network with a boundary head, in evaluation mode.
        scale: How coarse the partition is: the thickness, in thousandths of the image's side sqrt(H W), from
            which two regions stay apart when their colours differ by 10 CIELAB units (chroma counted twice)
            and the boundary between them is certain. Positive and finite.

    Raises:
        OptionError: `scale` is not a positive finite number, or the network has no boundary head.

    Example:
        >>> import torch
        >>> from csl_plugin.models import CSLNetwork, NetworkConfig
        >>> network = CSLNetwork(NetworkConfig(num_queries=8, boundary=True)).eval()
        >>> NetworkRegions(network)(torch.rand(1, 3, 64, 96)).labels.shape
        torch.Size([1, 64, 96])
    """

    def __init__(self, network: CSLNetwork, scale: float = 10.0) -> None:
        if isinstance(scale, bool) or not isinstance(scale, Real) or not 0 < scale < math.inf:
            mend = "The default is 10; half of it gives more and smaller regions."
            raise OptionError("scale", repr(scale), "a positive finite number", mend)
        if not network.config.boundary:
            mend = "Use NetworkProposals, or train with boundary=True."
            raise OptionError("network", "a network without boundary head", "one with it", mend)
        self.network: CSLNetwork = network
        self.scale: float = float(scale)

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
        tensor = read_images(images)
        labels = np.stack([self._partition(image) for image in torch.split(tensor, 1)])
        return RegionMap(torch.from_numpy(labels).to(tensor.device), num_regions=int(labels.max()) + 1)

    def _partition(self, image: Tensor) -> Values:
        height, width = image.shape[2:]
        leaves, tree = self._hierarchy(image)
        parts = tree.cut(self.scale * math.sqrt(height * width) / 1000 * 10.0**2)
        return number_by_first_use(parts[leaves.ravel()]).reshape(height, width)

    def _hierarchy(self, image: Tensor) -> tuple[Values, MergeTree]:
        size = image.shape[2], image.shape[3]
        with torch.inference_mode():
            boundary = self.network(_network_input(image, self.network)).boundary
            assert boundary is not None  # noqa: S101
            edge = F.interpolate(boundary.float().sigmoid(), size, mode="bilinear", align_corners=False)
        strength: Values = edge[0, 0].cpu().numpy()
        colour = opponent_colour(image[0].permute(1, 2, 0).to("cpu", torch.float32).contiguous().numpy())
        gradient = colour_gradient(colour)
        # The network's boundaries are some pixels wide; the gradient says where in them the edge lies.
        relief = strength + _GRADIENT_SHARE * gradient / (gradient.mean() + np.float32(1e-6))
        leaves = basins(relief)
        # An outline that the network misses and the image shows counts too, if for less.
        edge_or_contrast = np.maximum(strength, _CONTRAST_SHARE * relative_to_surroundings(gradient))
        graph = region_graph(leaves, colour, edge_or_contrast + _FAINT_EDGE)
        return leaves, merge_tree(graph, max(leaves.size // _PIXELS_PER_LEAF, _MIN_LEAVES))

    def __repr__(self) -> str:
        return f"NetworkRegions({_identity(self.network)}, scale={self.scale:g})"


def _identity(network: CSLNetwork) -> str:
    """What tells a network from others: its backbone, and how its weights begin when hashed."""
    return f"{network.config.backbone} {weights_digest(network.state_dict())[:12]}"


def _network_input(images: Tensor, network: CSLNetwork) -> Tensor:
    """Images where the network lives, shrunk where they are much larger than what it was trained on."""
    parameter = next(network.parameters())
    images = images.to(parameter.device, torch.float32)
    share = _LONGEST_SIDE / max(images.shape[2:])
    if share >= 1:
        return images
    size = [max(1, round(side * share)) for side in images.shape[2:]]
    shrunk = F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)
    return shrunk.clamp(0, 1)

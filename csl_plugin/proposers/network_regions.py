"""Regions from a CSL network: as it scores them, or gathered along the boundaries it sees."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from csl_plugin.arrays import Array
from csl_plugin.errors import OptionError
from csl_plugin.models import CSLNetwork
from csl_plugin.models.storage import weights_digest
from csl_plugin.proposers.hierarchical import HierarchicalRegions, Hierarchy, grow, pixels_of
from csl_plugin.proposers.images import read_images
from csl_plugin.proposers.merge_tree import Values
from csl_plugin.proposers.relief import colour_gradient, opponent_colour, relative_to_surroundings
from csl_plugin.region_proposals import RegionProposals

_SCALE = 10.0  # chosen, with the two shares, on the even frames of two validation sets
_GRADIENT_SHARE = 0.02
_CONTRAST_SHARE = 0.3
_FAINT_EDGE = 1e-3
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


class NetworkRegions(HierarchicalRegions):
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

    default_scale = _SCALE

    def __init__(self, network: CSLNetwork, scale: float = _SCALE) -> None:
        super().__init__(scale)
        if not network.config.boundary:
            mend = "Use NetworkProposals, or train with boundary=True."
            raise OptionError("network", "a network without boundary head", "one with it", mend)
        self.network: CSLNetwork = network

    def hierarchy(self, image: Tensor) -> Hierarchy:
        """All scales of one image, (1, 3, H, W)."""
        with torch.inference_mode():
            boundary = self.network.boundaries(_network_input(image, self.network)).float().sigmoid()
            edge = F.interpolate(boundary, image.shape[2:], mode="bilinear", align_corners=False)
        strength: Values = edge[0, 0].cpu().numpy()
        colour = opponent_colour(pixels_of(image))
        gradient = colour_gradient(colour)
        # The network's boundaries are some pixels wide; the gradient says where in them the edge lies.
        relief = strength + _GRADIENT_SHARE * gradient / (gradient.mean() + np.float32(1e-6))
        # An outline that the network misses and the image shows counts too, if for less.
        edge_or_contrast = np.maximum(strength, _CONTRAST_SHARE * relative_to_surroundings(gradient))
        return grow(relief, colour, edge_or_contrast + _FAINT_EDGE)

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

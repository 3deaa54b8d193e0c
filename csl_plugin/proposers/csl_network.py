"""Regions from a CSL network: its proposals as they are, or those of a tree along its boundaries."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from csl_plugin._autocast import in_bfloat16_where_fast, without_autocast
from csl_plugin._tracing import is_exporting
from csl_plugin.errors import OptionError
from csl_plugin.models import CSLNetwork
from csl_plugin.models.boundary import BoundaryLogits
from csl_plugin.models.former_names import former_name
from csl_plugin.models.hub.safetensors_io import weights_digest
from csl_plugin.models.network import STRIDE, NetworkOutput
from csl_plugin.models.region_decoder import RegionPrediction
from csl_plugin.proposers.hierarchy.basin_tree import grow
from csl_plugin.proposers.hierarchy.color import (
    color_gradient,
    mean,
    opponent_color,
    relative_to_surroundings,
)
from csl_plugin.proposers.hierarchy.node_validity import node_validity
from csl_plugin.proposers.hierarchy.scales import AUTO, HierarchicalRegions, Scale, as_map, scale_name
from csl_plugin.proposers.hierarchy.terrain import Terrain
from csl_plugin.proposers.images import Images, read_images
from csl_plugin.proposers.names import loading_call
from csl_plugin.proposers.placement import FollowsImages
from csl_plugin.regions.proposals import RegionProposals
from csl_plugin.regions.region_map import RegionMap

# Chosen on the even frames of two validation sets.
_GRADIENT_SHARE = 0.02
_CONTRAST_SHARE = 0.3
_FAINT_EDGE = 1e-3
LONGEST_SIDE = 1024


class NetworkProposals(FollowsImages):
    """The region scores and validities of a CSL network, as eq. 2 takes them.

    Args:
        network: A trained network with its weights, in evaluation mode.

    Example:
        >>> import torch
        >>> from csl_plugin.models import CSLNetwork, NetworkConfig
        >>> from csl_plugin.proposers import NetworkProposals
        >>> proposer = NetworkProposals(CSLNetwork(NetworkConfig(num_queries=8)).eval())
        >>> (proposals,) = proposer(torch.rand(1, 3, 64, 96))
        >>> proposals
        RegionProposals(batch_size=1, num_regions=8, resolution=(16, 24))
    """

    def __init__(self, network: CSLNetwork) -> None:
        self.network: CSLNetwork = network

    def __call__(self, images: Images) -> tuple[RegionProposals]:
        """The proposals of a batch of images, at stride 4 of the network's input.

        Args:
            images: RGB (B, 3, H, W) in [0, 1], or whatever else `Proposer` names.

        Raises:
            CSLError: The images cannot be read as such: see `Proposer`.
        """
        tensor = read_images(images)
        network = self.near(tensor).network
        resized = network_input(tensor, network)
        with torch.inference_mode(), without_autocast(resized.device):
            output = network(resized)
        return self.of_output(tensor, output)

    def of_output(self, images: Tensor, output: NetworkOutput) -> tuple[RegionProposals]:
        """The proposals from an output of the network that exists already: no second pass.

        Args:
            images: (B, 3, H, W); the proposals are put on their device.
            output: The network's output for these images.
        """
        last = output.regions[-1]
        logits, validity = last.mask_logits.float(), last.validity_logits.float()
        return (RegionProposals.from_logits(logits.to(images.device), validity.to(images.device)),)

    def __repr__(self) -> str:
        return loading_call(self) or f"NetworkProposals({network_digest(self.network)})"


class NetworkRegions(FollowsImages, HierarchicalRegions):
    """Regions along the boundaries that a CSL network predicts, chosen by its proposals.

    A network with a finer-boundary head looks at the image at twice the resolution of its proposals too:
    there things of 20 pixels in a frame of 1920 have boundaries of their own. The basins of the predicted
    boundary (a watershed) merge, the cheapest pairs of neighbors first, as those of `Superpixels` do and at
    the same cost t d² e². t is the thickness of the two regions, d the distance of their mean colors, and e
    the network's boundary probability between them, or three tenths of the superpixels' edge strength where
    that is more. Superpixels separate what differs in texture and miss faint outlines; the network has
    learned the boundaries of objects.

    Eq. 2 chooses which nodes of that tree are regions. R of a node is 1 inside and 0 outside, V is how well
    one of the network's proposals agrees with the node (`node_validity`), and every pixel goes to the best of
    the nodes that contain it. So a region is as large as its object. With a scale, the proposals are not
    used: the tree is cut at that scale everywhere, and the cuts are nested.

    Every pixel is assigned, and every region is 4-connected. A processor with instructions for bfloat16 runs
    the network in it, which moves single pixels between regions.

    Args:
        network: A trained network with a boundary head, in evaluation mode.
        scale: "auto" for eq. 2. Or how coarse the partition is: the thickness, in thousandths of the image's
            side sqrt(H W), from which two regions stay separate when their colors differ by 10 CIELAB units
            (chroma counted twice) and the boundary between them is certain. Positive and finite.

    Raises:
        OptionError: `scale` is neither, or the network has no boundary head.

    Example:
        >>> import torch
        >>> from csl_plugin.models import CSLNetwork, NetworkConfig
        >>> from csl_plugin.proposers import NetworkRegions
        >>> network = CSLNetwork(NetworkConfig(num_queries=8, boundary=True)).eval()
        >>> (regions,) = NetworkRegions(network)(torch.rand(1, 3, 64, 96))
        >>> regions.labels.shape
        torch.Size([1, 64, 96])

    Source:
        Paper, eq. 2; region proposals "at the disconnected-component level".
    """

    default_scale = AUTO

    def __init__(self, network: CSLNetwork, scale: Scale = AUTO) -> None:
        super().__init__(scale)
        if not network.config.boundary:
            hint = "Use NetworkProposals, or train with boundary=True."
            raise OptionError("network", "a network without boundary head", "one with it", hint)
        self.network: CSLNetwork = network

    @classmethod
    def checked_scale(cls, scale: Scale) -> Scale:
        """A scale, numbers as float.

        Raises:
            OptionError: Neither "auto" nor a positive finite number.
        """
        return AUTO if isinstance(scale, str) and scale == AUTO else super().checked_scale(scale)

    def partitions(self, image: Tensor, scales: Sequence[Scale]) -> list[Tensor]:
        """The labels (H, W) of one image, (1, 3, H, W), at each scale."""
        coarse = network_input(image, self.network)
        finer = None
        if self.network.config.finer_boundary:
            finer = resized_for(image, self.network, [2 * side for side in coarse.shape[2:]])
        proposed = None
        with torch.inference_mode(), in_bfloat16_where_fast(coarse):
            if AUTO in scales:
                output = self.network(coarse, finer=finer)
                boundary, proposed = finest(output), output.regions[-1]
            else:
                boundary = finest(self.network.boundaries(coarse, finer=finer))
        step = STRIDE * image.shape[2] / coarse.shape[2], STRIDE * image.shape[3] / coarse.shape[3]
        return partitions_of(image, boundary, proposed, step, scales)

    def of_output(self, images: Tensor, output: NetworkOutput) -> tuple[RegionMap]:
        """The regions from an output of the network that exists already: no second pass.

        Where the output has no finer boundaries, small things have fewer regions of their own than in a call
        with images.

        Args:
            images: RGB (B, 3, H, W) in [0, 1], or whatever else `Proposer` names.
            output: The network's output for these images at their own size.

        Raises:
            CSLError: The images cannot be read as such: see `Proposer`.
            OptionError: The output has no boundaries.
        """
        tensor, (mask_logits, validity_logits, _) = read_images(images), output.regions[-1]
        boundary = finest(output)
        labels = []
        for index, image in enumerate(torch.split(tensor, 1)):
            one = slice(index, index + 1)
            proposed = None
            if self.scale == AUTO:
                proposed = RegionPrediction(mask_logits[one], validity_logits[one])
            labels += partitions_of(image, boundary[one], proposed, (STRIDE, STRIDE), (self.scale,))
        return (as_map(labels, tensor.device),)

    source = HierarchicalRegions.source

    def __repr__(self) -> str:
        made = f"NetworkRegions({network_digest(self.network)}, scale={scale_name(self.scale)})"
        return loading_call(self) or made


def finest(output: NetworkOutput | BoundaryLogits) -> Tensor:
    """The finest boundaries of an output, (B, 1, h, w) logits.

    Raises:
        OptionError: It has none.
    """
    found = output.boundary if output.finer_boundary is None else output.finer_boundary
    if found is None:
        hint = "Pass an output of this proposer's network."
        raise OptionError("output", "an output without boundaries", "one with them", hint)
    return found


def partitions_of(
    image: Tensor,
    boundary: Tensor,
    proposed: RegionPrediction | None,
    step: tuple[float, float],
    scales: Sequence[Scale],
) -> list[Tensor]:
    """The labels of one image from a network's predictions, one cell every `step` pixels.

    Without proposals the scales may only be numbers.
    """
    tree, own = grow(terrain_of(image, boundary)), {}
    if proposed is not None:
        validity = node_validity(tree, proposed.mask_logits[0], proposed.validity_logits[0], step)
        own[AUTO] = tree.assigned(validity)
    return [own[scale] if scale in own else tree.cut(float(scale)) for scale in scales]


def terrain_of(image: Tensor, boundary: Tensor) -> Terrain:
    """What the tree of an image, (1, 3, H, W), grows from along predicted boundaries.

    Args:
        image: RGB in [0, 1].
        boundary: Logits (1, 1, h, w).
    """
    edge = boundary.detach().float().sigmoid().to(image.device)
    strength = F.interpolate(edge, image.shape[2:], mode="bilinear", align_corners=False)[0, 0]
    color = opponent_color(image[0])
    gradient = color_gradient(color)
    # An edge of the image that the network misses counts too, with a smaller weight.
    contrast = relative_to_surroundings(gradient).mul_(_CONTRAST_SHARE)
    # Predicted boundaries are some pixels wide; the gradient locates the edge within them.
    relief = gradient.mul_(_GRADIENT_SHARE / (mean(gradient) + 1e-6)).add_(strength)
    highest = torch.maximum(strength, contrast, out=None if is_exporting() else contrast)
    return Terrain(relief, color, highest.add_(_FAINT_EDGE))


def network_digest(network: CSLNetwork) -> str:
    """The network's backbone and the start of its weights' digest.

    Hashed under the former names, so that a network keeps its identity in settings written before a rename.
    """
    weights = {former_name(name): value for name, value in network.state_dict().items()}
    return f"{network.config.backbone} {weights_digest(weights)[:12]}"


def network_input(images: Tensor, network: CSLNetwork) -> Tensor:
    """Images as the network takes them, shrunk if they are much larger than those of its training."""
    share = min(LONGEST_SIDE / max(images.shape[2:]), 1.0)
    return resized_for(images, network, [max(1, round(side * share)) for side in images.shape[2:]])


def resized_for(images: Tensor, network: CSLNetwork, size: Sequence[int]) -> Tensor:
    """Images in the network's dtype and on its device, at another size."""
    parameter = next(network.parameters())
    images = images.to(parameter.device, torch.float32)
    if images.shape[2:] != torch.Size(size):
        images = F.interpolate(images, list(size), mode="bilinear", align_corners=False, antialias=True)
        images = images.clamp_(0, 1)
    return images.to(parameter.dtype)

"""The proposers of this package as parts of a graph."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from csl_plugin.arrays import describe
from csl_plugin.errors import OptionError
from csl_plugin.export.hierarchy.partitions import partitions
from csl_plugin.models import CSLNetwork
from csl_plugin.models.network import STRIDE
from csl_plugin.models.region_decoder import RegionPrediction
from csl_plugin.proposers import Proposer, csl_network, superpixels
from csl_plugin.proposers.combine import Scales, Together
from csl_plugin.proposers.csl_network import NetworkRegions, finest, network_input
from csl_plugin.proposers.hierarchy.basin_tree import grow
from csl_plugin.proposers.hierarchy.color import color_tables
from csl_plugin.proposers.hierarchy.scales import AUTO, Scale, as_map
from csl_plugin.proposers.hierarchy.terrain import Terrain
from csl_plugin.proposers.superpixels import Superpixels
from csl_plugin.regions.region_map import RegionMap


class NetworkPass(nn.Module):
    """A network on images (1, 3, H, W), shrunk as `NetworkRegions` does where their size is fixed.

    Args:
        network: In float32 and evaluation mode.
    """

    def __init__(self, network: CSLNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, images: Tensor, proposals: bool = True
    ) -> tuple[tuple[Tensor, Tensor] | None, Tensor | None, tuple[float, float]]:
        """The logits of masks and validities, those of boundaries, and the pixels between two cells."""
        open_size = not all(type(side) is int for side in images.shape[2:])
        coarse = images if open_size else network_input(images, self.network)
        finer = self._finer(images, coarse) if self.network.config.finer_boundary else None
        step = (float(STRIDE), float(STRIDE))
        if not open_size:
            step = STRIDE * images.shape[2] / coarse.shape[2], STRIDE * images.shape[3] / coarse.shape[3]
        if not proposals:
            return None, finest(self.network.boundaries(coarse, finer=finer)), step
        output = self.network(coarse, finer=finer)
        boundary = finest(output) if self.network.config.boundary else None
        return output.regions[-1][:2], boundary, step

    @staticmethod
    def _finer(images: Tensor, coarse: Tensor) -> Tensor:
        size = [2 * side for side in coarse.shape[2:]]
        shrinks = coarse is not images
        finer = F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=shrinks)
        return finer.clamp(0, 1)


class Regions(nn.Module):
    """The partitions of one image, (1, 3, H, W), by proposers whose regions are cut from trees.

    Args:
        proposer: `NetworkRegions`, `Superpixels`, one of them at several scales, or several.

    Raises:
        OptionError: Another one.
    """

    def __init__(self, proposer: Proposer) -> None:
        super().__init__()
        networks, self.scales = [], []
        for each, scales in _trees(proposer):
            own = NetworkPass(detached(each.network)) if isinstance(each, NetworkRegions) else nn.Identity()
            networks.append(own)
            self.scales.append(scales)
        self.networks = nn.ModuleList(networks)
        color_tables(torch.device("cpu"))  # made here, since in a graph they would be tensors without values

    def forward(self, images: Tensor) -> tuple[RegionMap, ...]:
        """The partitions, as a graph."""
        found: list[RegionMap] = []
        for network, scales in zip(self.networks, self.scales, strict=True):
            terrain, proposed, step = _grown_from(network, images, scales)
            found += partitions(terrain, scales, proposed, step)
        return tuple(found)

    def plain(self, images: Tensor) -> tuple[RegionMap, ...]:
        """The same partitions by the proposers' own functions."""
        found: list[RegionMap] = []
        with torch.no_grad():
            for network, scales in zip(self.networks, self.scales, strict=True):
                if isinstance(network, NetworkPass):
                    proposed, boundary, step = network(images, AUTO in scales)
                    own = None if proposed is None else RegionPrediction(*proposed)
                    labels = csl_network.partitions_of(images, boundary, own, step, scales)
                else:
                    tree = grow(superpixels.terrain_of(images[0]))
                    labels = [tree.cut(float(scale)) for scale in scales]
                found += [as_map([each], images.device) for each in labels]
        return tuple(found)


def detached(network: CSLNetwork) -> CSLNetwork:
    """A copy in float32 and evaluation mode, without gradients."""
    return copy.deepcopy(network).float().eval().requires_grad_(False)


def _grown_from(
    network: nn.Module, images: Tensor, scales: Sequence[Scale]
) -> tuple[Terrain, tuple[Tensor, Tensor] | None, tuple[float, float]]:
    """What the tree of an image grows from, its proposals, and the pixels between two of their cells."""
    if not isinstance(network, NetworkPass):
        return superpixels.terrain_of(images[0]), None, (1.0, 1.0)
    proposed, boundary, step = network(images, AUTO in scales)
    first = None if proposed is None else (proposed[0][0], proposed[1][0])
    return csl_network.terrain_of(images, boundary), first, step


def _trees(proposer: object) -> Iterator[tuple[NetworkRegions | Superpixels, tuple[Scale, ...]]]:
    """The proposers of trees within one, each with its scales."""
    if isinstance(proposer, Together):
        for each in proposer.proposers:
            yield from _trees(each)
    elif isinstance(proposer, Scales) and isinstance(proposer.proposer, (NetworkRegions, Superpixels)):
        yield proposer.proposer, proposer.scales
    elif isinstance(proposer, (NetworkRegions, Superpixels)):
        yield proposer, (proposer.scale,)
    else:
        hint = "Export the fusion alone, `csl-plugin export fuse`, and give it the labels of your regions."
        expected = "csl-tiny, another network with boundaries, superpixels, or several of them"
        raise OptionError("proposer", describe(proposer), expected, hint)

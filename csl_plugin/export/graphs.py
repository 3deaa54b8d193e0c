"""What can be exported: modules from tensors to tensors, with names and open sizes for both."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from csl_plugin._options import checked_integer
from csl_plugin.arrays import describe
from csl_plugin.errors import DTypeError
from csl_plugin.export.sources import NetworkPass, Regions, detached
from csl_plugin.fusion import Rule, fuse
from csl_plugin.fusion.rules import read_rule
from csl_plugin.models import CSLNetwork
from csl_plugin.proposers import Proposer
from csl_plugin.proposers.csl_network import LONGEST_SIDE
from csl_plugin.proposers.load import as_proposer
from csl_plugin.regions.region_map import RegionMap

_TWO_CELLS = 33  # pixels, of the network's coarsest stride: torch.export takes an axis of one for a fixed one


class Graph(nn.Module, ABC):
    """A module that torch.export and the ONNX exporter record as it stands.

    Attributes:
        input_names: Of the tensors that it takes.
        output_names: Of those that it gives.
        sides: The least and the most pixels of a side of an image of open size.
    """

    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    sides: tuple[int, int]

    @abstractmethod
    def draw(self, size: tuple[int, int], generator: torch.Generator) -> tuple[Tensor, ...]:
        """Random inputs for an image of (H, W)."""

    @abstractmethod
    def open_sizes(self, image: tuple[Any, Any] | None) -> tuple[dict[int, Any], ...]:
        """The axes without a fixed size of each input, where height and width of the image are these."""

    @abstractmethod
    def plain(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """What the package's own functions give for these inputs, outside of any graph."""


class FusionGraph(Graph):
    """`fuse` of a distribution with a label map: (1, C, H, W) and (1, H, W) to (1, C, H, W).

    Regions are taken as they are: what is in several pieces is one region. Labels are integers, -1 for
    unassigned.

    Args:
        rule: As for `fuse`.
        classes: C.

    Raises:
        OptionError: An unknown rule, or C below 1.

    Example:
        >>> import torch
        >>> from csl_plugin import fuse
        >>> from csl_plugin.export import FusionGraph, exported
        >>> program = exported(FusionGraph()).module()
        >>> scores, labels = torch.rand(1, 1, 24, 32), torch.randint(-1, 9, (1, 24, 32))
        >>> torch.allclose(program(scores, labels), fuse(scores, labels, split=False))
        True
    """

    input_names = ("distribution", "labels")
    output_names = ("fused",)
    sides = (2, 1 << 14)

    def __init__(self, rule: Rule = "adaptive", classes: int = 1) -> None:
        super().__init__()
        self.rule: Rule = read_rule(rule)
        self.classes = _checked_classes(classes)

    def forward(self, distribution: Tensor, labels: Tensor) -> Tensor:
        """The fused distribution."""
        count = labels.amax((0, 1, 2)).item() + 1
        torch._check(count >= 0)  # type: ignore[no-untyped-call]
        regions = RegionMap(labels, count)  # type: ignore[arg-type]
        return fuse(distribution, regions, rule=self.rule, split=False, check=False)

    def plain(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """`fuse` of the inputs."""
        distribution, labels = inputs
        return (fuse(distribution, labels, rule=self.rule, split=False),)

    def draw(self, size: tuple[int, int], generator: torch.Generator) -> tuple[Tensor, ...]:
        """Uniform scores, and up to twenty regions."""
        labels = torch.randint(-1, 20, (1, *size), generator=generator)
        return torch.rand(1, self.classes, *size, generator=generator), labels

    def open_sizes(self, image: tuple[Any, Any] | None) -> tuple[dict[int, Any], ...]:
        """Height and width."""
        if image is None:
            return {}, {}
        return {2: image[0], 3: image[1]}, {1: image[0], 2: image[1]}


class NetworkGraph(Graph):
    """A CSL network: images (1, 3, H, W) in [0, 1] to R (1, N, h, w), V (1, N) and boundaries.

    R and V are what `RegionProposals` takes. Boundaries are (1, 1, H, W) probabilities, of a network without
    finer boundaries (1, 1, H / 2, W / 2), and no output of one without any.

    Args:
        network: Copied, and converted to float32.

    Raises:
        DTypeError: Not a `CSLNetwork`.

    Example:
        >>> import torch
        >>> from csl_plugin.export import NetworkGraph
        >>> from csl_plugin.models import CSLNetwork, NetworkConfig
        >>> graph = NetworkGraph(CSLNetwork(NetworkConfig(num_queries=8)))
        >>> scores, validity = graph(torch.rand(1, 3, 64, 96))
        >>> scores.shape, validity.shape
        (torch.Size([1, 8, 16, 24]), torch.Size([1, 8]))
    """

    input_names = ("images",)
    sides = (_TWO_CELLS, LONGEST_SIDE)

    def __init__(self, network: CSLNetwork) -> None:
        super().__init__()
        if not isinstance(network, CSLNetwork):
            hint = "Pass CSLNetwork.from_pretrained(...); export other models with torch.onnx.export itself."
            raise DTypeError("network", describe(network), "a CSLNetwork", hint)
        self.network = NetworkPass(detached(network))
        self.output_names = ("scores", "validity", *(("boundary",) if network.config.boundary else ()))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """R, V and boundaries."""
        (masks, validity), boundary, _ = self.network(images)
        found = (masks, validity) if boundary is None else (masks, validity, boundary)
        return tuple(each.sigmoid() for each in found)

    def plain(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The same: a network is the same operations in a graph and outside of one."""
        with torch.no_grad():
            found: tuple[Tensor, ...] = self(*inputs)
        return found

    def draw(self, size: tuple[int, int], generator: torch.Generator) -> tuple[Tensor, ...]:
        """An image of noise at two scales."""
        return (_noise(size, generator),)

    def open_sizes(self, image: tuple[Any, Any] | None) -> tuple[dict[int, Any], ...]:
        """Height and width."""
        return ({} if image is None else {2: image[0], 3: image[1]},)


class StageGraph(Graph):
    """The whole stage: an image (1, 3, H, W) in [0, 1] and its distribution (1, C, h, w) to (1, C, H, W).

    Everything is in the graph: the network in float32, the watershed and the merge tree (as loops), the
    choice of regions, and the fusion. The result is that of
    `fuse(distribution, proposer(images), size=(H, W))`, where the network computes in float32.

    Args:
        proposer: `csl-tiny` and other networks with boundaries, or superpixels, with any scales, and several
            of them; None for the default.
        rule: As for `fuse`.
        classes: C.

    Raises:
        OptionError: Another proposer, an unknown rule, or C below 1.

    Example:
        >>> from csl_plugin.export import StageGraph
        >>> stage = StageGraph("superpixels:40", classes=19)
        >>> stage.input_names, stage.output_names
        (('images', 'distribution'), ('fused',))
    """

    input_names = ("images", "distribution")
    output_names = ("fused",)
    sides = (_TWO_CELLS, LONGEST_SIDE)

    def __init__(
        self, proposer: Proposer | str | None = None, rule: Rule = "adaptive", classes: int = 1
    ) -> None:
        super().__init__()
        self.rule: Rule = read_rule(rule)
        self.classes = _checked_classes(classes)
        self.regions = Regions(as_proposer(proposer))

    def forward(self, images: Tensor, distribution: Tensor) -> Tensor:
        """The fused distribution."""
        height, width = images.shape[2:]
        scores = F.interpolate(distribution, (height, width), mode="bilinear", align_corners=False)
        return fuse(scores, self.regions(images), rule=self.rule, split=False, check=False)

    def plain(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """`fuse` with the regions that the proposer finds when its network computes in float32."""
        images, distribution = inputs
        height, width = images.shape[2:]
        return (fuse(distribution, self.regions.plain(images), rule=self.rule, size=(height, width)),)

    def draw(self, size: tuple[int, int], generator: torch.Generator) -> tuple[Tensor, ...]:
        """An image of noise at two scales, and uniform scores at half of its resolution."""
        small = [max(side // 2, 2) for side in size]
        return _noise(size, generator), torch.rand(1, self.classes, *small, generator=generator)

    def open_sizes(self, image: tuple[Any, Any] | None) -> tuple[dict[int, Any], ...]:
        """Height and width of the image, and those of the distribution, which are open always."""
        own = {axis: torch.export.Dim(name, min=2) for axis, name in ((2, "rows"), (3, "columns"))}
        return ({} if image is None else {2: image[0], 3: image[1]}), own


def _checked_classes(classes: int) -> int:
    return checked_integer("classes", classes, 1, None, "One channel is an out-of-distribution score.")


def _noise(size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """An image (1, 3, H, W) with patches of color."""
    small = torch.rand(1, 3, *(max(side // 16, 2) for side in size), generator=generator)
    patches = F.interpolate(small, size, mode="nearest")
    return (0.8 * patches + 0.2 * torch.rand(1, 3, *size, generator=generator)).clamp(0, 1)

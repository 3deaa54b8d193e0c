"""Proposers whose regions are cut from a tree, at one or several scales."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final, Literal, Self, TypeAlias

import torch
from torch import Tensor

from csl_plugin._autocast import without_autocast
from csl_plugin._options import as_float
from csl_plugin._tracing import outside_graph
from csl_plugin.arrays import shown
from csl_plugin.errors import OptionError
from csl_plugin.proposers.images import Images, read_images
from csl_plugin.regions.region_map import RegionMap

AUTO: Final = "auto"
Scale: TypeAlias = "float | Literal['auto']"
"""How coarse a partition is; with "auto" a network chooses it for each place of an image."""


class HierarchicalRegions(ABC):
    """One partition per scale, independent of the batch; regions are numbered in reading order.

    Args:
        scale: How coarse the partition is: the thickness, in thousandths of the image's side sqrt(H W), from
            which two regions stay separate when they differ by 10 units of color and an edge of strength 1
            lies between them. Positive and finite.

    Raises:
        OptionError: `scale` is not a positive finite number.
    """

    default_scale: Scale
    loaded_as: str | None = None
    """The source that `load_proposer` made it from, without scales, if that says all."""

    def __init__(self, scale: Scale) -> None:
        self.scale: Scale = self.checked_scale(scale)

    @classmethod
    def checked_scale(cls, scale: Scale) -> Scale:
        """A scale, numbers as float.

        Raises:
            OptionError: Not a positive finite number.
        """
        number = as_float(scale)
        if not 0 < number < math.inf:
            hint = f"The default is {scale_name(cls.default_scale)}; half of a scale gives smaller regions."
            auto = '"auto" or ' if cls.default_scale == AUTO else ""
            raise OptionError("scale", shown(scale), f"{auto}a positive finite number", hint)
        return number

    def __call__(self, images: Images) -> tuple[RegionMap, ...]:
        """The regions of a batch of images, each image by itself.

        Args:
            images: RGB (B, 3, H, W) in [0, 1], or whatever else `Proposer` names.

        Returns:
            One map: labels (B, H, W) int32 from 0 on, on the images' device.

        Raises:
            CSLError: The images cannot be read as such: see `Proposer`.
        """
        return self.at_scales(images, (self.scale,))

    def at_scales(self, images: Images, scales: Sequence[Scale]) -> tuple[RegionMap, ...]:
        """One map per scale, all from one tree; arguments and errors as for a call."""
        return outside_graph(self._at_scales, images, scales)

    def _at_scales(self, images: Images, scales: Sequence[Scale]) -> tuple[RegionMap, ...]:
        tensor = read_images(images)
        # Sums are exact in float64, which other devices do not have.
        known = tensor if tensor.device.type in ("cpu", "cuda") else tensor.cpu()
        with torch.inference_mode(), without_autocast(known.device):
            here = self.near(known)
            found = zip(*(here.partitions(image, scales) for image in torch.split(known, 1)), strict=True)
        return tuple(as_map(labels, tensor.device) for labels in found)

    @property
    def source(self) -> str | None:
        """What `load_proposer` takes to give this proposer; None if that is not known."""
        own = self.scale == self.default_scale
        return self.loaded_as if own or not self.loaded_as else f"{self.loaded_as}:{scale_name(self.scale)}"

    def near(self, images: Tensor) -> Self:  # noqa: ARG002 - what has a network looks at their device
        """What computes the regions of images on this device."""
        return self

    @abstractmethod
    def partitions(self, image: Tensor, scales: Sequence[Scale]) -> list[Tensor]:
        """The labels (H, W) of one image, (1, 3, H, W), at each scale."""


def as_map(labels: Sequence[Tensor], device: torch.device) -> RegionMap:
    """The labels (H, W) of each image of a batch as one map."""
    own = [_outside_inference(each) for each in labels]
    batch = (torch.stack(own) if len(own) > 1 else own[0][None]).to(device)
    return RegionMap(batch, int(batch.max()) + 1)


def _outside_inference(labels: Tensor) -> Tensor:
    """The same values as a tensor that a graph may keep; on the CPU without a copy."""
    if not labels.is_inference():
        return labels
    return torch.from_numpy(labels.numpy()) if labels.device.type == "cpu" else labels.clone()


def scale_name(scale: Scale) -> str:
    """A scale as `load_proposer` takes it."""
    return scale if isinstance(scale, str) else f"{scale:g}"

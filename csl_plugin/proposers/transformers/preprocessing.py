"""Normalization, resizing and padding of a network's input, and cropping of its masks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from csl_plugin.io.constants import IMAGENET_MEAN, IMAGENET_STD
from csl_plugin.io.json_files import read_json
from csl_plugin.io.json_schema import Place, Reader, array, boolean, check_fields, in_json, number

_COLORS: dict[str, Reader[Any]] = {
    "mean": array(number(-1000, 1000), 3, 3),
    "deviation": array(number(1e-6, 1000), 3, 3),
}


@dataclass(frozen=True)
class Normalization:
    """The mean and the standard deviation of the colors that a network was trained with.

    Args:
        mean: Of red, green and blue in [0, 1]; by default ImageNet's.
        deviation: Likewise, positive.

    Raises:
        OptionError: Not three numbers each, a mean beyond a thousand, or a deviation not in [1e-6, 1000].

    Example:
        >>> import torch
        >>> Normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))(torch.ones(1, 3, 1, 1)).flatten()
        tensor([1., 1., 1.])
    """

    mean: tuple[float, float, float] = IMAGENET_MEAN
    deviation: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        check_fields(self, _COLORS)

    def __call__(self, images: Tensor) -> Tensor:
        """Normalize images (B, 3, H, W) in [0, 1]."""
        mean, deviation = (images.new_tensor(values).view(3, 1, 1) for values in (self.mean, self.deviation))
        return (images - mean) / deviation


def read_normalization(path: Path, default: Normalization | None = None) -> Normalization:
    """The normalization that the JSON file of an image or video processor declares.

    Args:
        path: `preprocessor_config.json`, `video_preprocessor_config.json`, or the `processor_config.json` of
            a processor with several parts.
        default: What holds where it declares none; by default ImageNet's.

    Raises:
        FileError: Damaged, or not three finite numbers each.
    """
    values, place = read_json(path, "an image processor's configuration"), Place(str(path))
    if isinstance(values, dict):
        values = values.get("image_processor", values.get("video_processor", values))
    if not isinstance(values, dict):
        raise place.error(in_json(values), "an object", "Take the file that was saved with the model.")
    if values.get("do_normalize") is not None and not boolean(values["do_normalize"], place["do_normalize"]):
        return Normalization((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    names = {"mean": "image_mean", "deviation": "image_std"}
    stated = {
        name: _COLORS[name](values[key], place[key])
        for name, key in names.items()
        if values.get(key) is not None
    }
    return replace(default or Normalization(), **stated)


def scaled(images: Tensor, share: float) -> Tensor:
    """Images (B, 3, H, W) in [0, 1] with sides times `share`, at least one pixel each."""
    if share == 1:
        return images
    size = [max(1, round(side * share)) for side in images.shape[2:]]
    resized = F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)
    return resized.clamp(0, 1)


def padded(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images with zeros below and to the right, of `size`."""
    return F.pad(images, (0, size[1] - images.shape[3], 0, size[0] - images.shape[2]))


def cropped(masks: Tensor, canvas: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """The part of masks that covers the image: the upper left `size` of a `canvas` in pixels.

    If the image ends inside a sample of the masks, they are resampled, so that they always cover the image
    from edge to edge.

    Args:
        masks: (B, N, h, w), one sample per cell of the canvas.
        canvas: (H, W) that the masks cover.
        size: (H, W) of the image in it.
    """
    for axis in (2, 3):
        samples = masks.shape[axis]
        extent = samples * size[axis - 2] / canvas[axis - 2]
        wanted = max(1, math.ceil(extent - 1e-6))
        if abs(wanted - extent) > 1e-6:
            centers = (torch.arange(wanted, device=masks.device, dtype=torch.float64) + 0.5) * extent / wanted
            lower = (centers - 0.5).clamp(0, samples - 1)
            first = lower.floor().long()
            second = (first + 1).clamp(max=samples - 1)
            weight = (lower - first).to(masks.dtype)
            weight = weight.view(-1, 1) if axis == 2 else weight
            masks = torch.lerp(masks.index_select(axis, first), masks.index_select(axis, second), weight)
        else:
            masks = masks.narrow(axis, 0, wanted)
    return masks

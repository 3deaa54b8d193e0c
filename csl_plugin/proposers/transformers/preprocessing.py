"""Normalization, resizing and padding of a network's input, and cropping of its masks."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from csl_plugin.errors import FileError, OptionError
from csl_plugin.io.constants import IMAGENET_MEAN, IMAGENET_STD
from csl_plugin.io.limits import as_file_error


@dataclass(frozen=True)
class Normalization:
    """The mean and the standard deviation of the colors that a network was trained with.

    Args:
        mean: Of red, green and blue in [0, 1]; by default ImageNet's.
        deviation: Likewise, positive.

    Raises:
        OptionError: Not three finite numbers each, or a deviation that is not positive.

    Example:
        >>> import torch
        >>> Normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))(torch.ones(1, 3, 1, 1)).flatten()
        tensor([1., 1., 1.])
    """

    mean: tuple[float, float, float] = IMAGENET_MEAN
    deviation: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        for name, low in (("mean", -math.inf), ("deviation", 0.0)):
            values: Any = getattr(self, name)
            numbers = isinstance(values, (tuple, list)) and all(
                isinstance(value, (int, float)) and low < value < math.inf for value in values
            )
            if not numbers or len(values) != 3:
                expected = "three finite numbers" + (" above 0" if low == 0 else "")
                hint = "Give one of red, green and blue, for images in [0, 1]."
                raise OptionError(name, repr(values)[:80], expected, hint)
            object.__setattr__(self, name, tuple(float(value) for value in values))

    def __call__(self, images: Tensor) -> Tensor:
        """Normalize images (B, 3, H, W) in [0, 1]."""
        mean, deviation = (images.new_tensor(values).view(3, 1, 1) for values in (self.mean, self.deviation))
        return (images - mean) / deviation


def read_normalization(path: Path) -> Normalization:
    """The normalization that an image processor's JSON file declares; ImageNet's if it declares none.

    Args:
        path: `preprocessor_config.json`, or the `processor_config.json` of a processor with several parts.

    Raises:
        FileError: Damaged, or not three finite numbers each.
    """
    with as_file_error(path, "an image processor's configuration"):
        values = json.loads(path.read_text(encoding="utf-8"))
        values = values.get("image_processor", values)
        if not values.get("do_normalize", True):
            return Normalization((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        stated = {"mean": values.get("image_mean"), "deviation": values.get("image_std")}
    try:
        return Normalization(**{name: value for name, value in stated.items() if value is not None})
    except OptionError as error:
        raise FileError(f"{path}, {error.argument}", error.got, error.expected, error.hint) from error


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

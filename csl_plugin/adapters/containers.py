"""Where a value holds images: tensors, arrays, pictures, lists and mappings of them, padded batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from csl_plugin._tracing import untransformed
from csl_plugin.adapters.padding import valid_of_sizes
from csl_plugin.arrays import as_tensor
from csl_plugin.errors import ShapeError

_INSIDE = ("image", "inputs", "img", "pixel_values")


@dataclass(frozen=True)
class Found:
    """Images found in an argument.

    Attributes:
        images: Tensors (b, 3, h, w), one or several.
        valid: Which pixels belong to an image, boolean (B, H, W), if the container says it.
    """

    images: Sequence[Tensor]
    valid: Tensor | None = None

    def whole(self) -> Tensor | None:
        """All images as one tensor (B, 3, H, W); None where their sizes differ."""
        first = self.images[0]
        if len(self.images) == 1:
            return first
        same = all(one.shape[1:] == first.shape[1:] and one.dtype == first.dtype for one in self.images)
        return torch.cat(list(self.images)) if same else None


def find_images(value: Any, axes: int) -> Found | None:
    """The images in a value; it has a batch axis (`axes` 4) or not (3)."""
    if isinstance(value, Tensor):
        return _of_tensor(value, axes)
    if isinstance(value, np.ndarray):
        if value.ndim != axes or value.shape[-1] != 3:
            return None
        tensor = as_tensor("model input", value).movedim(-1, -3)
        return Found([tensor if axes == 4 else tensor[None]])
    if isinstance(value, Mapping):
        inside: Iterable[Any] = [value[key] for key in _INSIDE if key in value]
        return next((found for one in inside if (found := find_images(one, axes)) is not None), None)
    if isinstance(value, (list, tuple)) and value and not isinstance(value[0], str):
        each = [find_images(one, axes) for one in value]
        if any(one is None for one in each):
            return None
        several = [one for one in each if one is not None]
        return several[0] if len(several) == 1 else Found([image for one in several for image in one.images])
    if isinstance(held := getattr(value, "data", None), (list, tuple)):  # mmcv's DataContainer
        return find_images(held, axes)
    if is_dataclass(value) and not isinstance(value, type) and hasattr(value, "image"):
        return find_images(value.image, axes)  # a batch of anomalib
    if axes == 3 and hasattr(value, "convert") and hasattr(value, "getbands"):
        return find_images(np.asarray(value.convert("RGB")), axes)
    return _of_padded(value, axes)


def find_frames(value: Any) -> Found | None:
    """The frames of a video (1, T, 3, H, W), in the order of the T outputs.

    Raises:
        ShapeError: Several videos, whose frames models put in different orders.
    """
    if not isinstance(value, Tensor) or value.is_nested or value.ndim != 5 or value.shape[2] != 3:
        return None
    if len(value) != 1:
        got, hint = f"{len(value)} videos", "Call the model once for each video."
        raise ShapeError("model input", got, "one video (1, T, 3, H, W)", hint)
    return _of_tensor(value[0], 4)


def _of_tensor(value: Tensor, axes: int) -> Found | None:
    if value.is_nested:
        each = [find_images(one, axes - 1) for one in value.unbind()] if axes == 4 else [None]
        return None if None in each or not each else Found([one.images[0] for one in each if one is not None])
    if value.ndim != axes or value.shape[axes - 3] != 3:
        return None
    tensor = untransformed("model input", as_tensor("model input", value))
    return Found([tensor if axes == 4 else tensor[None]])


def _of_padded(value: Any, axes: int) -> Found | None:
    """DETR's NestedTensor (in its mask True is padding), or an ImageList of detectron2 or torchvision."""
    tensor = next(
        (held for name in ("tensors", "tensor") if (held := getattr(value, name, None)) is not None), None
    )
    if axes != 4 or not isinstance(tensor, Tensor) or tensor.ndim != 4 or tensor.shape[1] != 3:
        return None
    tensor = untransformed("model input", as_tensor("model input", tensor))
    mask, sizes = getattr(value, "mask", None), getattr(value, "image_sizes", None)
    if isinstance(mask, Tensor) and mask.shape == (len(tensor), *tensor.shape[2:]):
        return Found([tensor], (untransformed("model input", mask) == 0).to(tensor.device))
    if sizes is not None:
        return Found([tensor], valid_of_sizes([(int(size[0]), int(size[1])) for size in sizes], tensor))
    return Found([tensor])

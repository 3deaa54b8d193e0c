"""Images as they come, made the batch that regions are proposed in: the one place that converts them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np
import torch
from torch import Tensor

from csl_plugin._tracing import refuse_jit, refuse_transforms
from csl_plugin.arrays import Array, as_tensor, bounds, describe, has_values
from csl_plugin.errors import DeviceError, DTypeError, ScoreRangeError, ShapeError
from csl_plugin.io.images import image_batch, read_image
from csl_plugin.io.pillow_pictures import is_picture, pixels_of_picture
from csl_plugin.places import AnyPath, RemotePath

if TYPE_CHECKING:
    from PIL.Image import Image

Images: TypeAlias = "AnyPath | Image | Array"
"""A path or URL, a picture of Pillow, or an array or tensor of one image or of a batch."""

_SHAPES = "(H, W, 3), (3, H, W) or a batch of these, every axis at least 1"
_ACCEPTED = "a path, a picture of Pillow, an array or a tensor"


def read_images(images: Images, argument: str = "images") -> Tensor:
    """RGB images as a tensor (B, 3, H, W) in [0, 1], without gradient.

    A floating-point tensor (B, 3, H, W) stays as it is. Everything else becomes one: contiguous, on its own
    device, float32 if it was uint8.

    Args:
        images: One of these:
            A path or a URL of an image file, read by `csl_plugin.io.read_image`.
            A picture of Pillow: turned as its EXIF orientation says; gray and palettes become RGB, alpha is
            dropped. 16-bit and floating-point pictures are refused: pass the path.
            A tensor or a numpy array, uint8 in [0, 255] or floating point in [0, 1]: (3, H, W), (H, W, 3),
            (B, 3, H, W) or (B, H, W, 3). Where both readings are possible, as for (3, H, 3), it is refused;
            a floating-point tensor of four axes whose second one is 3 is (B, 3, H, W).
        argument: Its name in errors.

    Raises:
        FileError: The file is missing, damaged, too large, or no image.
        DTypeError: None of the above, or another element type.
        DeviceError: It holds no values.
        ShapeError: Another shape, one with two readings, or an empty axis.
        ScoreRangeError: A value is outside [0, 1] or not finite.

    Example:
        >>> picture = np.zeros((24, 32, 3), np.uint8)
        >>> read_images(picture).shape
        torch.Size([1, 3, 24, 32])
    """
    refuse_jit(argument)
    refuse_transforms(argument)
    if isinstance(images, (str, os.PathLike, RemotePath)):
        return image_batch(read_image(images))
    if is_picture(images):
        return image_batch(pixels_of_picture(argument, images))
    tensor = _tensor(argument, images)
    if tensor.dtype != torch.uint8 and not tensor.is_floating_point():
        hint = "Pass bytes as uint8, or divide them by 255."
        raise DTypeError(argument, describe(images), "uint8 in [0, 255] or floating point in [0, 1]", hint)
    if not is_batch(images) or 0 in tensor.shape:
        tensor = _channels_first(argument, tensor).contiguous()
    if tensor.dtype == torch.uint8:
        return tensor.float() / 255
    _check_range(argument, tensor)
    return tensor


def is_batch(images: object) -> TypeGuard[Tensor]:
    """Whether images are a floating-point tensor (B, 3, H, W), what every proposer takes."""
    return (
        isinstance(images, Tensor)
        and images.is_floating_point()
        and images.ndim == 4
        and images.shape[1] == 3
    )


def _tensor(argument: str, images: Any) -> Tensor:
    if not isinstance(images, (Tensor, np.ndarray)):
        got, hint = describe(images), "Pass one image, or a batch of them as one array."
        if isinstance(images, (list, tuple)):
            got = f"a {type(images).__name__} of {len(images)}"
            hint = "Call it once for each image, or stack images of one size: numpy.stack(images)."
        raise DTypeError(argument, got, _ACCEPTED, hint)
    tensor = as_tensor(argument, images).detach()
    if not has_values(tensor):
        got, hint = (
            "a tensor on meta, fake, or recorded by torch.export",
            "Propose regions outside of the call.",
        )
        raise DeviceError(argument, got, "one that holds values", hint)
    return tensor


def _channels_first(argument: str, tensor: Tensor) -> Tensor:
    """Images (B, 3, H, W) of an array with the channels first or last, with or without a batch axis.

    Raises:
        ShapeError: Neither, or both are possible.
    """
    shape = tuple(tensor.shape)
    first = tensor.ndim in (3, 4) and 0 not in shape and shape[-3] == 3
    last = tensor.ndim in (3, 4) and 0 not in shape and shape[-1] == 3
    if first and last:
        got = f"shape {shape}, whose channels may be the axis {-3 % tensor.ndim} or {tensor.ndim - 1}"
        hint = "Pass a floating-point tensor (B, 3, H, W) in [0, 1]: its second axis holds the channels."
        raise ShapeError(argument, got, "one axis of 3, first or last", hint)
    if not first and not last:
        raise ShapeError(argument, f"shape {shape}", _SHAPES, _shape_hint(shape))
    batch = tensor[None] if tensor.ndim == 3 else tensor
    return batch if first else batch.movedim(3, 1)


def _shape_hint(shape: tuple[int, ...]) -> str:
    if 0 in shape:
        return "Skip the call if there is no image."
    if len(shape) == 2 or (len(shape) in (3, 4) and 1 in (shape[-1], shape[-3])):
        axis = len(shape) - 3 if len(shape) == 2 or shape[-3] == 1 else len(shape) - 1
        call = "stack([image] * 3)" if len(shape) == 2 else f"repeat(image, 3, axis={axis})"
        return f"Give a gray image three equal channels: numpy.{call}."
    if len(shape) in (3, 4) and 4 in (shape[-1], shape[-3]):
        return f"Drop alpha: image[{'..., :3' if shape[-1] == 4 else '..., :3, :, :'}]."
    return "Pass an RGB image, or a batch of them."


def _check_range(argument: str, tensor: Tensor) -> None:
    low, high = bounds(tensor.float() if tensor.itemsize < 4 else tensor)
    if low >= 0.0 and high <= 1.0:
        return
    hint = "Undo the normalization, images * std + mean, or pass the images as they were before it."
    if low > -0.1 and high < 1.1:
        hint = "Clip what resizing left outside: images.clip(0, 1)."
    elif low >= 0 and high <= 255:
        hint = "Divide by 255, or convert them to uint8."
    elif not (abs(low) < float("inf") and abs(high) < float("inf")):
        hint = "Replace values that are not finite."
    got = f"values between {low:.4g} and {high:.4g}"
    raise ScoreRangeError(argument, got, "finite values in [0, 1]", hint)

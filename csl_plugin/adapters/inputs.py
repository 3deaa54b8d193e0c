"""The RGB images of a call, recovered from a model's preprocessed input."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from csl_plugin._options import as_float
from csl_plugin._tracing import outside_transforms, refuse_export
from csl_plugin.adapters.containers import Found, find_frames, find_images
from csl_plugin.adapters.image_batch import ImageBatch
from csl_plugin.adapters.padding import Padding, find_padding
from csl_plugin.arrays import bounds, describe, has_values, shown
from csl_plugin.errors import DeviceError, DTypeError, OptionError, OutputError, ScoreRangeError, ShapeError

Order: TypeAlias = Literal["RGB", "BGR"]

_NAMES = ("pixel_values", "images", "image", "x", "inputs", "input", "img")


@dataclass(frozen=True)
class ImageInput:
    """A model's preprocessing: ``input = (image * peak - mean) / std``, channels in `order`.

    Args:
        mean: Mean of each channel, on the scale of `peak`, in the order of the channels.
        std: Standard deviation of each channel.
        order: Order of the three channels.
        peak: The value of white before `mean` and `std`, 1 or 255. Integers are 0 to 255, not normalized.

    Raises:
        OptionError: `mean` is not three finite numbers, `std` not three positive ones, `peak` not one, or the
            order is unknown.

    Example:
        >>> import torch
        >>> caffe = ImageInput((104.0, 117.0, 123.0), order="BGR", peak=255.0)
        >>> caffe.images((torch.zeros(1, 3, 1, 1),), {}).flatten().mul(255).tolist()
        [123.0, 117.0, 104.0]
    """

    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    order: Order = "RGB"
    peak: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", _three("mean", self.mean, 0.0))
        object.__setattr__(self, "std", _three("std", self.std, 1.0))
        if not isinstance(self.order, str) or self.order not in ("RGB", "BGR"):
            raise OptionError("order", shown(self.order), '"RGB" or "BGR"', "Name the order of the channels.")
        peak = as_float(self.peak)
        if not 0 < peak < math.inf:
            hint = "White is 1.0 or 255.0 in most preprocessing."
            raise OptionError("peak", shown(self.peak), "a positive finite number", hint)
        object.__setattr__(self, "peak", peak)

    def images(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
        """RGB (B, 3, H, W) in [0, 1] of the first images among the arguments of a call, with their padding.

        Errors are those of `batch`.

        Raises:
            ShapeError: The images have different sizes.
        """
        images = self.batch(args, kwargs).images
        if isinstance(images, Tensor):
            return images
        got = "images of shapes " + ", ".join(str(tuple(one.shape[1:])) for one in images)
        raise ShapeError("model input", got, "one size for all images", "Pass them one at a time.")

    def batch(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> ImageBatch:
        """The first images among the arguments of a call, and what the call says of their padding.

        Images are a tensor (B, 3, H, W) or (3, H, W), an array (H, W, 3), a PIL image, a list of these, a
        nested tensor, a `NestedTensor` of DETR, an `ImageList` of detectron2 or torchvision, mappings with
        such values, as detectron2 and mmsegmentation take, or the frames of a video (1, T, 3, H, W). Padding
        is what `pixel_mask`, `pixel_attention_mask`, `padding_mask`, `reshaped_input_sizes` or
        mmsegmentation's metainfo say.

        Raises:
            OutputError: There are no images.
            ShapeError: A mask that does not fit them, or several videos.
            DTypeError: They are integers other than uint8, or not dense.
            DeviceError: They hold no values.
            ScoreRangeError: Their values are not in [0, 1] after `mean` and `std` are undone.
        """
        named = [kwargs[name] for name in _NAMES if name in kwargs]
        values = (*args, *named, *kwargs.values())
        with outside_transforms():
            for find in (partial(find_images, axes=4), partial(find_images, axes=3), find_frames):
                for value in values:
                    found = find(value)
                    if found is not None:
                        return self._read(found, (*args, *kwargs.values()), kwargs)
        raise OutputError(
            "model input",
            ", ".join(describe(value) for value in values) or "no argument",
            "a tensor (B, 3, H, W) among the arguments",
            "Pass an adapter whose images(args, kwargs) finds the images.",
        )

    def _read(self, found: Found, values: tuple[Any, ...], kwargs: Mapping[str, Any]) -> ImageBatch:
        whole, valid = found.whole(), found.valid
        if whole is None:
            alone = tuple(
                self._to_rgb(one.detach()) for image in found.images for one in torch.split(image, 1)
            )
            for image in alone:
                self._check(image)
            return ImageBatch(tuple(image.clamp(0.0, 1.0) for image in alone))
        padding = Padding(valid) if valid is not None else find_padding(values, kwargs, whole)
        rgb = self._to_rgb(whole.detach())
        valid = padding.valid
        if valid is not None:
            refuse_export("model input", "a mask of padding", "images without padding", "Crop each image.")
        if torch.compiler.is_compiling():
            return ImageBatch(rgb.clamp(0.0, 1.0), valid, padding.original_size)
        if valid is not None and bool(valid.all()):
            valid = None
        self._check(rgb if valid is None else rgb.movedim(1, -1)[valid])
        return ImageBatch(rgb.clamp(0.0, 1.0), valid, padding.original_size)

    def _to_rgb(self, images: Tensor) -> Tensor:
        if images.dtype == torch.uint8:
            rgb = images.float() / 255
        elif images.is_floating_point():
            images = images.float()
            mean, std = (images.new_tensor(values).view(1, 3, 1, 1) for values in (self.mean, self.std))
            rgb = (images * std + mean) / self.peak
        else:
            raise DTypeError(
                "model input",
                describe(images),
                "floating-point images, or uint8",
                "Pass an adapter that converts them.",
            )
        return rgb.flip(1) if self.order == "BGR" else rgb

    def _check(self, rgb: Tensor) -> None:
        if not has_values(rgb):
            hint = "Pass tensors with values; record the model by itself, and wrap what comes out."
            got = "images without values (meta, fake, or recorded by torch.export)"
            raise DeviceError("model input", got, "images that hold values", hint)
        # Rounding leaves values slightly outside [0, 1], most of all in half precision.
        low, high = bounds(rgb)
        if not (low >= -0.01 and high <= 1.01):
            raise ScoreRangeError(
                "model input",
                f"images between {low:.3g} and {high:.3g}",
                "RGB in [0, 1] once mean and std are undone",
                "Pass OutputAdapter(score, item, mean=..., std=...) with the preprocessing's constants.",
            )


def _three(argument: str, values: Any, default: float) -> tuple[float, float, float]:
    if values is None:
        return default, default, default
    hint = "Take them from the model's preprocessing."
    try:
        red, green, blue = (float(value) for value in values)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        expected = "three numbers, one for each channel"
        raise OptionError(argument, shown(values), expected, hint) from None
    if not all(math.isfinite(value) and (argument == "mean" or value > 0) for value in (red, green, blue)):
        expected = "finite numbers" if argument == "mean" else "positive finite numbers"
        raise OptionError(argument, shown(values), expected, hint)
    return red, green, blue

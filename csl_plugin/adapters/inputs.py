"""The RGB images of a call, recovered from a model's preprocessed input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from csl_plugin.arrays import as_tensor, bounds, describe
from csl_plugin.errors import DTypeError, OptionError, OutputError, ScoreRangeError, ShapeError

Order: TypeAlias = Literal["RGB", "BGR"]

_NAMES = ("pixel_values", "images", "image", "x", "inputs", "input", "img")
_INSIDE = ("image", "inputs", "img", "pixel_values")


@dataclass(frozen=True)
class ImageInput:
    """A model's preprocessing: ``input = (image * peak - mean) / std``, channels in `order`.

    Args:
        mean: Mean of each channel, on the scale of `peak`, in the order of the channels.
        std: Standard deviation of each channel.
        order: Order of the three channels.
        peak: The value of white before `mean` and `std`, 1 or 255. Integers are 0 to 255, not normalized.

    Raises:
        OptionError: `mean` or `std` is not three numbers, or the order is unknown.

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
        if self.order not in ("RGB", "BGR"):
            raise OptionError("order", repr(self.order), '"RGB" or "BGR"', "Name the order of the channels.")

    def images(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
        """RGB (B, 3, H, W) in [0, 1] of the first images among the arguments of a call.

        Images are a tensor (B, 3, H, W) or (3, H, W), an array (H, W, 3), a PIL image, a list of these of one
        size, or mappings with such values, as detectron2 and mmsegmentation take.

        Raises:
            OutputError: There are no images.
            ShapeError: They have different sizes.
            DTypeError: They are integers other than uint8.
            ScoreRangeError: Their values are not in [0, 1] after `mean` and `std` are undone.
        """
        named = [kwargs[name] for name in _NAMES if name in kwargs]
        values = (*args, *named, *kwargs.values())
        for axes in (4, 3):
            for value in values:
                found = _find(value, axes)
                if found is not None:
                    return self._to_rgb(found.detach())
        raise OutputError(
            "model input",
            ", ".join(describe(value) for value in values) or "no argument",
            "a tensor (B, 3, H, W) among the arguments",
            "Pass an adapter whose images(args, kwargs) finds the images.",
        )

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
        if not torch.compiler.is_compiling():
            self._check(rgb)
        rgb = rgb.clamp(0.0, 1.0)
        return rgb.flip(1) if self.order == "BGR" else rgb

    def _check(self, rgb: Tensor) -> None:
        # Rounding leaves values slightly outside [0, 1], most of all in half precision.
        low, high = bounds(rgb)
        if not (low >= -0.01 and high <= 1.01):
            raise ScoreRangeError(
                "model input",
                f"images between {low:.3g} and {high:.3g}",
                "RGB in [0, 1] once mean and std are undone",
                "Pass OutputAdapter(score, item, mean=..., std=...) with the preprocessing's constants.",
            )


def _find(value: Any, axes: int) -> Tensor | None:
    """The images in a value as (B, 3, H, W); the value has a batch axis (`axes` 4) or not (3)."""
    if isinstance(value, Tensor):
        if value.ndim != axes or value.shape[axes - 3] != 3:
            return None
        return value if axes == 4 else value[None]
    if isinstance(value, np.ndarray):
        if value.ndim != axes or value.shape[-1] != 3:
            return None
        tensor = as_tensor("model input", value).movedim(-1, -3)
        return tensor if axes == 4 else tensor[None]
    if isinstance(value, Mapping):
        held: Iterable[Any] = [value[key] for key in _INSIDE if key in value]
        return next((found for one in held if (found := _find(one, axes)) is not None), None)
    if isinstance(value, (list, tuple)) and value and not isinstance(value[0], str):
        each = [_find(one, axes) for one in value]
        if any(one is None for one in each):
            return None
        images = [one for one in each if one is not None]
        if len({one.shape[1:] for one in images}) > 1:
            got = "images of shapes " + ", ".join(str(tuple(one.shape[1:])) for one in images)
            raise ShapeError("model input", got, "one size for all images", "Pass them one at a time.")
        return torch.cat(images)
    if axes == 3 and hasattr(value, "convert") and hasattr(value, "getbands"):
        return _find(np.asarray(value.convert("RGB")), axes)
    return None


def _three(argument: str, values: Sequence[float] | None, default: float) -> tuple[float, float, float]:
    if values is None:
        return default, default, default
    try:
        red, green, blue = (float(value) for value in values)
    except (TypeError, ValueError):
        raise OptionError(
            argument,
            repr(values),
            "three numbers, one for each channel",
            "Take them from the model's preprocessing.",
        ) from None
    return red, green, blue

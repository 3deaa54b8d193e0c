"""Test-time augmentation of a teacher: its distribution averaged over windows or mirror images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from csl_plugin.adapters.adapter import Adapter, batch_of, read_at
from csl_plugin.adapters.image_batch import ImageBatch
from csl_plugin.arrays import describe, shown
from csl_plugin.errors import OptionError, ShapeError


class Averaged:
    """The adapter of `SlidingWindow` and `FlipAverage`: the output is D, the input is that of the model."""

    direction = "up"

    def __init__(self, inner: Adapter) -> None:
        self.inner = inner

    def images(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
        """The images, by the model's own adapter."""
        return self.inner.images(args, kwargs)

    def batch(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> ImageBatch:
        """The images and their padding, by the model's own adapter."""
        return batch_of(self.inner, args, kwargs)

    def read(self, output: Tensor) -> Tensor:
        """The output."""
        return output

    def write(self, output: Tensor, fused: Tensor) -> Tensor:  # noqa: ARG002
        """The fused map."""
        return fused


class SlidingWindow(nn.Module):
    """A model called on each window of an image: a pixel has the mean of D over the windows that cover it.

    Windows form a grid from the top left. The last window of each row and column moves inwards to end at the
    border. An image smaller than the window is one window. The model takes one window of one image at a time.

    Args:
        model: A callable from a tensor (1, 3, h, w) to an output.
        adapter: The model's own adapter. A D of lower resolution is upsampled, bilinear.
        window: (height, width) of a window in pixels.
        stride: (vertical, horizontal) distance of neighboring windows in pixels, at most the window's size.

    Attributes:
        adapter: The adapter for `CSLWrapper`: ``CSLWrapper(windowed, adapter=windowed.adapter)``.

    Raises:
        OptionError: The sizes leave gaps, or are not positive.

    Example:
        >>> import torch
        >>> from csl_plugin.adapters import OutputAdapter, SlidingWindow
        >>> model = torch.nn.Conv2d(3, 2, 1)
        >>> windowed = SlidingWindow(model, OutputAdapter("logits"), (8, 8), (6, 6))
        >>> windowed(torch.zeros(1, 3, 20, 20)).shape
        torch.Size([1, 2, 20, 20])

    Source:
        mmsegmentation, inference mode "slide".
    """

    def __init__(
        self,
        model: nn.Module | Callable[..., Any],
        adapter: Adapter,
        window: tuple[int, int],
        stride: tuple[int, int],
    ) -> None:
        super().__init__()
        _check_pair("window", window)
        _check_pair("stride", stride)
        if not all(1 <= step <= size for step, size in zip(stride, window, strict=True)):
            expected = "1 <= stride <= window in both axes"
            raise OptionError("stride", f"{stride} for {window}", expected, "Let the windows overlap.")
        self.model, self.window, self.stride = model, window, stride
        self.adapter = Averaged(adapter)

    def forward(self, images: Tensor) -> Tensor:
        """D at the images' size, (B, C, H, W).

        Raises:
            ShapeError: Not (B, C, H, W), or an axis is empty.
        """
        _check_images(images)
        return torch.cat([self._one(image[None]) for image in images])

    def _one(self, image: Tensor) -> Tensor:
        height, width = (min(w, i) for w, i in zip(self.window, image.shape[-2:], strict=True))
        tops = _starts(image.shape[-2], height, self.stride[0])
        lefts = _starts(image.shape[-1], width, self.stride[1])
        total: Tensor | None = None
        for top in tops:
            for left in lefts:
                window = (..., slice(top, top + height), slice(left, left + width))
                scores = _scores(self.model, self.adapter.inner, image[window])
                if total is None:
                    shape = (1, scores.shape[1], *image.shape[-2:])
                    total, count = scores.new_zeros(shape), scores.new_zeros(shape[-2:])
                total[window] += scores
                count[window] += 1
        assert total is not None  # noqa: S101 - the top left always has a window
        return total / count


class FlipAverage(nn.Module):
    """A model called on the images and on their mirror images: the mean of D and of D mirrored back.

    Args:
        model: A callable from a tensor (B, 3, H, W) to an output.
        adapter: The model's own adapter. A D of lower resolution is upsampled, bilinear.

    Attributes:
        adapter: The adapter for `CSLWrapper`: ``CSLWrapper(averaged, adapter=averaged.adapter)``.

    Example:
        >>> import torch
        >>> from csl_plugin.adapters import FlipAverage, OutputAdapter
        >>> averaged = FlipAverage(lambda x: x[:, :1], OutputAdapter("probabilities"))
        >>> image = torch.rand(1, 3, 4, 6)
        >>> torch.equal(averaged(image), image[:, :1])
        True
    """

    def __init__(self, model: nn.Module | Callable[..., Any], adapter: Adapter) -> None:
        super().__init__()
        self.model = model
        self.adapter = Averaged(adapter)

    def forward(self, images: Tensor) -> Tensor:
        """D at the images' size, (B, C, H, W).

        Raises:
            ShapeError: Not (B, C, H, W), or an axis is empty.
        """
        _check_images(images)
        plain = _scores(self.model, self.adapter.inner, images)
        mirrored = _scores(self.model, self.adapter.inner, images.flip(-1))
        return (plain + mirrored.flip(-1)) / 2


def _scores(model: Callable[..., Any], adapter: Adapter, images: Tensor) -> Tensor:
    """D of one call at the images' size."""
    size = (images.shape[-2], images.shape[-1])
    scores = read_at(adapter, model(images), size)
    if scores.shape[-2:] == size:
        return scores
    return F.interpolate(scores, size, mode="bilinear", align_corners=False)


def _check_images(images: Any) -> None:
    if not isinstance(images, Tensor) or images.is_nested or images.ndim != 4 or 0 in images.shape:
        hint = "Add the batch axis with images[None]; pass images of several sizes one at a time."
        raise ShapeError("images", describe(images), "a tensor (B, 3, H, W), every axis at least 1", hint)


def _check_pair(argument: str, value: Any) -> None:
    pair = isinstance(value, (tuple, list)) and len(value) == 2
    if not pair or any(isinstance(side, bool) or not isinstance(side, int) for side in value):
        raise OptionError(argument, shown(value), "two integers, (vertical, horizontal)", "In pixels.")


def _starts(length: int, window: int, stride: int) -> list[int]:
    count = max(0, -(-(length - window) // stride)) + 1
    return [min(index * stride, length - window) for index in range(count)]

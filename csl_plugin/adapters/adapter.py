"""The protocol between a teacher and the wrapper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor

from csl_plugin._tracing import untransformed
from csl_plugin.adapters.image_batch import ImageBatch


class Adapter(Protocol):
    """Finds a teacher's images and its distribution, and writes another distribution into its output.

    Optional attributes: `direction`, "up", or "down" for a score that is high for normal pixels
    (`check_adapter` requires it); `max_batch`, the largest batch of the teacher; `align_corners`, True or
    False, with which `read` takes the images' size as a second argument and upsamples to it; `per_image`,
    True where the output is a list with one object for each image (then `read` and `write` also take a list
    of one), which need not have one size.

    Optional method: `batch(args, kwargs)`, an `ImageBatch`, in place of `images`, for calls whose images have
    several sizes or are padded to one. Without it no image is taken to be padded.
    """

    def images(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
        """The images of one call of the teacher, (B, 3, H, W) RGB float in [0, 1], from its arguments."""
        ...

    def read(self, output: Any) -> Tensor:
        """The distribution D, (B, C, h, w) >= 0, of the teacher's output."""
        ...

    def write(self, output: Any, fused: Tensor) -> Any:
        """A copy of the output, of the same type, with `fused` in place of the distribution.

        The output itself does not change.
        """
        ...


def read_at(adapter: Any, output: Any, size: tuple[int, int]) -> Tensor:
    """D, upsampled to the images' size where the adapter has `align_corners`."""
    if getattr(adapter, "align_corners", None) is None:
        return adapter.read(output)  # type: ignore[no-any-return]
    return adapter.read(output, size)  # type: ignore[no-any-return]


def batch_of(adapter: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> ImageBatch:
    """The images of a call by an adapter, with their padding where the adapter finds it."""
    if hasattr(adapter, "batch"):
        return adapter.batch(args, kwargs)  # type: ignore[no-any-return]
    images = adapter.images(args, kwargs)
    if isinstance(images, Tensor):
        images = untransformed("model input", images.detach())
    return images if isinstance(images, ImageBatch) else ImageBatch(images)


def is_per_image(adapter: Any) -> bool:
    """Whether the adapter's outputs hold one object for each image."""
    return bool(getattr(adapter, "per_image", False))

"""What a proposer is, what it takes and what it gives."""

from __future__ import annotations

from typing import Protocol, TypeAlias, runtime_checkable

from torch import Tensor

from csl_plugin._tracing import refuse_jit, refuse_transforms
from csl_plugin.arrays import Array, as_tensor, bounds, describe, has_values
from csl_plugin.errors import DeviceError, DTypeError, ScoreRangeError, ShapeError
from csl_plugin.regions.proposals import RegionProposals
from csl_plugin.regions.region_map import RegionMap

Partition: TypeAlias = "RegionProposals | RegionMap"
"""One partition of each image of a batch; proposals become one by soft assignment."""


@runtime_checkable
class Proposer(Protocol):
    """A callable from RGB images (B, 3, H, W), float in [0, 1], to the regions of those images.

    Any function of that signature is one. It returns a tuple of partitions, from coarse to fine, or one
    partition by itself; the proposers of this package always return a tuple. Proposals may have any
    resolution, a map has the images'.

    Example:
        >>> import torch
        >>> from csl_plugin import RegionMap
        >>> def halves(images):
        ...     right = torch.arange(images.shape[3]) >= images.shape[3] // 2
        ...     return RegionMap(right.int().expand(len(images), *images.shape[2:]))
        >>> isinstance(halves, Proposer)
        True
    """

    def __call__(self, images: Tensor) -> Partition | tuple[Partition, ...]:
        """Propose the regions of a batch of images, on the images' device."""
        ...


def as_partitions(proposed: Partition | tuple[Partition, ...] | list[Partition]) -> tuple[Partition, ...]:
    """What a proposer returned, as a tuple of partitions."""
    return tuple(proposed) if isinstance(proposed, (tuple, list)) else (proposed,)


def read_images(images: Array) -> Tensor:
    """RGB images as a tensor (B, 3, H, W) in [0, 1], without gradient.

    Raises:
        DTypeError: Not a floating-point tensor or array.
        DeviceError: It holds no values.
        ShapeError: Not (B, 3, H, W), or an axis is empty.
        ScoreRangeError: A value is outside [0, 1] or not finite.
    """
    refuse_jit("images")
    refuse_transforms("images")
    tensor = as_tensor("images", images).detach()
    if not has_values(tensor):
        got, hint = (
            "a tensor on meta, fake, or recorded by torch.export",
            "Propose regions outside of the call.",
        )
        raise DeviceError("images", got, "one that holds values", hint)
    if not tensor.is_floating_point():
        hint = "Convert bytes with images.float() / 255."
        raise DTypeError("images", describe(tensor), "floating point in [0, 1]", hint)
    if tensor.ndim != 4 or tensor.shape[1] != 3 or 0 in tensor.shape:
        got, expected = f"shape {tuple(tensor.shape)}", "(B, 3, H, W), every axis at least 1"
        hint = "Add the batch axis with images[None]; move channels first with images.permute(0, 3, 1, 2)."
        raise ShapeError("images", got, expected, hint)
    low, high = bounds(tensor.float() if tensor.itemsize < 4 else tensor)
    if not (low >= 0.0 and high <= 1.0):
        got = f"values between {low:.4g} and {high:.4g}"
        hint = "Divide bytes by 255, and undo any normalization by mean and standard deviation."
        raise ScoreRangeError("images", got, "finite values in [0, 1]", hint)
    return tensor

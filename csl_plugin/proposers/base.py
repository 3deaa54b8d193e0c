"""The images argument of a proposer, checked."""

from __future__ import annotations

from torch import Tensor

from csl_plugin.arrays import Array, as_tensor, bounds, describe
from csl_plugin.errors import DTypeError, ScoreRangeError, ShapeError


def read_images(images: Array) -> Tensor:
    """RGB images as a tensor (B, 3, H, W) in [0, 1].

    Raises:
        DTypeError: Not a floating-point tensor or array.
        ShapeError: Not (B, 3, H, W), or an axis is empty.
        ScoreRangeError: A value is outside [0, 1] or not finite.
    """
    tensor = as_tensor("images", images).detach()
    _check_images(tensor)
    return tensor


def _check_images(images: Tensor) -> None:
    if not images.is_floating_point():
        raise DTypeError(
            "images", describe(images), "floating point in [0, 1]", "Convert bytes with images.float() / 255."
        )
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        raise ShapeError(
            "images",
            f"shape {tuple(images.shape)}",
            "(B, 3, H, W), every axis at least 1",
            "Add the batch axis of a single image with images[None]; move RGB to the front with "
            "images.permute(0, 3, 1, 2).",
        )
    low, high = bounds(images.float() if images.itemsize < 4 else images)
    if not (low >= 0.0 and high <= 1.0):
        raise ScoreRangeError(
            "images",
            f"values between {low:.4g} and {high:.4g}",
            "finite values in [0, 1]",
            "Divide bytes by 255, and undo any normalization by mean and standard deviation.",
        )

"""The images of one call of a teacher, and which pixels of a padded batch belong to them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from csl_plugin.arrays import describe
from csl_plugin.errors import DTypeError, ShapeError

Window = tuple[slice, slice]
"""Rows and columns of a rectangle."""


@dataclass(frozen=True)
class ImageBatch:
    """The images of one call: of one size, padded to one size, or of several sizes.

    Args:
        images: RGB float in [0, 1]: (B, 3, H, W), or a tuple of (1, 3, h, w), one for each image, where their
            sizes differ.
        valid: Which pixels belong to an image, boolean (B, H, W); the others are padding. None where no image
            is padded. Each image has one at least.
        original_size: The sizes (h, w) of the images before the preprocessing, if the call states them. Some
            models bring their scores to that size.

    Raises:
        DTypeError: `images` are no tensors, or `valid` is not boolean.
        ShapeError: They have other shapes, or an image is all padding.

    Example:
        >>> import torch
        >>> valid = torch.zeros(1, 4, 6, dtype=torch.bool)
        >>> valid[:, :3, :5] = True
        >>> ImageBatch(torch.rand(1, 3, 4, 6), valid).alone(0).shape
        torch.Size([1, 3, 3, 5])
    """

    images: Tensor | tuple[Tensor, ...]
    valid: Tensor | None = None
    original_size: tuple[tuple[int, int], ...] | None = None

    def __post_init__(self) -> None:
        each = self.images if isinstance(self.images, tuple) else (self.images,)
        for image in each:
            if not isinstance(image, Tensor):
                hint = "Return RGB images as a tensor (B, 3, H, W), or an ImageBatch."
                raise DTypeError("images", describe(image), "tensors", hint)
        if isinstance(self.images, tuple) and any(image.ndim != 4 or len(image) != 1 for image in each):
            got = ", ".join(str(tuple(image.shape)) for image in each)
            raise ShapeError("images", f"shapes {got}", "(1, 3, h, w) each", "Add the batch axis of each.")
        if self.valid is not None:
            self._check_valid(self.valid)

    def __len__(self) -> int:
        return len(self.images)

    def alone(self, index: int) -> Tensor:
        """One image without its padding, (1, 3, h, w)."""
        if isinstance(self.images, tuple):
            return self.images[index]
        image = self.images[index : index + 1]
        # Contiguous: rounding of a network's layers follows the memory, and eq. 2 may follow the rounding.
        return image if self.valid is None else image[(..., *window(self.valid[index]))].contiguous()

    def _check_valid(self, valid: Tensor) -> None:
        if not isinstance(valid, Tensor) or valid.dtype != torch.bool:
            hint = "Compare it, for example pixel_mask != 0."
            raise DTypeError("valid", describe(valid), "a boolean tensor", hint)
        if isinstance(self.images, tuple) or valid.shape != (len(self.images), *self.images.shape[2:]):
            expected = "none" if isinstance(self.images, tuple) else f"(B, H, W) of {describe(self.images)}"
            raise ShapeError("valid", f"shape {tuple(valid.shape)}", expected, "Give one flag per pixel.")
        empty = (~valid.flatten(1).any(1)).nonzero().flatten().tolist()
        if empty:
            hint = "In a pixel_mask 1 is the image and 0 padding; in a NestedTensor's mask True is padding."
            raise ShapeError("valid", f"only padding in image {empty[0]}", "at least one pixel", hint)


def window(valid: Tensor) -> Window:
    """The smallest rectangle that holds all valid pixels of one image, (H, W)."""
    rows, columns = (valid.any(axis).nonzero().flatten() for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def reduced(valid: Tensor, size: tuple[int, int]) -> Tensor:
    """A mask (B, H, W) at a distribution's resolution (h, w): a cell counts if it holds a valid pixel.

    The cells of a network of stride s whose layers round up, ceil(H / s) of them, begin every s pixels, also
    where s does not divide H. If several strides give that number, s is the one of both axes and a power of
    two, where there is such a one. Any other number of cells divides the mask evenly.
    """
    for axis, (cells, stride) in enumerate(zip(size, _strides(valid, size), strict=True), start=1):
        length = valid.shape[axis]
        if cells == length:
            continue
        steps = torch.arange(cells + 1, device=valid.device)
        if stride:
            first, end = steps[:-1] * stride, (steps[1:] * stride).clamp(max=length)
        else:
            first, end = steps[:-1] * length // cells, -(-steps[1:] * length // cells)
        counts = valid.cumsum(axis, dtype=torch.int32)
        counts = torch.cat([torch.zeros_like(counts.narrow(axis, 0, 1)), counts], axis)
        valid = counts.index_select(axis, end) > counts.index_select(axis, first)
    return valid


def _strides(valid: Tensor, size: tuple[int, int]) -> list[int]:
    """The stride of the cells along each axis, in pixels; 0 where no stride gives their number."""
    possible = []
    for length, cells in zip(valid.shape[1:], size, strict=True):
        largest = length if cells == 1 else (length - 1) // (cells - 1)
        possible.append(range(-(-length // cells), largest + 1))
    both = range(max(one.start for one in possible), min(one.stop for one in possible))
    return [_preferred(both or one) for one in possible]


def _preferred(strides: range) -> int:
    """A power of two among strides, else the smallest; 0 if there is none."""
    powers = [stride for stride in strides if stride & (stride - 1) == 0]
    return (powers or list(strides[:1]) or [0])[0]

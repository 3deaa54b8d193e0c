"""Region maps: one partition of each image of a batch."""

from __future__ import annotations

from numbers import Integral

import torch
from torch import Tensor

from csl_plugin._tracing import untransformed
from csl_plugin.arrays import Array, as_tensor, describe, has_values, resize_nearest, shown
from csl_plugin.errors import DeviceError, DTypeError, OptionError, ScoreRangeError, ShapeError

# What indices of 32 bits count.
_MAX_PIXELS = 2**31 - 1
_DTYPES = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


class RegionMap:
    """One partition of each image: a region id per pixel, -1 where a pixel belongs to no region.

    A map holds one partition; several partitions of the same images are a sequence of maps.

    Args:
        labels: (B, H, W) integer ids from 0 on, -1 for unassigned; tensor or numpy array. Ids need not be
            consecutive.
        num_regions: A bound that every id lies below. Left out, it is read from `labels` (one pass, and on
            a GPU one synchronization); given, it is not checked here: `fuse` refuses an id that is not below
            it, on a GPU with check=True only. There check=False leaves such pixels unassigned.

    Raises:
        DTypeError: Not an integer tensor or array.
        ShapeError: Not (B, H, W), or an axis is empty.
        ScoreRangeError: An id is below -1.
        OptionError: `num_regions` is not an integer >= 0.

    Example:
        >>> import torch
        >>> from csl_plugin import RegionMap
        >>> RegionMap(torch.tensor([[[0, 0, 1], [0, -1, 1]]]))
        RegionMap(batch_size=1, size=(2, 3), num_regions=2)
    """

    def __init__(self, labels: Array, num_regions: int | None = None) -> None:
        tensor = as_tensor("labels", labels)
        if tensor.dtype not in _DTYPES:
            raise DTypeError(
                "labels",
                describe(labels),
                "integer region ids",
                "Convert them, for example labels.to(torch.int32).",
            )
        if tensor.ndim != 3 or 0 in tensor.shape:
            raise ShapeError(
                "labels",
                f"shape {tuple(tensor.shape)}",
                "(B, H, W), every axis at least 1",
                "Add the batch axis to a single map with labels[None].",
            )
        if num_regions is None:
            low, high = _id_bounds(tensor)
            if low < -1:
                raise ScoreRangeError(
                    "labels",
                    f"the id {low}",
                    "ids from 0 on, and -1 for unassigned pixels",
                    "Replace other negative ids with -1.",
                )
            num_regions = high + 1
        elif not isinstance(num_regions, torch.SymInt):  # the sizes of torch.export stay symbols
            if isinstance(num_regions, bool) or not isinstance(num_regions, Integral) or num_regions < 0:
                hint = "Leave it out to read it from the labels."
                raise OptionError("num_regions", shown(num_regions), "an integer >= 0", hint)
            num_regions = int(num_regions)
        self._labels, self._num_regions = tensor, num_regions

    @property
    def labels(self) -> Tensor:
        """Region ids, (B, H, W) integer, -1 for unassigned."""
        return self._labels

    @property
    def num_regions(self) -> int:
        """One more than the largest id that can occur."""
        return self._num_regions

    @property
    def batch_size(self) -> int:
        """B, the number of images."""
        return self._labels.shape[0]

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self._labels.shape[1], self._labels.shape[2]

    @property
    def device(self) -> torch.device:
        """Where the map lies."""
        return self._labels.device

    def resize(self, size: tuple[int, int]) -> RegionMap:
        """The map sampled at another size (H, W): every new pixel takes the label at its center.

        Example:
            >>> import torch
            >>> from csl_plugin import RegionMap
            >>> RegionMap(torch.tensor([[[0, 0, 1, 1]]])).resize((1, 2)).labels
            tensor([[[0, 1]]])

        Raises:
            ShapeError: `size` is not two positive integers.
        """
        height, width = check_size(size)
        if (height, width) == self.size:
            return self
        return RegionMap(resize_nearest(self._labels, (height, width)), self._num_regions)

    def __repr__(self) -> str:
        return f"RegionMap(batch_size={self.batch_size}, size={self.size}, num_regions={self.num_regions})"


def check_size(size: tuple[int, int]) -> tuple[int, int]:
    """(H, W) as two positive integers, of at most 2**31 - 1 pixels.

    Raises:
        ShapeError: It is anything else.
    """
    try:
        # Plain numbers first: torch.export traces no call of __index__, and its sizes stay symbols.
        sides = [size[place] for place in range(len(size))]
        height, width = (side if type(side) in (int, torch.SymInt) else side.__index__() for side in sides)
    except (TypeError, ValueError, AttributeError, LookupError):
        height = width = 0
    if min(height, width) < 1:
        raise ShapeError(
            "size",
            shown(size),
            "(H, W), two positive integers",
            "Pass the size of the image, image.shape[-2:].",
        )
    if isinstance(height, int) and isinstance(width, int) and height * width > _MAX_PIXELS:
        raise ShapeError(
            "size", shown(size), f"at most {_MAX_PIXELS} pixels", "Fuse such an image with csl_plugin.tiles."
        )
    return height, width


def _id_bounds(labels: Tensor) -> tuple[int, int]:
    if not has_values(labels):
        raise DeviceError(
            "labels",
            "a tensor without values (meta, fake, or recorded by torch.export)",
            "one that holds values",
            "Or give num_regions, to trace shapes only.",
        )
    low, high = torch.aminmax(untransformed("labels", labels))
    return int(low), int(high)

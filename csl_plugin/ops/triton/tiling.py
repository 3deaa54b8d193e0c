"""How an image is cut into tiles, and which regions their pixels are in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import triton
import triton.language as tl
from torch import Tensor

from csl_plugin.ops.partition import Partition
from csl_plugin.ops.triton.launch import cdiv, power_of_two

# The pixels, the greatest width and the classes of a tile.
_PIXELS = 512
_COLUMNS = 128
_CLASSES = 4
_MOST = 2**31 - 1


class Tiling(NamedTuple):
    """The shape of a tile, how many lie side by side, how many cover an image, and classes read together."""

    rows: int
    columns: int
    across: int
    number: int
    together: int

    @classmethod
    def of(cls, distribution: Tensor, classes: int, *, narrow: bool = False) -> Tiling:
        """For so many classes; twice the pixels where there is one, and where scores are narrow."""
        height, width = distribution.shape[2:]
        together = min(_CLASSES, power_of_two(classes))
        columns = min(_COLUMNS, power_of_two(width))
        rows = _PIXELS * (2 if together == 1 or narrow else 1) // columns
        across = cdiv(width, columns)
        return cls(rows, columns, across, across * cdiv(height, rows), together)


class Maps(NamedTuple):
    """The id maps of K partitions as kernels take them; their regions are numbered through.

    Attributes:
        ids: K maps (B, H, W) of any integer type.
        strides: Their strides.
        bounds: Twice the number of regions of each and one more: kernels are compiled anew for multiples of
            16, and an odd number is none.
        total: The regions of all.
    """

    ids: tuple[Tensor, ...]
    strides: tuple[tuple[int, ...], ...]
    bounds: tuple[int, ...]
    total: int

    @classmethod
    def of(cls, partitions: Sequence[Partition]) -> Maps:
        """Of partitions of the same images.

        Raises:
            ValueError: They have 2**30 regions or more.
        """
        ids = tuple(part.ids for part in partitions)
        total = sum(part.count for part in partitions)
        if 2 * total + 1 > _MOST:
            raise ValueError(f"{total} regions: their ids do not fit 31 bits")
        bounds = tuple(2 * part.count + 1 for part in partitions)
        return cls(ids, tuple(each.stride() for each in ids), bounds, total)


@triton.jit
def region_of(
    ids: tl.tensor,
    strides: tl.tuple,
    bound: tl.tensor,
    image: tl.tensor,
    y: tl.tensor,
    x: tl.tensor,
    inside: tl.tensor,
) -> tl.tensor:
    """The region of each pixel in one map, int32; -1 outside the image, where unassigned or out of range."""
    place = ids + image * strides[0] + y.to(tl.int64) * strides[1] + x.to(tl.int64) * strides[2]
    region = tl.load(place, mask=inside, other=0).to(tl.int64)
    return tl.where(inside & (region >= 0) & (region < (bound >> 1)), region, -1).to(tl.int32)


@triton.jit
def last_region(
    ids: tl.tuple,
    strides: tl.tuple,
    bounds: tl.tuple,
    image: tl.tensor,
    y: tl.tensor,
    x: tl.tensor,
    inside: tl.tensor,
) -> tl.tensor:
    """The region of each pixel in the last map that has one, among all regions; -1 where none has."""
    region = region_of(ids[0], strides[0], bounds[0], image, y, x, inside)
    first = bounds[0] >> 1
    for k in tl.static_range(1, len(ids)):
        own = region_of(ids[k], strides[k], bounds[k], image, y, x, inside)
        region = tl.where(own >= 0, own + first, region)
        first += bounds[k] >> 1
    return region

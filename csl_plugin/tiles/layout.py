"""Windows that cover an image with overlap, and the part of each that its own result is kept for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple


class Window(NamedTuple):
    """Some rows and columns of an image."""

    rows: slice
    columns: slice

    @property
    def size(self) -> tuple[int, int]:
        """(h, w)."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    def within(self, outer: Window) -> tuple[slice, slice]:
        """Where this window lies in an array of an outer one."""
        top, left = outer.rows.start, outer.columns.start
        rows = slice(self.rows.start - top, self.rows.stop - top)
        return rows, slice(self.columns.start - left, self.columns.stop - left)


class Tile(NamedTuple):
    """One window, and its core: the cores cover the image without overlap.

    Attributes:
        place: (row, column) among the tiles.
        window: What is looked at.
        core: Where its result counts.
    """

    place: tuple[int, int]
    window: Window
    core: Window


class Seam(NamedTuple):
    """A strip around the border of two cores that both windows look at, away from their edges.

    Attributes:
        before: Place of the tile above or on the left.
        after: Place of the other.
        strip: The strip.
    """

    before: tuple[int, int]
    after: tuple[int, int]
    strip: Window


@dataclass(frozen=True)
class _Axis:
    """Windows of equal length along an axis, spread evenly; cores end halfway in the overlaps."""

    windows: tuple[slice, ...]
    borders: tuple[int, ...]

    @staticmethod
    def of(length: int, side: int, overlap: int) -> _Axis:
        if length <= side:
            return _Axis((slice(0, length),), (0, length))
        count = -(-(length - overlap) // (side - overlap))
        starts = [index * (length - side) // (count - 1) for index in range(count)]
        windows = tuple(slice(start, start + side) for start in starts)
        inner = [(after.start + before.stop) // 2 for before, after in pairwise(windows)]
        return _Axis(windows, (0, *inner, length))

    def core(self, index: int) -> slice:
        return slice(self.borders[index], self.borders[index + 1])


class Tiling:
    """The tiles of an image, in reading order, all of one size.

    Args:
        size: (H, W).
        side: Of a window; an image that is not longer has one.
        overlap: Pixels that two neighboring windows have in common, at least; from 4 to half of `side`.
    """

    def __init__(self, size: tuple[int, int], side: int, overlap: int) -> None:
        self.size, self.overlap = size, overlap
        self._reach = overlap // 4
        self._vertical, self._horizontal = (_Axis.of(length, side, overlap) for length in size)

    @property
    def shape(self) -> tuple[int, int]:
        """How many tiles there are, from top to bottom and from left to right."""
        return len(self._vertical.windows), len(self._horizontal.windows)

    def tiles(self) -> Iterator[Tile]:
        """The tiles in reading order."""
        for row, rows in enumerate(self._vertical.windows):
            for column, columns in enumerate(self._horizontal.windows):
                core = Window(self._vertical.core(row), self._horizontal.core(column))
                yield Tile((row, column), Window(rows, columns), core)

    def seams(self, place: tuple[int, int]) -> Iterator[Seam]:
        """The seams of a tile: two or more for all but an only one."""
        row, column = place
        rows, columns = self._vertical.core(row), self._horizontal.core(column)
        for left in (column - 1, column):
            if 0 <= left < self.shape[1] - 1:
                strip = Window(rows, self._around(self._horizontal.borders[left + 1]))
                yield Seam((row, left), (row, left + 1), strip)
        for above in (row - 1, row):
            if 0 <= above < self.shape[0] - 1:
                strip = Window(self._around(self._vertical.borders[above + 1]), columns)
                yield Seam((above, column), (above + 1, column), strip)

    def _around(self, border: int) -> slice:
        return slice(border - self._reach, border + self._reach)

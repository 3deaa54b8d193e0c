"""One scan of a JPEG file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Tables: TypeAlias = dict[int, tuple[bytes, bytes]]
"""Code counts by length and symbols, by class and number of the table as a DHT segment names them."""


ZIGZAG = tuple(
    row * 8 + column
    for row, column in sorted(
        ((row, column) for row in range(8) for column in range(8)),
        key=lambda place: (sum(place), place[sum(place) % 2 == 0]),
    )
)
"""The place of each coefficient in its block, in coded order."""


class Component(NamedTuple):
    """A component's blocks in an interleaved unit, across and down, and its quantization table."""

    across: int
    down: int
    quantization: int


@dataclass(frozen=True)
class Scan:
    """A scan's header, and where its data is.

    Args:
        parts: Each component with the numbers of its DC and AC tables.
        names: The components' identifiers.
        band: The first and last coefficient.
        steps: Bits that were left out before and after this scan (Ah, Al).
        span: Start and end of the coded data.
        restarts: Where restart markers are.
        interval: Units between restart markers, 0 for none.
        tables: The code tables when the scan starts.
    """

    parts: tuple[tuple[Component, int, int], ...]
    names: tuple[int, ...]
    band: tuple[int, int]
    steps: tuple[int, int]
    span: tuple[int, int]
    restarts: NDArray[np.int64]
    interval: int
    tables: Tables

    def units(self, size: tuple[int, int], components: Sequence[Component]) -> int:
        """Number of coded units: blocks of a lone component, else groups of blocks of all of them."""
        rows, columns = self.grid(size, components)
        return rows * columns

    def grid(self, size: tuple[int, int], components: Sequence[Component]) -> tuple[int, int]:
        """Rows and columns of units."""
        across = max(part.across for part in components)
        down = max(part.down for part in components)
        if len(self.parts) > 1:
            return -(-size[0] // (8 * down)), -(-size[1] // (8 * across))
        part = self.parts[0][0]
        return -(-size[0] * part.down // (8 * down)), -(-size[1] * part.across // (8 * across))

    def segments(self, data: bytes) -> list[bytes]:
        """The coded data between restart markers, without the stuffed zeros."""
        ends = [*self.restarts.tolist(), self.span[1]]
        starts = [self.span[0], *(place + 2 for place in ends[:-1])]
        coded = [data[start:end] for start, end in zip(starts, ends, strict=True)]
        # Bytes 0xFF before a marker are padding: in the data a 0 follows each.
        return [segment.rstrip(b"\xff").replace(b"\xff\x00", b"\xff") for segment in coded]

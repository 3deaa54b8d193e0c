"""The component split of a map that is read tile by tile."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from csl_plugin.ops.cpu.runs import Ints, components, find_runs
from csl_plugin.tiles.layout import Tile, Tiling
from csl_plugin.tiles.stitching import Pairs, offsets, unions


class Splitting:
    """The 8-connected components of a map, from those of the cores of its tiles, added in reading order.

    Args:
        tiling: The tiles.
    """

    def __init__(self, tiling: Tiling) -> None:
        self._last, width = tiling.shape[1] - 1, tiling.size[1]
        self._counts: list[int] = []
        self._pairs: list[Pairs] = []
        # Lines of pixels along the borders: their region, and their component.
        self._above, self._top, self._bottom = (np.full((2, width), -1, np.int64) for _ in range(3))
        self._left = np.empty((2, 0), np.int64)

    def add(self, tile: Tile, ids: Ints) -> Ints:
        """Add the regions of a core.

        Args:
            tile: Of the core.
            ids: Region ids of the whole image, (h, w), negative for unassigned.

        Returns:
            The components within the core, from 0 on and -1 for unassigned.
        """
        runs, count = components(find_runs(ids), 8)
        parts = runs.paint()
        first = int(offsets(self._counts)[-1])
        self._counts.append(count)
        (row, column), columns = tile.place, tile.core.columns

        def line(rows: int | slice, columns: int | slice) -> Pairs:
            return np.stack([ids[rows, columns], parts[rows, columns] + first]).astype(np.int64)

        every = slice(None)
        if column:
            self._join(self._left, line(every, 0))
        self._left = line(every, -1)
        self._top[:, columns], self._bottom[:, columns] = line(0, every), line(-1, every)
        if column == self._last:
            if row:
                self._join(self._above, self._top)
            self._above, self._bottom = self._bottom, self._above
        return parts

    def numbers(self) -> list[Ints]:
        """The number that each component of each tile has in the whole image, in the tiles' order."""
        first = offsets(self._counts)
        groups = unions(int(first[-1]), self._pairs)
        return [groups[start:stop] for start, stop in pairwise(first)]

    def _join(self, one: Pairs, two: Pairs) -> None:
        """Join what touches of two neighboring lines, (2, length), also at a corner."""
        length = one.shape[1]
        for shift in (-1, 0, 1):
            near = one[:, max(shift, 0) : length + min(shift, 0)]
            far = two[:, max(-shift, 0) : length - max(shift, 0)]
            same = (near[0] == far[0]) & (near[0] >= 0)
            if same.any():
                self._pairs.append(np.unique(np.stack([near[1, same], far[1, same]], 1), axis=0))

"""How much of an object the edge of the image cuts off."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from csl_plugin.objects.run_lengths import RunLengths


def border_share(runs: RunLengths, size: tuple[int, int]) -> float:
    """The share of the sides of a mask's outline that lie on the edge of the image.

    It takes time and memory of the number of runs, whatever the size of the image.
    """
    height, width = size
    ends = np.cumsum(runs)
    starts, stops = ends[0::2][: len(runs) // 2], ends[1::2]
    area = int((stops - starts).sum())
    segments = int(((stops - 1) // height - starts // height + 1).sum())  # stretches within one column
    beside = _overlap(starts, stops, starts + height, stops + height)
    outline = 2 * segments + 2 * (area - beside)
    top = int(((stops - 1) // height - (starts - 1) // height).sum())
    bottom = int((stops // height - starts // height).sum())
    first = int((np.minimum(stops, height) - np.minimum(starts, height)).sum())
    last = height * (width - 1)
    final = int((np.maximum(stops, last) - np.maximum(starts, last)).sum())
    return (top + bottom + first + final) / outline if outline else 0.0


def _overlap(
    starts: NDArray[np.int64], stops: NDArray[np.int64], others: NDArray[np.int64], ends: NDArray[np.int64]
) -> int:
    """How many numbers are in both of two sets of disjoint, rising intervals."""
    covered = np.append(0, np.cumsum(ends - others))

    def below(points: NDArray[np.int64]) -> NDArray[np.int64]:
        place = np.searchsorted(others, points)
        inside = np.minimum(points, ends[np.maximum(place - 1, 0)]) - others[np.maximum(place - 1, 0)]
        return covered[np.maximum(place - 1, 0)] + np.where(place > 0, inside, 0)

    return int((below(stops) - below(starts)).sum())

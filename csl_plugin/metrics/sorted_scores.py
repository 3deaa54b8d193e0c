"""Scores in ascending order: sorted, or counted if the element type has few values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.errors import ScoreRangeError

_SIGN = 0x8000  # of a float16's bits


@dataclass(frozen=True, eq=False)
class SortedScores:
    """A multiset of scores in ascending order.

    Attributes:
        values: (n,) ascending; distinct if there are counts.
        counts: (n,) int64, how often each value occurs; None if `values` holds every score.
    """

    values: NDArray[Any]
    counts: NDArray[np.int64] | None = None

    @cached_property
    def size(self) -> int:
        """Number of scores."""
        return int(self.values.size if self.counts is None else self.counts.sum())

    def distinct(self) -> NDArray[np.float64]:
        """The distinct values, ascending, float64."""
        if self.counts is not None:
            return self.values[self.counts > 0].astype(np.float64)
        first = np.ones(self.values.size, bool)
        np.not_equal(self.values[1:], self.values[:-1], out=first[1:])
        return self.values[first].astype(np.float64)

    def at(self, ranks: NDArray[np.int64]) -> NDArray[Any]:
        """The scores at ranks 0 to size - 1, in their own element type."""
        if self.counts is None:
            return self.values[ranks]
        return self.values[self._up_to.searchsorted(ranks, "right")]

    def below(self, edges: NDArray[np.float64]) -> NDArray[np.int64]:
        """How many scores are smaller than each edge."""
        return self._counted(self.values.searchsorted(_rounded(edges, self.values.dtype, up=True), "left"))

    def up_to(self, edges: NDArray[np.float64]) -> NDArray[np.int64]:
        """How many scores are not larger than each edge."""
        return self._counted(self.values.searchsorted(_rounded(edges, self.values.dtype, up=False), "right"))

    def blocks(self, size: int) -> Iterator[SortedScores]:
        """The scores in parts of at most so many values, in ascending order."""
        for start in range(0, self.values.size, size):
            yield self.part(start, start + size)

    def part(self, start: int, stop: int) -> SortedScores:
        """The scores with indices `start` to `stop` - 1 in `values`."""
        return SortedScores(self.values[start:stop], None if self.counts is None else self.counts[start:stop])

    @cached_property
    def _up_to(self) -> NDArray[np.int64]:
        assert self.counts is not None  # noqa: S101
        return np.cumsum(self.counts)

    def _counted(self, indices: NDArray[Any]) -> NDArray[np.int64]:
        if self.counts is None:
            return indices.astype(np.int64, copy=False)
        return np.asarray(np.concatenate([[0], self._up_to])[indices], np.int64)


def sort_scores(scores: NDArray[Any], argument: str = "scores") -> SortedScores:
    """The scores in ascending order; those of 16 and 8 bits are counted, which is faster than sorting.

    Args:
        scores: (n,) float16, float32, float64 or uint8. Infinities are allowed, and -0.0 is 0.0.
        argument: Their name in an error.

    Raises:
        ScoreRangeError: A score is nan.

    Example:
        >>> sort_scores(np.array([3, 1, 3], np.uint8)).counts
        array([1, 2])
        >>> sort_scores(np.array([3.0, 1.0, 3.0])).values
        array([1., 3., 3.])
    """
    if scores.dtype == np.float16:
        counts = np.bincount(scores.view(np.uint16), minlength=1 << 16)
        counts[0] += counts[_SIGN]
        counts[_SIGN] = 0
        codes = np.flatnonzero(counts)
        start = int(codes.searchsorted(_SIGN))
        codes = np.concatenate([codes[start:][::-1], codes[:start]])
        values = codes.astype(np.uint16).view(np.float16)
        found = SortedScores(values, counts[codes].astype(np.int64))
        undefined = bool(np.isnan(values).any())
    elif scores.dtype == np.uint8:
        counts = np.bincount(scores, minlength=256)
        codes = np.flatnonzero(counts)
        found, undefined = SortedScores(codes.astype(np.uint8), counts[codes].astype(np.int64)), False
    else:
        found = SortedScores(np.sort(scores))
        undefined = bool(scores.size and np.isnan(found.values[-1]))
    if undefined:
        hint = "Find the source of nan, or mark these pixels as void."
        raise ScoreRangeError(argument, "nan on a labeled pixel", "numbers", hint)
    return found


def _rounded(edges: NDArray[np.float64], dtype: np.dtype[Any], *, up: bool) -> NDArray[Any]:
    """Edges in the type of the scores, rounded so that comparisons are exact without converting scores."""
    if dtype not in (np.float16, np.float32):
        return edges
    with np.errstate(over="ignore", under="ignore"):
        narrow = edges.astype(dtype)
        wrong = narrow < edges if up else narrow > edges
        narrow[wrong] = np.nextafter(narrow[wrong], dtype.type(np.inf if up else -np.inf))
    return narrow

"""Sorted runs of scores, in memory up to a limit and in files beyond it, read back range by range."""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.errors import FileError
from csl_plugin.metrics.sorted_scores import Ordered

_SAMPLES, _LEAST = 256, 1 << 12


@dataclass(frozen=True, eq=False)
class Run:
    """Scores in ascending order.

    Attributes:
        values: (n,) float32 or float64.
        mapping: The mapped file that the values lie in; None where they lie in memory.
    """

    values: NDArray[Any]
    mapping: mmap.mmap | None

    @classmethod
    def of(cls, array: NDArray[Any]) -> Run:
        """A run of an array, which may be a memory map."""
        owner: Any = array
        while (
            isinstance(owner, np.ndarray) and getattr(owner, "mode", None) != "c"
        ):  # "c": changes are private
            owner = owner.base
        return cls(np.asarray(array), owner if isinstance(owner, mmap.mmap) else None)

    def release(self) -> None:
        """Let go of the file's pages that were read: they stay in the system's cache, not in the process."""
        if self.mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            self.mapping.madvise(mmap.MADV_DONTNEED)

    def places(self, cuts: NDArray[np.float64], closed: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Where cuts part the run: below each score, or above it where the cut is closed; with both ends."""
        ordered = Ordered(self.values)
        places = np.where(closed, ordered.up_to(cuts), ordered.below(cuts))
        self.release()
        return np.concatenate([[0], places, [self.values.size]])


class SortedRuns:
    """Scores of two kinds, negatives (0) and positives (1), as runs that are each in ascending order.

    Args:
        memory: Bytes that runs may take in memory; beyond it they are written to a file of their own.
        folder: Where such files lie, in a folder that is removed with this object; the system's folder for
            temporary files where it is None.
    """

    def __init__(self, memory: int, folder: str | os.PathLike[str] | None) -> None:
        self._memory, self._folder = memory, folder
        self._place: Path | None = None
        self._runs: tuple[list[Run], list[Run]] = ([], [])
        self._held_bytes = 0

    def add(self, negatives: Sequence[NDArray[Any]], positives: Sequence[NDArray[Any]]) -> None:
        """Add runs, (n,) float32 or float64 in ascending order; a memory map stays where it is.

        Raises:
            FileError: There is no room for a file; nothing was added.
        """
        sides = [[Run.of(array) for array in side if array.size] for side in (negatives, positives)]
        size = sum(run.values.nbytes for side in sides for run in side if run.mapping is None)
        if self._held_bytes + size > self._memory:
            self._spill()
        for kind, side in enumerate(sides):
            self._runs[kind].extend(side)
        self._held_bytes += size

    def of_kind(self, kind: int) -> list[NDArray[Any]]:
        """The runs of one kind."""
        return [run.values for run in self._runs[kind]]

    def size(self, kind: int) -> int:
        """Number of scores of one kind."""
        return sum(run.values.size for run in self._runs[kind])

    def ranges(self) -> Iterator[tuple[float, list[Ordered], list[Ordered]]]:
        """Ranges of scores from the highest to the lowest, each small enough for the memory.

        Yields:
            The lower end, positives and negatives of a range: at least the lower end, and smaller than the
            one yielded before. The last lower end is -inf.
        """
        cuts, closed = self._cuts(max(_LEAST, self._memory // 64))
        places = [[run.places(cuts, closed) for run in side] for side in self._runs]
        for index in range(cuts.size, -1, -1):
            low = float(cuts[index - 1]) if index else -np.inf
            if index and closed[index - 1]:
                if low == np.inf:
                    continue  # nothing lies above
                low = float(np.nextafter(low, np.inf))
            single = index < cuts.size and bool(closed[index])
            found: list[list[Ordered]] = []
            for side, at in zip(self._runs, places, strict=True):
                spans = [(run, int(p[index]), int(p[index + 1])) for run, p in zip(side, at, strict=True)]
                if single:
                    total = sum(stop - start for _, start, stop in spans)
                    found.append([Ordered(cuts[index : index + 1], np.array([total], np.int64))])
                else:
                    found.append([Ordered(_merged([span for span in spans if span[1] < span[2]]))])
            yield low, found[1], found[0]

    def _cuts(self, limit: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Scores that part all runs into ranges of about `limit`, and whether a cut lies above its score.

        A score that fills a range by itself is cut off on both sides, so that it is only counted.
        """
        values, weights = [np.empty(0)], [np.empty(0, np.int64)]
        for run in [*self._runs[0], *self._runs[1]]:
            step = max(1, min(run.values.size // _SAMPLES, limit // 16))
            samples = run.values[step - 1 :: step].astype(np.float64)
            values.append(samples)
            weights.append(np.full(samples.size, step, np.int64))
            run.release()
        value, weight = np.concatenate(values), np.concatenate(weights)
        ranks = value.argsort()
        reached = np.cumsum(weight[ranks])
        targets = np.arange(limit, int(reached[-1]) if reached.size else 0, limit)
        picked, times = np.unique(value[ranks][reached.searchsorted(targets)], return_counts=True)
        cuts = np.repeat(picked, np.minimum(times, 2))
        closed = np.zeros(cuts.size, bool)
        closed[1:] = cuts[1:] == cuts[:-1]
        return cuts, closed

    def _spill(self) -> None:
        if not self._held_bytes:
            return
        if self._place is None:
            try:
                self._place = Path(tempfile.mkdtemp(prefix="csl-plugin-runs-", dir=self._folder))
            except OSError as error:
                raise _no_room(self._folder, error) from error
            weakref.finalize(self, shutil.rmtree, self._place, ignore_errors=True)
        path = self._place / f"{len(list(self._place.iterdir()))}.runs"
        starts: dict[int, int] = {}
        try:
            with path.open("wb") as file:
                for run in [*self._runs[0], *self._runs[1]]:
                    if run.mapping is None:
                        file.write(b"\0" * (-file.tell() % 8))
                        starts[id(run)] = file.tell()
                        file.write(np.ascontiguousarray(run.values).data)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise _no_room(self._place, error) from error
        mapped = np.memmap(path, np.uint8, mode="r")
        for side in self._runs:
            for index, run in enumerate(side):
                if run.mapping is None:
                    start = starts[id(run)]
                    side[index] = Run.of(mapped[start : start + run.values.nbytes].view(run.values.dtype))
        self._held_bytes = 0


def _merged(spans: list[tuple[Run, int, int]]) -> NDArray[Any]:
    """Spans of runs in one sorted array."""
    dtype = np.result_type(np.float32, *(run.values.dtype for run, _, _ in spans))
    merged = np.empty(sum(stop - start for _, start, stop in spans), dtype)
    at = 0
    for run, start, stop in spans:
        merged[at : at + stop - start] = run.values[start:stop]
        at += stop - start
        run.release()
    merged.sort()
    return merged


def _no_room(place: object, error: OSError) -> FileError:
    got = error.strerror or str(error)
    hint = "Name a folder on a disk with room: 4 bytes for each float32 score, 8 for each float64 one."
    return FileError(str(place or "the folder for temporary files"), got, "a place for runs of scores", hint)

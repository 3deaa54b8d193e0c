"""External sorting of scores: sorted arrays, spilled to files above a memory limit, merged range by range."""

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
from csl_plugin.metrics.metric import invalid_state
from csl_plugin.metrics.sorted_scores import SortedScores

_SAMPLES, _LEAST = 256, 1 << 12
_CHECKED = 1 << 20  # elements at a time


@dataclass(frozen=True, eq=False)
class Spill:
    """Scores in ascending order, in memory or in a mapped file.

    Attributes:
        values: (n,) float32 or float64.
        mapping: The mapped file that holds the values; None if they are in memory.
    """

    values: NDArray[Any]
    mapping: mmap.mmap | None

    @classmethod
    def of(cls, array: NDArray[Any]) -> Spill:
        """A spill of a sorted array, which may be a memory map."""
        owner: Any = array
        while isinstance(owner, np.ndarray) and getattr(owner, "mode", None) != "c":  # "c": copy-on-write
            owner = owner.base
        return cls(np.asarray(array), owner if isinstance(owner, mmap.mmap) else None)

    def release(self) -> None:
        """Release the file's pages from the process; they stay in the page cache of the system."""
        if self.mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            self.mapping.madvise(mmap.MADV_DONTNEED)

    def bounds(self, cuts: NDArray[np.float64], closed: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Indices of the cuts, both ends included: below each score, or above it where the cut is closed."""
        scores = SortedScores(self.values)
        indices = np.where(closed, scores.up_to(cuts), scores.below(cuts))
        self.release()
        return np.concatenate([[0], indices, [self.values.size]])


class Spills:
    """Scores of two kinds, negatives (0) and positives (1), as spills; of the kinds of `ranges`, ascending.

    Args:
        memory: Maximum bytes of spills in memory; above it they are written to a new file.
        folder: The parent of a temporary folder for these files, which is removed with this object; None for
            the system's folder of temporary files.
    """

    def __init__(self, memory: int, folder: str | os.PathLike[str] | None) -> None:
        self._memory, self._folder = memory, folder
        self._files: Path | None = None
        self._spills: tuple[list[Spill], list[Spill]] = ([], [])
        self._held_bytes = 0

    def add(self, negatives: Sequence[NDArray[Any]], positives: Sequence[NDArray[Any]]) -> None:
        """Add arrays, (n,) float32 or float64; memory maps are not copied.

        Raises:
            FileError: A file cannot be written; nothing was added.
        """
        sides = [[Spill.of(array) for array in side if array.size] for side in (negatives, positives)]
        size = sum(spill.values.nbytes for side in sides for spill in side if spill.mapping is None)
        if self._held_bytes + size > self._memory:
            self._write_file()
        for kind, side in enumerate(sides):
            self._spills[kind].extend(side)
        self._held_bytes += size

    def of_kind(self, kind: int) -> list[NDArray[Any]]:
        """The sorted arrays of one kind."""
        return [spill.values for spill in self._spills[kind]]

    def size(self, kind: int) -> int:
        """Number of scores of one kind."""
        return sum(spill.values.size for spill in self._spills[kind])

    def ranges(self, *kinds: int) -> Iterator[tuple[float, list[SortedScores]]]:
        """Ranges of scores from the highest to the lowest, each small enough for the memory.

        Args:
            *kinds: The kinds to merge, whose arrays are in ascending order.

        Yields:
            The lower end of a range, and its scores of each kind: at least the lower end, and smaller than
            the previous lower end. The last lower end is -inf.
        """
        sides = [self._spills[kind] for kind in kinds]
        cuts, closed = _cuts([spill for side in sides for spill in side], max(_LEAST, self._memory // 64))
        bounds = [[spill.bounds(cuts, closed) for spill in side] for side in sides]
        for index in range(cuts.size, -1, -1):
            low = float(cuts[index - 1]) if index else -np.inf
            if index and closed[index - 1]:
                if low == np.inf:
                    continue  # no score is larger
                low = float(np.nextafter(low, np.inf))
            single = index < cuts.size and bool(closed[index])
            found: list[SortedScores] = []
            for side, ends in zip(sides, bounds, strict=True):
                spans = [
                    (spill, int(e[index]), int(e[index + 1])) for spill, e in zip(side, ends, strict=True)
                ]
                if single:
                    total = sum(stop - start for _, start, stop in spans)
                    found.append(SortedScores(cuts[index : index + 1], np.array([total], np.int64)))
                else:
                    found.append(SortedScores(_merged([span for span in spans if span[1] < span[2]])))
            yield low, found

    def _write_file(self) -> None:
        if not self._held_bytes:
            return
        if self._files is None:
            try:
                self._files = Path(tempfile.mkdtemp(prefix="csl-plugin-spills-", dir=self._folder))
            except OSError as error:
                raise _cannot_write(self._folder, error) from error
            weakref.finalize(self, shutil.rmtree, self._files, ignore_errors=True)
        path = self._files / f"{len(list(self._files.iterdir()))}.spills"
        starts: dict[int, int] = {}
        try:
            with path.open("wb") as file:
                for spill in [*self._spills[0], *self._spills[1]]:
                    if spill.mapping is None:
                        file.write(b"\0" * (-file.tell() % 8))
                        starts[id(spill)] = file.tell()
                        file.write(np.ascontiguousarray(spill.values).data)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise _cannot_write(self._files, error) from error
        mapped = np.memmap(path, np.uint8, mode="r")
        if os.name == "posix":  # the mapping holds the content, also if the process is killed: nothing stays
            path.unlink(missing_ok=True)
        for side in self._spills:
            for index, spill in enumerate(side):
                if spill.mapping is None:
                    start = starts[id(spill)]
                    stored = mapped[start : start + spill.values.nbytes]
                    side[index] = Spill.of(stored.view(spill.values.dtype))
        self._held_bytes = 0


def _cuts(spills: Sequence[Spill], limit: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores that cut spills into ranges of about `limit`, and whether a cut is above its score.

    A score that fills a whole range has a cut on both sides, so that it is only counted.
    """
    values, weights = [np.empty(0)], [np.empty(0, np.int64)]
    for spill in spills:
        step = max(1, min(spill.values.size // _SAMPLES, limit // 16))
        samples = spill.values[step - 1 :: step].astype(np.float64)
        values.append(samples)
        weights.append(np.full(samples.size, step, np.int64))
        spill.release()
    value, weight = np.concatenate(values), np.concatenate(weights)
    ranks = value.argsort()
    reached = np.cumsum(weight[ranks])
    targets = np.arange(limit, int(reached[-1]) if reached.size else 0, limit)
    picked, times = np.unique(value[ranks][reached.searchsorted(targets)], return_counts=True)
    cuts = np.repeat(picked, np.minimum(times, 2))
    closed = np.zeros(cuts.size, bool)
    closed[1:] = cuts[1:] == cuts[:-1]
    return cuts, closed


def check_ascending(name: str, array: NDArray[Any]) -> None:
    """Refuse an array of a state that is not in ascending order, or holds nan.

    Raises:
        FileError: It is not.
    """
    for start in range(0, array.size, _CHECKED):
        part = array[start : start + _CHECKED + 1]
        if np.isnan(part[-1]) or not (part[1:] >= part[:-1]).all():
            raise invalid_state(name, "scores that are not in ascending order")
    Spill.of(array).release()


def _merged(spans: list[tuple[Spill, int, int]]) -> NDArray[Any]:
    """Spans of spills in one sorted array."""
    dtype = np.result_type(np.float32, *(spill.values.dtype for spill, _, _ in spans))
    merged = np.empty(sum(stop - start for _, start, stop in spans), dtype)
    at = 0
    for spill, start, stop in spans:
        merged[at : at + stop - start] = spill.values[start:stop]
        at += stop - start
        spill.release()
    merged.sort()
    return merged


def _cannot_write(folder: object, error: OSError) -> FileError:
    got = error.strerror or str(error)
    hint = "Name a folder on a disk with space: 4 bytes for each float32 score, 8 for each float64 score."
    return FileError(str(folder or "the folder of temporary files"), got, "a writable folder", hint)

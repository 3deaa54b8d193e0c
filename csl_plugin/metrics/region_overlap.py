"""AUPRO: the area under the per-region overlap, exact, in bounded memory."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin._options import as_float, checked_integer
from csl_plugin.arrays import Array, shown
from csl_plugin.errors import OptionError
from csl_plugin.metrics.external_sort import Spill, Spills, check_ascending
from csl_plugin.metrics.labeled_components import connected_ids
from csl_plugin.metrics.metric import State, check_same_class, invalid_state, state_array, state_counts
from csl_plugin.metrics.pixels import read_frame
from csl_plugin.metrics.sorted_scores import SortedScores, sort_scores

REGION_OVERLAP_METRICS = ("aupro_30", "aupro_05")
"""The values of `RegionOverlapValues` that benchmarks report."""

LIMITS = (0.3, 0.05)
"""Of the false positive rate, in the order of `REGION_OVERLAP_METRICS`."""

_TYPES = (("single", np.float32), ("double", np.float64))
_BLOCK = 1 << 17  # pixels at a time


@dataclass(frozen=True)
class RegionOverlapValues:
    """Values over a set of frames, as fractions; nan where there is no region or no normal pixel.

    Attributes:
        aupro_30: AUPRO up to a false positive rate of 0.3, the limit of MVTec AD.
        aupro_05: AUPRO up to 0.05, the limit of MVTec AD 2.
        num_regions: Labeled regions.
        num_normal: Normal pixels.
        num_frames: Frames.
    """

    aupro_30: float
    aupro_05: float
    num_regions: int
    num_normal: int
    num_frames: int


class RegionOverlap:
    """AUPRO, the area under the mean overlap of the labeled regions over the false positive rate, exact.

    At a threshold the overlap of a region, a connected component (8 neighbors) of the anomalous pixels of one
    frame, is the share of its pixels that reach it; PRO is the mean over the regions of all frames, so that a
    small defect counts as much as a large one. The false positive rate is that of the normal pixels of all
    frames together. The area is by trapezoids between the points of all distinct scores, cut at the limit by
    linear interpolation, and divided by the limit. It depends on the order of the scores alone.

    The values are those of anomalib's `AUPRO` and of MVTec's evaluation code, up to their rounding in
    float32. One case differs: without a region, or without a normal pixel, anomalib has 0 and this has nan.

    Args:
        memory: Maximum bytes of scores in memory, at least 1 MiB. Above it they are written to files.
        folder: For these files, which are removed with the metric; None for the system's temporary folder.
            They need 4 bytes for each float32, float16 or uint8 score.

    Raises:
        OptionError: Too little memory.

    Example:
        >>> metric = RegionOverlap()
        >>> metric.update(np.array([[0.9, 0.2, 0.3, 0.1]]), np.array([[1, 1, 0, 0]], np.uint8))
        >>> round(metric.compute().aupro_30, 3), round(metric.area(1.0), 3)
        (0.5, 0.75)

    Source:
        Bergmann et al., "The MVTec Anomaly Detection Dataset", 2021, and its evaluation code.
    """

    def __init__(self, *, memory: int = 512 << 20, folder: str | os.PathLike[str] | None = None) -> None:
        memory = checked_integer("memory", memory, 1 << 20, None, "It is in bytes; omit it for 512 MiB.")
        self._spills = Spills(memory, folder)  # kind 1: the pixels of region after region, each ascending
        self._sizes: list[NDArray[np.int64]] = []  # of the regions of each array of kind 1
        self._frames = 0

    def update(self, scores: Array, labels: Array) -> None:
        """Add one frame.

        Args:
            scores: (H, W) floating point or uint8; higher is more anomalous. Infinities are allowed.
            labels: (H, W) integers: 0 normal, 1 anomaly, everything else void. Of a mask of 0 and 255 pass
                `mask == 255`.

        Raises:
            ShapeError: Not (H, W), or not the same.
            DTypeError: Another element type.
            ScoreRangeError: A labeled pixel's score is nan.
            FileError: The scores cannot be written to a file; the frame was not added.
        """
        score_map, label_map = read_frame(scores, labels)
        if score_map.dtype != np.float64:
            score_map = score_map.astype(np.float32, copy=False)
        truth = label_map == 1
        ids, found = connected_ids(truth)[truth], score_map[truth]
        sort_scores(found)  # refuses nan
        normal = sort_scores(score_map[label_map == 0])
        self._add([normal.values], [found[np.lexsort((found, ids))]], [np.bincount(ids)[1:]])
        self._frames += 1

    def state(self) -> dict[str, NDArray[Any]]:
        """All scores: of normal pixels in ascending order, of anomalous ones by region, with their sizes."""
        state: dict[str, NDArray[Any]] = {"frames": np.array([self._frames], np.int64)}
        for word, dtype in _TYPES:
            normal = [array for array in self.normal_scores() if array.dtype == dtype]
            joined = np.concatenate([*normal, np.empty(0, dtype)])
            if len(normal) > 1:
                joined.sort()
            own = [pair for pair in self.region_scores() if pair[0].dtype == dtype]
            state[f"normal_{word}"] = joined
            state[f"region_{word}"] = np.concatenate([*(scores for scores, _ in own), np.empty(0, dtype)])
            state[f"size_{word}"] = np.concatenate([*(sizes for _, sizes in own), np.empty(0, np.int64)])
        return state

    def add_state(self, state: State) -> None:
        """Add the state of another metric. Arrays that are memory maps stay in their files.

        Raises:
            FileError: An array is missing, of another element type, or invalid.
            ShapeError: An array of another shape.
        """
        frames = int(state_counts(state, "frames", 1)[0])
        normal, regions, sizes = [], [], []
        for word, dtype in _TYPES:
            normal.append(state_array(state, f"normal_{word}", dtype))
            check_ascending(f"normal_{word}", normal[-1])
            regions.append(state_array(state, f"region_{word}", dtype))
            sizes.append(np.array(state_counts(state, f"size_{word}")))
            _check_regions(word, regions[-1], sizes[-1])
        self._add(normal, regions, sizes)
        self._frames += frames

    def merge(self, other: RegionOverlap) -> None:
        """Add another metric.

        Raises:
            OptionError: It is of another class.
        """
        check_same_class(self, other)
        self._add(other.normal_scores(), other._spills.of_kind(1), other._sizes)
        self._frames += other._frames

    def compute(self) -> RegionOverlapValues:
        """The values over all frames so far."""
        first, second = self._areas(LIMITS)
        return RegionOverlapValues(
            aupro_30=first,
            aupro_05=second,
            num_regions=sum(sizes.size for sizes in self._sizes),
            num_normal=self._spills.size(0),
            num_frames=self._frames,
        )

    def area(self, limit: float) -> float:
        """AUPRO up to a false positive rate.

        Raises:
            OptionError: `limit` is not above 0 and at most 1.
        """
        if not 0 < as_float(limit) <= 1:
            hint = "It is a share of the normal pixels: 0.3, or 0.05 where defects are small."
            raise OptionError("limit", shown(limit), "a number above 0, at most 1", hint)
        return self._areas((as_float(limit),))[0]

    def _add(
        self,
        normal: Sequence[NDArray[Any]],
        regions: Sequence[NDArray[Any]],
        sizes: Sequence[NDArray[np.int64]],
    ) -> None:
        self._spills.add(normal, regions)
        self._sizes += [own for own in sizes if own.size]

    def normal_scores(self) -> list[NDArray[Any]]:
        """The scores of the normal pixels, in arrays that are ascending each."""
        return self._spills.of_kind(0)

    def region_scores(self) -> Iterator[tuple[NDArray[Any], NDArray[np.int64]]]:
        """The scores of region after region, ascending each, in arrays, with the regions' sizes."""
        return zip(self._spills.of_kind(1), self._sizes, strict=True)

    def _areas(self, limits: Sequence[float]) -> list[float]:
        normal, regions = self._spills.size(0), sum(sizes.size for sizes in self._sizes)
        if not normal or not regions:
            return [math.nan] * len(limits)
        tallies = [_Tally(limit, normal, regions) for limit in limits]
        above, high = 0, math.nan  # no end: a range below the first one may end at inf, and has no inf in it
        for low, (negatives,) in self._spills.ranges(0):
            self._visit(tallies, negatives, above, (low, high))
            above, high = above + negatives.size, low
            if above >= max(limits) * normal:
                break
        sizes = np.concatenate(self._sizes)
        return [tally.area(sizes) for tally in tallies]

    def _visit(
        self, tallies: Sequence[_Tally], negatives: SortedScores, above: int, ends: tuple[float, float]
    ) -> None:
        """Add the pixels of regions whose scores are in a range of the normal pixels' scores."""
        (low, high), before = map(np.float64, ends), 0
        for array, sizes in self.region_scores():
            last = np.cumsum(sizes)
            for start in range(0, array.size, _BLOCK):
                part = array[start : start + _BLOCK]
                inside = np.flatnonzero((part >= low) & ~(part >= high))
                scores = part[inside].astype(np.float64)
                at = above + negatives.size - negatives.below(scores)
                over = above + negatives.size - negatives.up_to(scores)
                region = before + last.searchsorted(start + inside, "right")
                for tally in tallies:
                    tally.add(region, over, at)
            Spill.of(array).release()
            before += sizes.size


class _Tally:
    """The area of each region up to a limit, in whole numbers, so that no order of the frames changes it.

    A pixel is found while the false positives rise from `over`, the normal pixels above its score, to `at`,
    those at or above it, and adds `limit - (over + at) / 2` in units of all normal pixels.
    """

    def __init__(self, limit: float, normal: int, regions: int) -> None:
        self._limit, self._normal = limit, normal
        self._whole, self._start, self._cut = (np.zeros(regions, np.int64) for _ in range(3))
        self._share = 0.0  # of each pixel at the score where the limit is

    def add(self, region: NDArray[np.int64], over: NDArray[np.int64], at: NDArray[np.int64]) -> None:
        """Add pixels in the order of their regions."""
        bound = self._limit * self._normal
        whole, cut = at <= bound, (over < bound) & (at > bound)
        if not (whole.any() or cut.any()):
            return
        first = np.flatnonzero(np.append(True, region[1:] != region[:-1]))
        own = region[first]
        self._whole[own] += np.add.reduceat(whole.astype(np.int64), first)
        self._start[own] += np.add.reduceat(np.where(whole, over + at, 0), first)
        self._cut[own] += np.add.reduceat(cut.astype(np.int64), first)
        if cut.any():
            place = int(cut.argmax())
            rise = int(at[place] - over[place])
            self._share = (bound - int(over[place])) ** 2 / (2 * rise * self._normal)

    def area(self, sizes: NDArray[np.int64]) -> float:
        """The mean of the regions' areas, divided by the limit."""
        areas = self._whole * self._limit - self._start / (2 * self._normal) + self._cut * self._share
        return math.fsum((areas / sizes).tolist()) / (sizes.size * self._limit)


def _check_regions(word: str, scores: NDArray[Any], sizes: NDArray[np.int64]) -> None:
    """Refuse regions whose sizes or whose order no frame can give."""
    if (sizes == 0).any() or int(sizes.sum()) != scores.size:
        raise invalid_state(f"size_{word}", "sizes that do not add up to the scores")
    ends = np.cumsum(sizes)
    for start in range(0, scores.size, _BLOCK):
        part = scores[start : start + _BLOCK + 1]
        falls = start + 1 + np.flatnonzero(~(part[1:] >= part[:-1]))
        if np.isnan(part).any() or not np.isin(falls, ends).all():
            raise invalid_state(f"region_{word}", "scores of a region that are not in ascending order")
    Spill.of(scores).release()

"""The threshold from which on images without anomalies give no more than so many objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.arrays import describe, shown
from csl_plugin.errors import DTypeError, OptionError, ScoreRangeError, ShapeError
from csl_plugin.fusion.region_argument import read_partitions, read_valid
from csl_plugin.fusion.score_argument import read_distribution
from csl_plugin.objects.finding import by_which_regions, find_objects
from csl_plugin.objects.pixel_pool import (
    each_map,
    equal_scores,
    largest_count,
    next_above,
    not_finite,
    plain_scores,
)
from csl_plugin.regions.region_map import RegionMap

_LEVELS, _PASSES = 64, 3
_KEPT = 4096  # distinct scores of an image


@dataclass(frozen=True, eq=False)
class BudgetFit:
    """A threshold with what it gives on the images of the fit.

    Attributes:
        value: The threshold.
        objects: (images,) int64, what `find_objects` finds in each.
        above: (images,) int64, valid pixels at or above it.
        pixels: (images,) int64, valid pixels.
        by_regions: As `by_which_regions`, or None where some images have regions and others do not.
    """

    value: float
    objects: NDArray[np.int64]
    above: NDArray[np.int64]
    pixels: NDArray[np.int64]
    by_regions: str | None


@dataclass(frozen=True, eq=False)
class _Image:
    fused: Any
    regions: Any
    valid: Any
    scores: NDArray[Any]


@dataclass(frozen=True, eq=False)
class _Images:
    """The images of a fit, read anew by each iteration, with their regions split once."""

    maps: Iterable[Any]
    split: bool

    def __iter__(self) -> Iterator[_Image]:
        for entry in each_map(self.maps):
            parts = entry if isinstance(entry, tuple) else (entry,)
            if not 1 <= len(parts) <= 3:
                hint = "Pass None for regions where only pixels that count are given."
                got = f"an entry of {len(parts)} parts"
                raise ShapeError("maps", got, "a map, (map, regions) or (map, regions, valid)", hint)
            yield self._read(*parts)

    def _read(self, fused: Any, regions: Any = None, valid: Any = None) -> _Image:
        scores = plain_scores(fused, void=valid is not None)
        if scores.ndim != 2:
            hint = (
                "Objects need whole maps; give the pixels that count as a third part, (map, regions, valid)."
            )
            raise ShapeError("maps", f"shape {scores.shape}", "(H, W) for each image", hint)
        read = read_distribution(fused)
        mask = read_valid(valid, read)
        if regions is not None:
            partitions = read_partitions(regions, read, self.split, mask, True)
            regions = tuple(RegionMap(partition.ids, partition.count) for partition in partitions)
        counted = scores.ravel() if mask is None else scores[mask[0].cpu().numpy()]
        return _Image(fused, regions, valid, counted)


def fit_to_budget(maps: Iterable[Any], most: float, min_area: int, *, split: bool) -> BudgetFit:
    """Search from above for the last threshold that keeps a budget of objects.

    Args:
        maps: As for `Threshold.fit_objects`.
        most: Objects per image.
        min_area: As for `find_objects`.
        split: As for `find_objects`.

    Raises:
        CSLError: As for `Threshold.fit_objects`.
    """
    if isinstance(maps, Iterator):
        hint = "They are read several times: pass a list, or an object whose __iter__ starts anew."
        raise DTypeError("maps", describe(maps), "maps that can be iterated again", hint)
    images = _Images(maps, split)
    candidates, pixels, narrow, by_regions = _candidates(images)
    budget = largest_count(most, pixels.size)
    kept, failed = -1, candidates.size
    objects, above = np.zeros((2, pixels.size), np.int64)
    for number in range(_PASSES):
        places = _between(kept, failed, first=number == 0)
        if not places.size:
            break
        counts = _counted(images, candidates[places], budget, min_area, pixels.size)
        if counts.shape[1]:
            kept = int(places[counts.shape[1] - 1])
            objects, above = counts[:, -1]
        if counts.shape[1] < places.size:
            failed = int(places[counts.shape[1]])
        if failed == candidates.size:
            got = f"{shown(most)}, which every threshold keeps"
            hint = "Ask for fewer, or pass a smaller min_area; see the number of images and their size too."
            raise OptionError("per_image", got, "a budget that some threshold exceeds", hint)
    if kept < 0:
        value = next_above(float(candidates[0]), np.float32 if narrow else np.float64)
        return BudgetFit(value, objects, above, pixels, by_regions)
    return BudgetFit(float(candidates[kept]), objects, above, pixels, by_regions)


def _candidates(images: _Images) -> tuple[NDArray[np.float64], NDArray[np.int64], bool, str | None]:
    """Falling scores of all images, pixels of each, whether a map is narrower than float64, and `by_regions`.

    All distinct scores of an image that has few; else some of them, ever farther apart.
    """
    found: list[NDArray[np.float64]] = []
    sizes, narrow, ways = [], False, set()
    for image in images:
        distinct = np.unique(image.scores)[::-1]
        if distinct.size and not np.isfinite(distinct[[0, -1]]).all():
            raise not_finite()
        if distinct.size > _KEPT:
            distinct = distinct[np.unique(np.geomspace(1, distinct.size, _KEPT).astype(np.int64)) - 1]
        found.append(distinct.astype(np.float64))
        sizes.append(image.scores.size)
        narrow |= image.scores.dtype == np.float32
        ways.add(by_which_regions(image.regions, split=images.split))
    pooled = np.unique(np.concatenate([*found, np.empty(0)]))[::-1]
    if not pooled.size:
        got, hint = "no valid pixel" if sizes else "no image", "A threshold is not fitted on nothing."
        raise ScoreRangeError("maps", got, "the fused maps of in-distribution images", hint)
    if pooled.size == 1:
        raise equal_scores()
    return pooled, np.array(sizes, np.int64), narrow, ways.pop() if len(ways) == 1 else None


def _between(kept: int, failed: int, *, first: bool) -> NDArray[np.int64]:
    """Rising places to try: dense at the top at first, then evenly between two."""
    inside = failed - kept - 1
    if inside <= _LEVELS:
        return np.arange(kept + 1, failed)
    if first:
        return np.unique(np.geomspace(1, inside, _LEVELS).astype(np.int64)) - 1
    return np.unique(np.linspace(kept + 1, failed - 1, _LEVELS).astype(np.int64))


def _counted(
    images: _Images, levels: NDArray[np.float64], budget: int, min_area: int, expected: int
) -> NDArray[np.int64]:
    """(2, kept, images): objects, and pixels at or above it, at the levels before one exceeds the budget."""
    counts = np.zeros((2, levels.size, expected), np.int64)
    kept, number = levels.size, 0
    for number, image in enumerate(images, 1):
        if number > expected:
            break
        highest = image.scores.max(initial=-np.inf)
        for place, level in enumerate(levels[:kept].tolist()):
            if highest < level:
                continue
            options = {"min_area": min_area, "split": False, "valid": image.valid}
            (found,) = find_objects(image.fused, level, image.regions, **options)
            counts[0, place, number - 1] = len(found)
            counts[1, place, number - 1] = np.count_nonzero(image.scores >= level)
            if counts[0, place].sum() > budget:
                kept = place
                break
    if number != expected:
        hint = "They are read several times: pass a list, or an object whose __iter__ starts anew."
        raise ShapeError("maps", "another number of images in a later reading", f"{expected}", hint)
    return counts[:, :kept]

"""How much a map, and the objects found in it, change from frame to frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.effect.frames.video import ScoreMap, Video
from csl_plugin.objects import find_objects

LEAST_AREA = 64
_OVERLAP = 0.25  # of the smaller one, for the same object; of an object, for a true one
_VOID = 255
_SHARES = np.geomspace(1e-5, 0.5, 80)  # of the pixels above a threshold that is tried

Labels = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class MapFlicker:
    """Changes of a map, frame by frame but for the first: sums over pixels, and how many pixels."""

    change: NDArray[np.float64]
    pixels: NDArray[np.int64]
    change_on_anomalies: NDArray[np.float64]
    pixels_on_anomalies: NDArray[np.int64]

    @staticmethod
    def of(maps: Sequence[ScoreMap], video: Video, part: range) -> MapFlicker:
        """Against the map before, moved; in standard deviations of the pixels of all the maps."""
        deviation = max(float(np.std(np.stack(maps), dtype=np.float64)), np.finfo(np.float32).tiny)
        rows = []
        for place, index in enumerate(part[1:], 1):
            motion = video.judging[index - 1]
            change = np.abs(maps[place] - motion.moved(maps[place - 1])) / deviation
            anomalous = video.frames[index].label == 1
            anomalous &= motion.moved(video.frames[index - 1].label) == 1
            row = []
            for counted in (motion.trusted, motion.trusted & anomalous):
                row += [change[counted].sum(dtype=np.float64), int(counted.sum())]
            rows.append(row)
        columns = np.array(rows, np.float64).reshape(-1, 4).T
        return MapFlicker(columns[0], columns[1].astype(np.int64), columns[2], columns[3].astype(np.int64))


@dataclass(frozen=True)
class ObjectFlicker:
    """Counts over some frames.

    Attributes:
        objects: Found.
        false: Of them, those of which less than a quarter is anomalous.
        events: Objects that appear or vanish, frame by frame but for the first.
        hits: True objects of which at least a quarter is covered.
        true: All true objects.
        frames: How many.
    """

    objects: int
    false: int
    events: tuple[int, ...]
    hits: int
    true: int
    frames: int

    @staticmethod
    def of(maps: Sequence[ScoreMap], video: Video, part: range, threshold: float) -> ObjectFlicker:
        """Of the objects at a threshold."""
        objects = false = hits = true = 0
        events: list[int] = []
        before: Labels | None = None
        for index, values in zip(part, maps, strict=True):
            found, label = found_labels(values, video, index, threshold), video.frames[index].label
            objects += int(found.max())
            false += count_false(found, label)
            marks = true_labels(label)
            covered = _inside(marks, found > 0) >= _OVERLAP
            hits, true = hits + int(covered.sum()), true + covered.size
            if before is not None:
                motion = video.judging[index - 1]
                moved = motion.moved(before.astype(np.int16)).astype(np.int32)
                events.append(unmatched(found, moved) + unmatched(moved, found))
            before = found
        return ObjectFlicker(objects, false, tuple(events), hits, true, len(maps))


def threshold_at(maps: Sequence[ScoreMap], video: Video, part: range, budget: float) -> float:
    """The lowest threshold, from above, up to which there are at most so many false objects per frame."""
    values = np.stack(maps)
    levels = np.quantile(values[:, ::2, ::2], 1 - _SHARES)
    chosen = float(values.max())
    for level in levels:
        found = sum(
            count_false(found_labels(each, video, index, float(level)), video.frames[index].label)
            for index, each in zip(part, maps, strict=True)
        )
        if found > budget * len(maps):
            break
        chosen = float(level)
    return chosen


def found_labels(values: ScoreMap, video: Video, index: int, threshold: float) -> Labels:
    """(H, W): 0, or 1 + the index of the object."""
    regions = video.frames[index].regions
    found = find_objects(values, threshold, regions, min_area=LEAST_AREA, split=False)
    return found[0].label_map()


def true_labels(label: NDArray[np.uint8]) -> Labels:
    """The components of the anomalies that are large enough, from 1 on."""
    _, marks, stats, _ = cv2.connectedComponentsWithStats((label == 1).astype(np.uint8), connectivity=8)
    kept = stats[:, cv2.CC_STAT_AREA] >= LEAST_AREA
    kept[0] = False
    return np.where(kept, np.cumsum(kept), 0).astype(np.int32)[marks]


def count_false(found: Labels, label: NDArray[np.uint8]) -> int:
    """Objects of which less than a quarter of the pixels that are not void is anomalous."""
    counted = np.where(label == _VOID, 0, found)
    return int((_inside(counted, label == 1, int(found.max())) < _OVERLAP).sum())


def unmatched(of: Labels, others: Labels) -> int:
    """Objects that share less than a quarter of the smaller one with every other."""
    count, wide = int(of.max()) + 1, int(others.max()) + 1
    shared = np.bincount((of * wide + others).ravel(), minlength=count * wide).reshape(count, wide)
    areas = np.minimum(shared.sum(1)[:, None], shared.sum(0)[None])
    same = shared[1:, 1:] >= _OVERLAP * np.maximum(areas[1:, 1:], 1)
    present = shared[1:].sum(1) > 0
    return int((present & ~same.any(1)).sum())


def _inside(labels: Labels, mask: NDArray[np.bool_], count: int | None = None) -> NDArray[np.float64]:
    """The share of each label from 1 on that a mask covers; of a label without pixels, all."""
    least = (int(labels.max()) if count is None else count) + 1
    areas = np.bincount(labels.ravel(), minlength=least)[1:]
    covered = np.bincount(labels[mask], minlength=least)[1:]
    return np.where(areas > 0, covered / np.maximum(areas, 1), 1.0)

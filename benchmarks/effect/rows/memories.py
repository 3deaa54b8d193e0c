"""What a map may remember of the frames before it: the candidates of docs/results/video.md.

All are H + d (past - H) of something, d the share of the past; they differ in what is averaged, and in how
the past comes to its place in the frame. The first frame stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.effect.frames.motion import Motion
from benchmarks.effect.frames.video import ScoreMap, Video, VideoFrame

_SAME = 0.5  # the least IoU of a region with the one that it was
_COARSE, _FINE = 0, -1

Ids = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Remembered:
    """What is kept of a frame.

    Attributes:
        values: (H, W): the map, or the state of the region at each pixel.
        ids: (H, W), the regions; what remembers pixels does not read them.
    """

    values: ScoreMap
    ids: Ids


@dataclass(frozen=True, eq=False)
class Step:
    """A frame that has one before it."""

    score: ScoreMap
    ids: Ids
    before: Remembered
    motion: Callable[[], Motion]


Past = Callable[[Step], tuple[NDArray[Any], NDArray[np.bool_]]]
"""What the past says, and where it says something: of pixels (H, W), or one value for each region."""


def _pixel(step: Step) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    return step.before.values, np.ones(step.score.shape, np.bool_)


def _moved_pixel(step: Step) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    motion = step.motion()
    return motion.moved(step.before.values), motion.trusted


def _overlap(step: Step) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    return region_means(step.before.values, step.ids)


def _moved_overlap(step: Step) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    motion = step.motion()
    return region_means(motion.moved(step.before.values), step.ids, motion.trusted)


def _matched(step: Step) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    found = same_region(step.ids, step.before.ids)
    return step.before.values.ravel()[found.first], found.same


@dataclass(frozen=True, eq=False)
class SameRegion:
    """Of each region, the one before that overlaps most.

    Attributes:
        first: A pixel of both, an index into the flat map.
        same: Whether their IoU is one half or more.
    """

    first: NDArray[np.int64]
    same: NDArray[np.bool_]


def same_region(ids: Ids, before: Ids) -> SameRegion:
    """Which regions, ids (H, W) without gaps, were there before."""
    now, past = ids.ravel(), before.ravel()
    count, wide = int(now.max()) + 1, int(past.max()) + 1
    pairs, first, shared = np.unique(now * wide + past, return_index=True, return_counts=True)
    union = np.bincount(now)[pairs // wide] + np.bincount(past)[pairs % wide] - shared
    order = np.argsort(shared, kind="stable")  # the last one written overlaps most
    place, iou = np.zeros(count, np.int64), np.zeros(count)
    place[pairs[order] // wide] = first[order]
    iou[pairs[order] // wide] = (shared / union)[order]
    return SameRegion(place, iou >= _SAME)


def region_ids(frame: VideoFrame, partition: int) -> Ids:
    """The ids (H, W) of one of its partitions."""
    return np.asarray(frame.regions[partition].labels[0].numpy(), np.int64)


def region_means(
    values: ScoreMap, ids: Ids, counted: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The mean over each region, and whether a pixel of it counts."""
    places, read = (ids.ravel(), values.ravel()) if counted is None else (ids[counted], values[counted])
    least = int(ids.max()) + 1
    pixels = np.bincount(places, minlength=least)
    return np.bincount(places, read, least) / np.maximum(pixels, 1), pixels > 0


@dataclass(frozen=True)
class Memory:
    """One way to remember.

    Attributes:
        kind: Its name in tables.
        past: What the past says.
        partition: Whose regions have a state; None if pixels have.
        decay: The share of the past.
        before_fusion: Whether it remembers scores before fusion.
    """

    kind: str
    past: Past
    partition: int | None
    decay: float
    before_fusion: bool = False

    @property
    def title(self) -> str:
        """In tables."""
        return f"{self.kind}, {self.decay:g}" if self.decay else self.kind

    def maps(self, video: Video, score: str, part: range) -> list[ScoreMap]:
        """The fused maps of some frames of a video, the past of the first forgotten."""
        frames = [video.frames[index] for index in part]
        read = [frame.scores[score] for frame in frames]
        if not self.before_fusion:
            read = [frame.fused(each) for frame, each in zip(frames, read, strict=True)]
        found: list[ScoreMap] = []
        before: Remembered | None = None
        for place, index in enumerate(part):
            made, before = self.step(
                read[place], frames[place], before, lambda at=index: video.carrying[at - 1]
            )
            found.append(frames[place].fused(made) if self.before_fusion else made)
        return found

    def step(
        self, score: ScoreMap, frame: VideoFrame, before: Remembered | None, motion: Callable[[], Motion]
    ) -> tuple[ScoreMap, Remembered]:
        """The map of one frame, and what is kept of it."""
        ids = region_ids(frame, self.partition or 0)
        if self.partition is None:
            if before is not None:
                past, known = self.past(Step(score, ids, before, motion))
                score = (score + np.where(known, self.decay, 0) * (past - score)).astype(np.float32)
            return score, Remembered(score, ids)
        now, _ = region_means(score, ids)
        state = now
        if before is not None:
            past, known = self.past(Step(score, ids, before, motion))
            state = now + np.where(known, self.decay, 0) * (past - now)
        made = np.maximum(score + (state - now)[ids], 0).astype(np.float32)
        return made, Remembered(state.astype(np.float32)[ids], ids)


NONE = Memory("no state", _pixel, None, 0.0)
DECAYS = (0.3, 0.5, 0.7)
_REGIONS: Sequence[tuple[str, Past, int]] = (
    ("overlap, coarse", _overlap, _COARSE),
    ("overlap, fine", _overlap, _FINE),
    ("matched, fine", _matched, _FINE),
    ("overlap with flow, fine", _moved_overlap, _FINE),
)
REGIONS = tuple(Memory(*each, decay) for each in _REGIONS for decay in DECAYS)
_PIXELS: Sequence[tuple[str, Past, bool]] = (
    ("pixel", _pixel, False),
    ("flow", _moved_pixel, False),
    ("flow, then fused", _moved_pixel, True),
)
BASELINES = tuple(Memory(kind, past, None, decay, early) for kind, past, early in _PIXELS for decay in DECAYS)

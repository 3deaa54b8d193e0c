"""What docs/results/video.md says of a memory on one half of the video."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.effect.frames.motion import Motion, dense_inverse_search
from benchmarks.effect.frames.video import Video
from benchmarks.effect.page.gains import Redrawn
from benchmarks.effect.rows.memories import NONE, Memory, Remembered, region_ids, region_means, same_region
from benchmarks.effect.states.flicker import MapFlicker, ObjectFlicker, threshold_at
from benchmarks.effect.states.measure import SCORES
from benchmarks.effect.states.pixels import PixelCounts, bootstrap_states, values_over
from csl_plugin.metrics import AnomalyValues

BUDGETS = (0.1, 1.0)
_BLOCK = 5  # neighboring frames that are drawn together
_TIMED = 20

Weights = NDArray[np.int64]
"""How often each sample has each frame, (draws, frames)."""


@dataclass(frozen=True, eq=False)
class Half:
    """One memory on one half.

    Attributes:
        counts: The pixels of every frame, by score.
        flicker: By score.
    """

    counts: dict[str, list[PixelCounts]] = field(default_factory=dict)
    flicker: dict[str, MapFlicker] = field(default_factory=dict)

    def values(self, score: str) -> AnomalyValues:
        """Over the pooled pixels."""
        return values_over(self.counts[score])

    def changes(self, score: str, weights: Weights | None = None) -> NDArray[np.float64]:
        """The mean change of a pixel, of all and of anomalous ones; (2,), or (2, draws)."""
        found = self.flicker[score]
        taken = np.ones((1, len(found.pixels)), np.int64) if weights is None else weights[:, 1:]
        sides = (found.change, found.pixels), (found.change_on_anomalies, found.pixels_on_anomalies)
        with np.errstate(invalid="ignore"):
            means = np.array([(taken @ change) / (taken @ pixels) for change, pixels in sides])
        return means if weights is not None else means[:, 0]

    def redrawn_ap(self, score: str, weights: Weights) -> NDArray[np.float64]:
        """AP of every sample."""
        return Redrawn.of(bootstrap_states(self.counts[score]), weights).ap


Halves = Mapping[Memory, Half]


def measure_half(video: Video, part: range, memories: Sequence[Memory]) -> dict[Memory, Half]:
    """Pixels and flicker of every memory and score."""
    found = {memory: Half() for memory in memories}
    for memory, half in tqdm(found.items(), desc=f"frames {part}", unit="memory", disable=None):
        for score in SCORES:
            maps = memory.maps(video, score, part)
            labels = [video.frames[index].label for index in part]
            half.counts[score] = [PixelCounts.of(*each, 1) for each in zip(maps, labels, strict=True)]
            half.flicker[score] = MapFlicker.of(maps, video, part)
    return found


def measure_objects(
    video: Video, chosen: range, reported: range, memory: Memory, scores: Sequence[str]
) -> dict[float, dict[str, ObjectFlicker]]:
    """By budget and score, at thresholds fitted on the frames that choose."""
    found: dict[float, dict[str, ObjectFlicker]] = {budget: {} for budget in BUDGETS}
    for score in tqdm(scores, desc=f"objects, {memory.title}", unit="score", disable=None):
        fitting, maps = memory.maps(video, score, chosen), memory.maps(video, score, reported)
        for budget in BUDGETS:
            threshold = threshold_at(fitting, video, chosen, budget)
            found[budget][score] = ObjectFlicker.of(maps, video, reported, threshold)
    return found


def blocks(frames: int, draws: int) -> Weights:
    """Samples of neighboring frames that are drawn together, around the end to the beginning."""
    draw = np.random.default_rng(0)
    starts = draw.integers(0, frames, (draws, -(-frames // _BLOCK)))
    places = ((starts[..., None] + np.arange(_BLOCK)) % frames).reshape(draws, -1)[:, :frames]
    return np.stack([np.bincount(row, minlength=frames) for row in places])


def milliseconds(memory: Memory, video: Video, part: range) -> float:
    """The fastest of 20 frames, optical flow included where it is used."""
    times: list[float] = []
    before: Remembered | None = None
    for index in part[:_TIMED]:
        frame = video.frames[index]
        score = frame.fused(frame.scores[SCORES[0]])
        began = time.perf_counter()
        _, before = memory.step(score, frame, before, _flow(video, index))
        times.append(1000 * (time.perf_counter() - began))
    return min(times[1:])


def _flow(video: Video, index: int) -> Callable[[], Motion]:
    frames = video.frames
    return lambda: Motion.between(frames[index - 1].gray, frames[index].gray, dense_inverse_search)


def kept_regions(video: Video) -> list[float]:
    """The shares of the pixels whose region was there in the frame before, by partition."""
    found = []
    for partition in range(len(video.frames[0].regions)):
        shares = []
        for index in range(1, len(video.frames)):
            before, now = (region_ids(video.frames[each], partition) for each in (index - 1, index))
            moved = video.judging[index - 1].moved(before.astype(np.int16)).astype(np.int64)
            shares.append(same_region(now, moved).same[now].mean())
        found.append(float(np.mean(shares)))
    return found


def flicker_inside(video: Video, scores: Sequence[str]) -> list[float]:
    """The flicker of the map, of the means of its fine regions, and of the rest, in the map's deviations."""
    part = range(len(video.frames))
    sums = []
    for score in scores:
        maps = NONE.maps(video, score, part)
        ids = [region_ids(frame, -1) for frame in video.frames]
        means = [
            region_means(values, each)[0][each].astype(np.float32)
            for values, each in zip(maps, ids, strict=True)
        ]
        rest = [values - mean for values, mean in zip(maps, means, strict=True)]
        whole = np.std(np.stack(maps), dtype=np.float64)
        row = []
        for several in (maps, means, rest):
            found = MapFlicker.of(several, video, part)
            deviation = np.std(np.stack(several), dtype=np.float64)
            row.append(found.change.sum() / found.pixels.sum() * deviation / whole)
        sums.append(row)
    return [float(each) for each in np.mean(sums, 0)]

"""Consecutive frames with scores, regions and the motion between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.effect.frames.motion import Gray, Motion, dense_inverse_search, farneback
from benchmarks.effect.frames.scored import open_sets, read_frames
from csl_plugin import RegionMap, fuse, load_proposer, split_components
from csl_plugin.proposers.base import as_partitions
from examples.ood_scores import ood_scores

ScoreMap = NDArray[np.float32]
SEQUENCE = "camvid_val"


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """One frame.

    Attributes:
        gray: (H, W) uint8.
        label: (H, W): 0 normal, 1 anomaly, 255 void.
        scores: (H, W) each, by name, before fusion.
        regions: The default proposer's connected partitions, from coarse to fine.
    """

    gray: Gray
    label: NDArray[np.uint8]
    scores: dict[str, ScoreMap]
    regions: tuple[RegionMap, ...]

    def fused(self, score: ScoreMap) -> ScoreMap:
        """A score after fusion by the default rule."""
        return np.asarray(fuse(score, self.regions, split=False), np.float32)


@dataclass(frozen=True)
class Video:
    """Frames in their order."""

    frames: Sequence[VideoFrame]

    @cached_property
    def carrying(self) -> list[Motion]:
        """The motion along which states are carried: of every frame but the first, to the one before."""
        return [
            Motion.between(before.gray, after.gray, dense_inverse_search)
            for before, after in zip(self.frames, self.frames[1:], strict=False)
        ]

    @cached_property
    def judging(self) -> list[Motion]:
        """The motion along which flicker is judged, by another method."""
        return [
            Motion.between(before.gray, after.gray, farneback)
            for before, after in zip(self.frames, self.frames[1:], strict=False)
        ]


def read_video(data: Path, part: slice = slice(None)) -> Video:
    """The validation frames of CamVid, with the scores of the given teacher.

    Args:
        data: With `camvid`, `pasted` and `teacher`.
        part: Which frames, consecutive ones.
    """
    scores = ood_scores(data / "teacher" / "statistics.json")
    propose = load_proposer()
    found = []
    for frame in read_frames(open_sets(data)[SEQUENCE], data / "teacher" / SEQUENCE, scores, part):
        picture = (frame.image[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        regions = tuple(_connected(each) for each in as_partitions(propose(frame.image)))
        found.append(
            VideoFrame(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), frame.label, frame.scores, regions)
        )
    return Video(found)


def _connected(regions: object) -> RegionMap:
    assert isinstance(regions, RegionMap)  # noqa: S101
    return split_components(regions)

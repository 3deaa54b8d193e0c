"""One score map of one frame, with the regions of its image."""

from __future__ import annotations

import numpy as np

from benchmarks.effect.rows.filters import ScoreMap
from benchmarks.effect.rows.regions import FrameRegions
from csl_plugin import RegionMap, fuse


class Case:
    """One score map of one frame.

    Args:
        score: (H, W) in [0, 1].
        regions: Of the frame's image.
        true: Connected components of the labels, crossed with the classes that the segmenter predicts.
    """

    def __init__(self, score: ScoreMap, regions: FrameRegions, true: RegionMap) -> None:
        self.score, self.regions, self.true = score, regions, true
        self._mean: dict[str, ScoreMap] = {}
        self._means: dict[str, list[ScoreMap]] = {}
        self._roots: dict[str, list[ScoreMap]] = {}

    def mean(self, source: str) -> ScoreMap:
        """The average of a pixel's region means over the partitions of a source."""
        if source not in self._mean:
            self._mean[source] = fuse(self.score, self.regions.of(source), rule="mean")
        return self._mean[source]

    def means(self, source: str) -> list[ScoreMap]:
        """The mean of a pixel's region, in each partition of a source."""
        if source not in self._means:
            self._means[source] = self._of_partitions(self.score, source)
        return self._means[source]

    def roots(self, source: str) -> list[ScoreMap]:
        """The mean of the score's root over a pixel's region, in each partition of a source."""
        if source not in self._roots:
            self._roots[source] = self._of_partitions(np.sqrt(self.score), source)
        return self._roots[source]

    def _of_partitions(self, score: ScoreMap, source: str) -> list[ScoreMap]:
        return [fuse(score, part, rule="mean") for part in self.regions.of(source)]

"""One score map of one frame, with the regions of its image."""

from __future__ import annotations

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
        self._means: dict[str, ScoreMap] = {}

    def mean(self, source: str) -> ScoreMap:
        """The average of a pixel's region means over the partitions of a source."""
        if source not in self._means:
            self._means[source] = fuse(self.score, self.regions.of(source), rule="mean")
        return self._means[source]

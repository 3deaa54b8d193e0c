"""A drawn street with a thing the teacher never saw: its score before and after fusion, in one picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from csl_plugin._opencv import opencv
from csl_plugin.arrays import Array
from csl_plugin.demo.picture import finest_partition
from csl_plugin.demo.street import Street, load_teacher
from csl_plugin.demo.street.scoring import street_threshold, teacher_score
from csl_plugin.fusion import fuse
from csl_plugin.metrics import PooledAnomaly
from csl_plugin.metrics.anomaly_values import AnomalyValues
from csl_plugin.objects import Objects, find_objects
from csl_plugin.regions.region_map import RegionMap
from csl_plugin.viz import outline
from csl_plugin.viz.colors import MASK, Picture, draw_edges, heat_colors, region_colors
from csl_plugin.viz.sheet import Panel, sheet
from csl_plugin.viz.text import text_width, write_text

STREET_SEED = 154
"""The street that is shown: `python -m benchmarks.guide.street` chooses it, by a rule made beforehand."""

_TEXT = 21.0
_INK, _GRAY, _WHITE = (24, 24, 27), (96, 96, 104), (255, 255, 255)


@dataclass(frozen=True)
class StreetDemonstration:
    """The results and their picture.

    Attributes:
        street: The street.
        score: The teacher's anomaly score, (H, W) float32 in [0, 1].
        fused: The score fused with the regions, (H, W) float32 in [0, 1].
        num_regions: Number of regions of the finest partition.
        objects: What is at the threshold in the fused score, along the regions.
        before: Metrics of the score.
        after: Metrics of the fused score.
        picture: (h, w, 3) uint8 RGB.
    """

    street: Street
    score: NDArray[np.float32]
    fused: NDArray[np.float32]
    num_regions: int
    objects: Objects
    before: AnomalyValues
    after: AnomalyValues
    picture: Picture


def demonstrate_street(street: Street, regions: tuple[RegionMap, ...]) -> StreetDemonstration:
    """Score a street, fuse the score, measure both, find objects, and draw all of it.

    Args:
        street: With an unseen thing.
        regions: Partitions of its image, (1, H, W) each; the finest is drawn.
    """
    score = teacher_score(load_teacher(), street.image)
    fused = fuse(score, regions)
    before, after = (_measured(values, street.unseen) for values in (score, fused))
    (objects,) = find_objects(fused, street_threshold(), regions)
    ids, count = finest_partition(regions)

    heats = [heat_colors(values, 0.0, 1.0) for values in (score, fused)]
    partition = draw_edges(region_colors(street.image, ids), ids)
    panels = sheet(
        [
            [
                Panel(
                    outline(street.image, street.unseen),
                    "A thing never trained on",
                    f"{street.thing}, outlined",
                ),
                Panel(heats[0], "Score of every pixel", "entropy of a segmenter", (0.0, 1.0)),
            ],
            [
                Panel(partition, "Regions", f"{count}, class-agnostic"),
                Panel(_found(heats[1], objects), "Score with the regions", _in_words(objects), (0.0, 1.0)),
            ],
        ],
        text=_TEXT,
    )
    strip = _strip(panels.shape[1], before, after)
    picture = np.concatenate([panels, strip]) | np.uint8(3)
    return StreetDemonstration(street, score, fused, count, objects, before, after, picture)


def _measured(values: Array, unseen: NDArray[np.bool_]) -> AnomalyValues:
    metric = PooledAnomaly()
    metric.update(values, unseen.astype(np.uint8))
    return metric.compute()


def _in_words(objects: Objects) -> str:
    if not len(objects):
        return "no object at the threshold"
    return f"{len(objects)} object{'s' * (len(objects) > 1)} found"


def _found(heat: Picture, objects: Objects) -> Picture:
    """The heat map with each object outlined, and its score on a plate."""
    cv2 = opencv()
    drawn = np.array(heat)
    for mask in objects.masks():
        grown = cv2.dilate(mask.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7)))
        drawn[(grown > 0) & (cv2.erode(grown, np.ones((3, 3), np.uint8)) == 0)] = _WHITE
    for (left, top, _, _), score in zip(objects.boxes.tolist(), objects.scores.tolist(), strict=True):
        words, high = f"{score:.2f}", 14.0
        width, height = text_width(words, high) + 14, 26
        row = top - height - 5 if top > height + 5 else top + 3
        column = min(max(left, 2), heat.shape[1] - width - 2)
        drawn[row : row + height, column : column + width] = MASK
        write_text(drawn, words, row + 20, column + 7, high, _WHITE)
    return drawn


def _strip(width: int, before: AnomalyValues, after: AnomalyValues) -> Picture:
    """The figures before and after, in large type."""
    canvas = np.full((150, width, 3), 255, np.uint8)
    left, big, small = round(1.9 * _TEXT), 44.0, 17.0
    for name, pair in (
        ("Average precision", (before.ap, after.ap)),
        ("False positives at 95 % recall", (before.fpr95, after.fpr95)),
    ):
        write_text(canvas, name, 22, left, small, _GRAY)
        start = left
        digits = 0 if min(pair) >= 0.1 else 1
        words = [f"{100 * value:.{digits}f}" for value in pair]
        write_text(canvas, words[0], 100, start, big, _GRAY)
        start += text_width(words[0], big) + 26
        opencv().arrowedLine(canvas, (start, 79), (start + 62, 79), _GRAY, 5, opencv().LINE_AA, 0, 0.34)
        start += 88
        write_text(canvas, words[1] + " %", 100, start, big, MASK)
        left = (width + round(1.6 * _TEXT)) // 2  # where the second column begins
    return canvas

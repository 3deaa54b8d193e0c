"""A photograph scored by RX, the score fused with regions, and the picture that shows both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin._opencv import opencv
from csl_plugin.arrays import resize_nearest
from csl_plugin.demo.rx import rx_score
from csl_plugin.fusion import fuse
from csl_plugin.objects import Objects, find_objects
from csl_plugin.regions.region_map import RegionMap
from csl_plugin.viz.colors import Picture, Values, draw_edges, heat_colors, highlight, region_colors
from csl_plugin.viz.scaling import fit, resize
from csl_plugin.viz.sheet import Panel, sheet

TOP = 0.05
_BOX = (700, 490)


@dataclass(frozen=True)
class Demonstration:
    """The results and their picture.

    Attributes:
        score: RX score of every pixel, (H, W) float64 in [0, 1].
        fused: The score fused with the regions, (H, W) float64 in [0, 1].
        num_regions: Number of regions of the finest partition.
        pieces: Number of connected components of the highest scores, and of the highest fused scores.
        objects: Those at the threshold of the highest fused scores, along the regions.
        picture: (h, w, 3) uint8 RGB.
    """

    score: Values
    fused: Values
    num_regions: int
    pieces: tuple[int, int]
    objects: Objects
    picture: Picture


def demonstrate(image: Picture, regions: tuple[RegionMap, ...], note: str) -> Demonstration:
    """Score a photograph, fuse the score, find objects, and draw all of it.

    Args:
        image: (H, W, 3) uint8 RGB.
        regions: Partitions of the image, (1, H, W) each; the finest is drawn.
        note: The line below the title "Photograph", ASCII.
    """
    score = rx_score(image)
    fused = fuse(score, regions)
    labels, count = finest_partition(regions)
    masks = [top_share(values, TOP) for values in (score, fused)]
    before, after = (_pieces(mask) for mask in masks)
    (objects,) = find_objects(fused, np.nextafter(np.quantile(fused, 1 - TOP), np.inf), regions)

    size = fit(image.shape[:2], _BOX)
    photograph, ids = resize(image, size), resize_nearest(labels, size)
    heats = [heat_colors(resize(values, size), 0.0, 1.0) for values in (score, fused)]
    marked = masks[0], objects.label_map() > 0
    marks = [highlight(photograph, resize(mask.astype(np.float32), size)) for mask in marked]
    partition = draw_edges(region_colors(photograph, ids), ids)
    picture = sheet(
        [
            [
                Panel(photograph, "Photograph", note),
                Panel(heats[0], "Score of every pixel", "RX anomaly detector", (0.0, 1.0)),
                Panel(marks[0], f"Top {TOP:.0%} of the score", _in_words(before, "separate piece")),
            ],
            [
                Panel(partition, "Regions", _of_partitions(count, len(regions))),
                Panel(heats[1], "Score fused with the regions", 'rule "adaptive"', (0.0, 1.0)),
                Panel(marks[1], "Objects of the fused score", _of_objects(objects)),
            ],
        ],
        text=18.0,
    )
    # The two lowest bits are not visible and take a third of the file.
    return Demonstration(score, fused, count, (before, after), objects, picture | np.uint8(3))


def top_share(values: Values, share: float) -> NDArray[np.bool_]:
    """The pixels strictly above the (1 - share) quantile: at most that share of them, none if all are equal.

    Args:
        values: (H, W), finite.
        share: In (0, 1).

    Returns:
        (H, W) boolean.
    """
    return np.asarray(values > np.quantile(values, 1 - share))


def finest_partition(regions: tuple[RegionMap, ...]) -> tuple[NDArray[Any], int]:
    """The labels (H, W) of the partition of an image with the most regions, and their number."""
    several = [each.labels[0].cpu().numpy() for each in regions]
    counts = [np.unique(labels[labels >= 0]).size for labels in several]
    first = int(np.argmax(counts))
    return several[first], int(counts[first])


def _pieces(mask: Values) -> int:
    return int(opencv().connectedComponents(mask.astype(np.uint8), connectivity=8)[0]) - 1


def _of_partitions(count: int, partitions: int) -> str:
    return f"{count}, class-agnostic" + (f", finest of {partitions} partitions" if partitions > 1 else "")


def _of_objects(objects: Objects) -> str:
    if not len(objects):
        return f"none at its top {TOP:.0%}"
    return (
        f"{_in_words(len(objects), 'object')} at its top {TOP:.0%}, the first scores {objects.scores[0]:.2f}"
    )


def _in_words(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"

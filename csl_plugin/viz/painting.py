"""A layer as colored pixels."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from csl_plugin.arrays import resize_nearest
from csl_plugin.viz.colors import (
    Picture,
    Values,
    class_colors,
    draw_edges,
    heat_colors,
    highlight,
    region_colors,
)
from csl_plugin.viz.layers import Labels, Layer, Mask, Scores
from csl_plugin.viz.scaling import resize

Range = tuple[float, float]


def heat_range(maps: Iterable[Values]) -> Range:
    """The values at the two ends of the heat colors that maps have in common.

    [0, 1] where the largest value is between 0.1 and 1, so that pictures of several images compare, else
    [0, largest]; where a value is negative, as of raw scores, from the smallest to the largest.
    """
    known = np.concatenate([np.ravel(values[np.isfinite(values)]) for values in maps])
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    if low < 0:
        return low, high
    return 0.0, 1.0 if high == 0 or 0.1 < high <= 1 else high


def common_ranges(layers: Iterable[object]) -> dict[int, Range]:
    """The range of each `Scores` among layers, by its place: those within [0, 1] have one in common."""
    maps = {place: layer.values for place, layer in enumerate(layers) if isinstance(layer, Scores)}
    ranges = {place: heat_range([values]) for place, values in maps.items()}
    unit = [place for place, (low, high) in ranges.items() if low >= 0 and high <= 1]
    if unit:
        together = heat_range([maps[place] for place in unit])
        ranges.update(dict.fromkeys(unit, together))
    return ranges


def resize_known(values: Values, size: tuple[int, int]) -> Values:
    """As `resize`, of values that may be not finite: such ones become nan and do not spread."""
    known = np.isfinite(values)
    if known.all():
        return resize(values, size)
    resized = resize(np.where(known, values, 0), size)
    return np.where(resize_nearest(known, size), resized, np.nan)


@np.errstate(all="ignore")  # of values that may be anything
def paint(layer: Layer, size: tuple[int, int], backdrop: Picture | None, heat: Range) -> Picture:
    """A layer by itself: heat colors, a mask in orange, labels and regions with white borders.

    Args:
        layer: (H, W).
        size: (h, w) of the picture.
        backdrop: (h, w, 3), the image: a mask is marked on it, and regions have its mean colors. Without it a
            mask is on light gray and regions have a color each.
        heat: The ends of the heat colors of scores.

    Returns:
        (h, w, 3) uint8 RGB.
    """
    if isinstance(layer, Scores):
        return heat_colors(resize_known(layer.values, size), *heat)
    if isinstance(layer, Mask):
        light = np.full((*size, 3), 200, np.uint8)
        share = resize(layer.values.astype(np.float32), size)
        return highlight(light if backdrop is None else backdrop, share)
    ids = resize_nearest(layer.values, size)
    if isinstance(layer, Labels):
        return class_colors(ids)
    painted = class_colors(ids) if backdrop is None else region_colors(backdrop, ids)
    return draw_edges(painted, ids)

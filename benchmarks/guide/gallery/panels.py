"""Panels that several pictures of the gallery have, and the quality of a score."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from csl_plugin import RegionMap
from csl_plugin.arrays import resize_nearest
from csl_plugin.metrics import PooledAnomaly
from csl_plugin.metrics.anomaly_values import AnomalyValues
from csl_plugin.viz import outline
from csl_plugin.viz.colors import (
    MASK,
    Picture,
    Values,
    class_colors,
    draw_edges,
    heat_colors,
    highlight,
    region_colors,
)
from csl_plugin.viz.scaling import fit, resize
from csl_plugin.viz.sheet import Panel
from csl_plugin.viz.text import text_width, write_text

_PLATE, _WHITE = (24, 24, 27), (255, 255, 255)
_NAME = 9.0  # height of capitals

Map = NDArray[np.float32]


class Easel:
    """Panels of one image, all of one size.

    Args:
        image: (H, W, 3) uint8 RGB.
        width: Of a panel in pixels; its height is at most three quarters of it.
    """

    def __init__(self, image: Picture, width: int) -> None:
        self.size = fit(image.shape[:2], (round(0.75 * width), width))
        self.photograph = resize(image, self.size)

    def picture(self, title: str, note: str = "", truth: Values | None = None) -> Panel:
        """The image, with an outline around what is sought."""
        if truth is None:
            return Panel(self.photograph, title, note)
        share = resize(truth.astype(np.float32), self.size)
        return Panel(outline(self.photograph, share > 0.5), title, note)

    def heat(self, title: str, note: str, values: Values, ends: tuple[float, float] = (0.0, 1.0)) -> Panel:
        """A score in heat colors."""
        small = resize(np.asarray(values, np.float32), self.size)
        return Panel(heat_colors(small, *ends), title, note, ends)

    def regions(self, title: str, note: str, regions: RegionMap | Values) -> Panel:
        """Regions in their mean colors; pixels of none are orange."""
        labels = regions.labels[0].numpy() if isinstance(regions, RegionMap) else regions
        ids = resize_nearest(labels, self.size)
        drawn = draw_edges(region_colors(self.photograph, ids), ids)
        drawn[ids < 0] = MASK
        return Panel(drawn, title, note)

    def mask(self, title: str, note: str, mask: Values) -> Panel:
        """A mask in orange on the faded image."""
        share = resize(np.asarray(mask, np.float32), self.size)
        return Panel(highlight(self.photograph, share), title, note)

    def classes(self, title: str, note: str, labels: Values, names: Sequence[str] = ()) -> Panel:
        """Classes in a color each; with names, on the largest part of each."""
        ids = resize_nearest(labels, self.size)
        drawn = class_colors(ids)
        free = np.ones(ids.shape, bool)
        for label, name in enumerate(names):
            _write_name(drawn, free, ids == label, name)
        return Panel(drawn, title, note)


def quality(score: Values, truth: Values) -> AnomalyValues:
    """AP, FPR95 and AUROC of a score; pixels that are more than half covered are positive."""
    metric = PooledAnomaly()
    metric.update(np.asarray(score, np.float32), (truth > 0.5).astype(np.uint8))
    return metric.compute()


def ap_of(score: Values, truth: Values) -> str:
    """The AP as the note of a panel."""
    return f"AP {100 * quality(score, truth).ap:.0f} %"


def counted(regions: RegionMap) -> int:
    """How many regions a map of one image has."""
    labels = regions.labels[0].numpy()
    return int(np.unique(labels[labels >= 0]).size)


def _write_name(picture: Picture, free: NDArray[np.bool_], inside: NDArray[np.bool_], name: str) -> None:
    """Write the name of a class where it is widest, if no other name is there."""
    if not inside.any():
        return
    depth = cv2.distanceTransform(np.pad(inside, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, column = (int(place) for place in np.unravel_index(int(np.argmax(depth)), depth.shape))
    width, height = text_width(name, _NAME) + 10, round(_NAME) + 10
    left = int(np.clip(column - width // 2, 2, picture.shape[1] - width - 2))
    top = int(np.clip(row - height // 2, 2, picture.shape[0] - height - 2))
    plate = np.s_[top : top + height, left : left + width]
    if not free[plate].all():
        return
    free[plate], picture[plate] = False, _PLATE
    write_text(picture, name, top + height - 5, left + 5, _NAME, _WHITE)

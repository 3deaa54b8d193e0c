"""Pictures of single frames: image with the truth, score, regions, fused score. They are for your eyes only.

The terms of the data sets forbid to publish frames and score maps, so they never go into the repository.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.effect.page.frame_changes import FrameChange
from benchmarks.effect.rows.anomaly import SHIPPED
from benchmarks.effect.states.measure import OpenedFrame
from csl_plugin import RegionMap
from csl_plugin.io import atomic_path
from csl_plugin.proposers import DEFAULT
from csl_plugin.viz.colors import MASK, Picture, draw_edges, heat_colors, region_colors
from csl_plugin.viz.scaling import fit, resize
from csl_plugin.viz.sheet import Panel, sheet

_BOX = (600, 520)
_SMALLEST_VIEW = 5  # a close view shows at least this part of the frame's sides

View = tuple[slice, slice]


def write_pictures(worst: list[FrameChange], folder: Path) -> list[Path]:
    """FOLDER/<number>-<key>.png of every frame, the worst first."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for number, change in enumerate(worst, start=1):
        path = folder / f"{number:02}-{change.key}.png"
        with atomic_path(path) as temporary:
            encoded = cv2.imencode(".png", draw(change)[..., ::-1])[1]
            temporary.write_bytes(encoded.tobytes())
        written.append(path)
    return written


def draw(change: FrameChange) -> Picture:
    """The whole frame in one row, and a close view of its largest anomaly in another."""
    (frame,) = (each for each in change.frames.frames if each.name == change.frame)
    opened = OpenedFrame(change.frames, frame)
    case = opened.cases(change.network)[change.score]
    fused = SHIPPED.method(case)
    partition = case.regions.of(DEFAULT)[0]
    assert isinstance(partition, RegionMap)  # noqa: S101
    labels: NDArray[np.int32] = partition.labels[0].numpy()
    ends = float(min(case.score.min(), fused.min())), float(max(case.score.max(), fused.max()))
    outlined = _outlined(case.regions.pixels, opened.label)
    painted = draw_edges(region_colors(case.regions.pixels, labels), labels)
    words = f"{change.frames.key} {change.frame}"
    views = ((slice(None), slice(None)), _close(opened.label == 1))
    rows = []
    for view in views:
        pictures = [outlined[view], painted[view]]
        maps = [heat_colors(values[view], *ends) for values in (case.score, fused)]
        rows.append(
            [
                Panel(_fitted(pictures[0]), "Image", words),
                Panel(_fitted(maps[0]), "Score", f"{change.network}, {change.score}", ends),
                Panel(_fitted(pictures[1]), "Regions", "first partition"),
                Panel(
                    _fitted(maps[1]),
                    "Fused",
                    f"AP {100 * change.before:.1f} to {100 * change.after:.1f}",
                    ends,
                ),
            ]
        )
    return sheet(rows)


def _fitted(picture: Picture) -> Picture:
    size: tuple[int, int] = picture.shape[0], picture.shape[1]
    return np.asarray(resize(picture, fit(size, _BOX)), np.uint8)


def _outlined(image: Picture, label: NDArray[np.uint8]) -> Picture:
    """The image with orange lines around the anomalies, and gray where pixels do not count."""
    drawn = np.array(image)
    drawn[label == 255] = drawn[label == 255] // 2 + 64
    anomaly = (label == 1).astype(np.uint8)
    width = max(3, round(max(label.shape) / 400))
    line = cv2.dilate(anomaly, np.ones((width, width), np.uint8)) - anomaly
    drawn[line > 0] = MASK
    return drawn


def _close(anomaly: NDArray[np.bool_]) -> View:
    """The surroundings of the largest anomaly."""
    count, _, boxes, _ = cv2.connectedComponentsWithStats(anomaly.astype(np.uint8), connectivity=8)
    if count < 2:
        return slice(None), slice(None)
    left, top, width, height, _ = boxes[1 + int(boxes[1:, cv2.CC_STAT_AREA].argmax())]
    share = max(1 / _SMALLEST_VIEW, 2 * width / anomaly.shape[1], 2 * height / anomaly.shape[0])
    sides = [min(side, round(share * side)) for side in anomaly.shape]
    middles = top + height // 2, left + width // 2
    starts = [
        int(np.clip(middle - side // 2, 0, whole - side))
        for middle, side, whole in zip(middles, sides, anomaly.shape, strict=True)
    ]
    rows, columns = (slice(start, start + side) for start, side in zip(starts, sides, strict=True))
    return rows, columns

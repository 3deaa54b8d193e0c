"""Pictures of single frames for the report: image, label, before and after, small and inline."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin._opencv import opencv
from csl_plugin.arrays import resize_nearest
from csl_plugin.datasets import Frame
from csl_plugin.errors import FileError
from csl_plugin.evaluation.frames.passes import FrameWork
from csl_plugin.evaluation.result import FrameChange
from csl_plugin.proposers.on_files import one_partition, propose_regions
from csl_plugin.viz.colors import class_colors, draw_edges, heat_colors, region_colors
from csl_plugin.viz.scaling import fit, resize

_BOX = (640, 640)
_WIDTH = 520
_NORMAL, _ANOMALY, _VOID = (58, 62, 70), (255, 176, 0), (150, 152, 158)


@dataclass(frozen=True)
class Picture:
    """A caption and a data URI."""

    caption: str
    uri: str
    width: int
    height: int


def frame_pictures(work: FrameWork, change: FrameChange) -> list[Picture]:
    """Image, label, base and fused of one frame, at most 520 pixels wide.

    Raises:
        CSLError: A file of the frame cannot be read any more.
    """
    frame = next(frame for frame in work.dataset.frames if frame.name == change.name)
    read = work.read(frame)
    if read.label is None:
        raise FileError(frame.name, "no label", "a frame that was measured", "Run again with --overwrite.")
    height, width = read.image.shape[:2]
    size = fit((height, width), (_BOX[0], min(_WIDTH, width)))
    anomaly = work.measures.task == "anomaly"
    label = resize_nearest(read.label, size)
    pictures = [
        _picture("image", resize(read.image, size), ".jpg"),
        _picture("label", _masked(label) if anomaly else _classes(label), ".png"),
    ]
    if work.source is None:
        found = one_partition(propose_regions(work.proposer, read.image, _stem(work, frame)))
        regions = found.labels[0].cpu().numpy()
        small, ids = resize(read.image, size), resize_nearest(regions, size)
        return [*pictures, _picture("regions", draw_edges(region_colors(small, ids), ids), ".jpg")]
    scores = work.source.scores(read.image, read.loaded)
    if anomaly:
        base = work.fusion.base_anomaly(scores, (height, width))
        maps = work.fusion.shown(base, work.outputs.read(frame))
        return pictures + _heats(maps, size)
    before = work.fusion.base_semantic(scores, (height, width), work.measures.num_classes)
    after = work.outputs.read(frame)
    # Where the label is void no prediction counts, so none is shown.
    pairs = (("base", before), ("+CSL", after))
    for caption, classes in pairs:
        shown = np.where(label == 255, 255, resize_nearest(classes, size))
        pictures.append(_picture(caption, _classes(shown), ".png"))
    return pictures


def _heats(maps: Sequence[NDArray[Any]], size: tuple[int, int]) -> list[Picture]:
    small = [resize(values.astype(np.float32), size) for values in maps]
    high = max(float(values.max()) for values in small)
    low = min(float(values.min()) for values in small)
    span = f"{low:.2g} to {high:.2g}"
    captions = (f"base, {span}", "+CSL, same colors")
    return [
        _picture(caption, heat_colors(values, low, high), ".jpg")
        for caption, values in zip(captions, small, strict=True)
    ]


def _masked(label: NDArray[np.uint8]) -> NDArray[np.uint8]:
    colors = np.full((*label.shape, 3), _VOID, np.uint8)
    colors[label == 0] = _NORMAL
    colors[label == 1] = _ANOMALY
    return colors


def _classes(ids: NDArray[Any]) -> NDArray[np.uint8]:
    return class_colors(np.where(ids == 255, -1, ids.astype(np.int64)))


def _stem(work: FrameWork, frame: Frame) -> str:
    return work.region_files[frame.name].stem if work.region_files else frame.name


def _picture(caption: str, pixels: NDArray[Any], kind: str) -> Picture:
    cv2 = opencv()
    quality = [cv2.IMWRITE_JPEG_QUALITY, 85] if kind == ".jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 9]
    encoded, data = cv2.imencode(kind, np.ascontiguousarray(pixels[..., ::-1]), quality)
    assert encoded  # noqa: S101
    mime = "image/jpeg" if kind == ".jpg" else "image/png"
    text = base64.b64encode(data.tobytes()).decode("ascii")
    return Picture(caption, f"data:{mime};base64,{text}", pixels.shape[1], pixels.shape[0])

"""Pictures of a frame for the report: image, label, before and after, small and inline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.arrays import resize_nearest
from csl_plugin.errors import FileError
from csl_plugin.evaluation.frames.passes import FusionPass
from csl_plugin.evaluation.report import InlinePicture
from csl_plugin.proposers.on_files import one_partition
from csl_plugin.viz.colors import class_colors, draw_edges, heat_colors, region_colors
from csl_plugin.viz.scaling import fit, resize

_BOX = (640, 640)
_WIDTH = 520
_NORMAL, _ANOMALY, _VOID = (58, 62, 70), (255, 176, 0), (150, 152, 158)


def frame_pictures(first: FusionPass, name: str) -> list[InlinePicture]:
    """Image, label, base and fused prediction of one frame, at most 520 pixels wide.

    Args:
        first: The finished first pass.
        name: The frame's name.

    Raises:
        CSLError: A file of the frame can no longer be read.
    """
    frame = next(frame for frame in first.dataset.frames if frame.name == name)
    inputs = first.read(frame)
    if inputs.label is None:
        raise FileError(frame.name, "no label", "a frame that was measured", "Start again with --overwrite.")
    size = fit(inputs.size, (_BOX[0], min(_WIDTH, inputs.size[1])))
    anomaly = first.protocols.task == "anomaly"
    label = resize_nearest(inputs.label, size)
    small = resize(inputs.image, size)
    pictures = [
        InlinePicture.encode("image", small, ".jpg"),
        InlinePicture.encode("label", _anomaly_colors(label) if anomaly else _class_colors(label), ".png"),
    ]
    if first.source is None:
        ids = resize_nearest(one_partition(first.regions(frame, inputs.image)).labels[0].cpu().numpy(), size)
        regions = draw_edges(region_colors(small, ids), ids)
        return [*pictures, InlinePicture.encode("regions", regions, ".jpg")]
    scores = first.source.scores(inputs.image, inputs.loaded)
    if anomaly:
        base = first.fusion.base_anomaly(scores, inputs.size)
        maps = first.fusion.on_one_scale(base, first.predictions.read(frame))
        return pictures + _heat_maps(maps, size)
    before = first.fusion.base_semantic(scores, inputs.size, first.protocols.num_classes)
    after = first.predictions.read(frame)
    for caption, classes in (("base", before), ("+CSL", after)):
        # Predictions on void pixels do not count, so they are not shown.
        shown = np.where(label == 255, 255, resize_nearest(classes, size))
        pictures.append(InlinePicture.encode(caption, _class_colors(shown), ".png"))
    return pictures


def _heat_maps(maps: Sequence[NDArray[Any]], size: tuple[int, int]) -> list[InlinePicture]:
    small = [resize(values.astype(np.float32), size) for values in maps]
    high = max(float(values.max()) for values in small)
    low = min(float(values.min()) for values in small)
    captions = (f"base, {low:.2g} to {high:.2g}", "+CSL, same colors")
    return [
        InlinePicture.encode(caption, heat_colors(values, low, high), ".jpg")
        for caption, values in zip(captions, small, strict=True)
    ]


def _anomaly_colors(label: NDArray[np.uint8]) -> NDArray[np.uint8]:
    colors = np.full((*label.shape, 3), _VOID, np.uint8)
    colors[label == 0] = _NORMAL
    colors[label == 1] = _ANOMALY
    return colors


def _class_colors(ids: NDArray[Any]) -> NDArray[np.uint8]:
    return class_colors(np.where(ids == 255, -1, ids.astype(np.int64)))

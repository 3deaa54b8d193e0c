"""The effect of fusion on one image, in four panels."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from csl_plugin.arrays import as_array, describe, resize_nearest
from csl_plugin.errors import DTypeError, ShapeError
from csl_plugin.viz.colors import (
    Picture,
    Values,
    class_colors,
    draw_edges,
    heat_colors,
    region_colors,
)
from csl_plugin.viz.painting import heat_range, resize_known
from csl_plugin.viz.scaling import fit, resize
from csl_plugin.viz.sheet import Panel, sheet

_BOX = (600, 440)


@np.errstate(all="ignore")  # of values that may be anything
def fusion_picture(image: Picture, labels: Values, score: Values, fused: Values) -> Picture:
    """Image, regions, score and fused score side by side.

    Both scores share one color scale, and the color bar shows its ends. The scale is [0, 1] where the largest
    value of the two is between 0.1 and 1, so that pictures of several images compare; else [0, largest].
    Integers are divided by the largest value of their dtype. `rule="product"` squares the scale and looks
    darker than the score; the other rules keep it. With several classes the two panels show the arg max, one
    color per class. Gray marks scores that are not finite.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) integer region ids, negative where a pixel belongs to no region.
        score: (H, W), (1, H, W) or (C, H, W), any real dtype.
        fused: As `score`.

    Returns:
        (h, w, 3) uint8 RGB, about 1900 pixels wide for a landscape image.

    Raises:
        DTypeError: The image is not uint8, or the labels are not integers.
        ShapeError: The arguments are not of one size.

    Example:
        >>> import numpy as np
        >>> image, labels = np.zeros((6, 8, 3), np.uint8), np.zeros((6, 8), int)
        >>> fusion_picture(image, labels, np.zeros((6, 8)), np.zeros((6, 8))).shape[2]
        3
    """
    given = {"image": image, "labels": labels, "score": score, "fused": fused}
    image, labels, score, fused = (
        as_array(name, value) if isinstance(value, Tensor) else np.asarray(value)
        for name, value in given.items()
    )
    _check(image, labels, score, fused)
    height, width = image.shape[:2]
    size = fit((height, width), _BOX)
    small, ids = resize(image, size), resize_nearest(labels, size)
    regions = draw_edges(region_colors(small, ids), ids)
    count = np.unique(labels[labels >= 0]).size
    first = [
        Panel(small, "Image", f"{width} x {height} pixels"),
        Panel(regions, "Regions", f"{count} region{'s' * (count != 1)}"),
    ]
    if score.ndim == 2 or len(score) == 1:
        last = _heat_panels(score.reshape(height, width), fused.reshape(height, width), size)
    else:
        last = _class_panels(score, fused, size)
    return sheet([first + last])


def _heat_panels(score: Values, fused: Values, size: tuple[int, int]) -> list[Panel]:
    maps = [_on_unit_scale(values) for values in (score, fused)]
    ends = heat_range(maps)
    drawn = [heat_colors(resize_known(values, size), *ends) for values in maps]
    return [
        Panel(drawn[0], "Score", "per pixel", ends),
        Panel(drawn[1], "Fused score", "with the regions", ends),
    ]


def _class_panels(score: Values, fused: Values, size: tuple[int, int]) -> list[Panel]:
    before, after = (_arg_max(values) for values in (score, fused))
    changed = float(np.mean(before != after))
    drawn = [class_colors(resize_nearest(labels, size)) for labels in (before, after)]
    return [
        Panel(drawn[0], "Arg max of the score", f"{len(score)} classes"),
        Panel(drawn[1], "Arg max, fused", f"{changed:.1%} of pixels changed"),
    ]


def _on_unit_scale(values: Values) -> Values:
    if np.issubdtype(values.dtype, np.integer):
        return values / np.iinfo(values.dtype).max
    return values.astype(np.float64)


def _arg_max(values: Values) -> Values:
    known = np.isfinite(values.max(axis=0))
    return np.asarray(np.where(known, values.argmax(axis=0), -1))


def _check(image: Values, labels: Values, score: Values, fused: Values) -> None:
    if image.dtype != np.uint8:
        raise DTypeError(
            "image", describe(image), "RGB of uint8", "Convert it with (image * 255).round().astype('uint8')."
        )
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ShapeError("image", f"shape {image.shape}", "(H, W, 3)", "Put the color axis last.")
    if labels.dtype.kind not in "iu":
        raise DTypeError(
            "labels", describe(labels), "integer region ids", "Convert them with .astype('int32')."
        )
    for name, values in (("score", score), ("fused", fused)):
        if values.dtype.kind not in "fiub":
            raise DTypeError(name, describe(values), "real numbers", "Convert it with .astype('float32').")
    size = image.shape[:2]
    if labels.shape != size:
        raise ShapeError("labels", f"shape {labels.shape}", f"{size}, the size of the image", "Resize them.")
    for name, values in (("score", score), ("fused", fused)):
        if values.ndim not in (2, 3) or values.shape[-2:] != size or 0 in values.shape:
            raise ShapeError(
                name, f"shape {values.shape}", f"(H, W) or (C, H, W) with (H, W) = {size}", "Resize it."
            )
    if score.shape != fused.shape:
        raise ShapeError(
            "fused", f"shape {fused.shape}", f"{score.shape}, the shape of score", "Pass fuse(score, ...)."
        )

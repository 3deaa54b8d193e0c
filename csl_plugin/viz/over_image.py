"""One layer over an image: colors that let the image through, and the outline of a mask."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin._opencv import opencv
from csl_plugin._options import as_float
from csl_plugin.arrays import shown
from csl_plugin.errors import DTypeError, OptionError, ScoreRangeError, ShapeError
from csl_plugin.viz.colors import EDGE, MASK, TRUTH, Picture, Values, class_colors, edges, heat_colors
from csl_plugin.viz.layers import Layer, Mask, Regions, Scores, read_layer, read_picture
from csl_plugin.viz.painting import heat_range

_THIN = 640  # the longer side up to which lines are one step thick
_SHADE = (24, 24, 27)


def overlay(image: Any, layer: Any, *, alpha: float = 0.5) -> Picture:
    """The image with a layer over it: scores as heat colors, a mask in orange, regions in a color each.

    Heat colors go from 0 to 1 where the largest score is between 0.1 and 1, so that several overlays compare;
    else from 0, or the smallest negative score, to the largest. Scores that are not finite, pixels outside a
    mask and ids below 0 show the image as it is. Regions of a `RegionMap` have white borders.

    Args:
        image: A path, a PIL image, or a tensor or array (H, W, 3), (3, H, W), (1, 3, H, W) or, if gray,
            (H, W): uint8 RGB, or floating point in [0, 1].
        layer: Of the same size, a tensor, an array or a PIL image: floating-point scores (H, W), a boolean
            mask (H, W), integer ids (H, W), or a `RegionMap` of one image. Axes of length 1 may stand before.
        alpha: Share of the layer in the colors, from 0 (the image) to 1 (the layer).

    Returns:
        (H, W, 3) uint8 RGB, an array of its own.

    Raises:
        DTypeError: An argument is none of these types.
        ShapeError: The layer has another size than the image, or several classes or images.
        ScoreRangeError: The image is floating point outside [0, 1].
        OptionError: `alpha` is outside [0, 1].
        FileError: The path is no image.

    Example:
        >>> import numpy as np
        >>> from csl_plugin.viz import overlay
        >>> image = np.full((4, 6, 3), 200, np.uint8)
        >>> mask = np.zeros((4, 6), bool)
        >>> mask[1, 2] = True
        >>> drawn = overlay(image, mask, alpha=1.0)
        >>> drawn[1, 2].tolist(), drawn[0, 0].tolist()
        ([255, 106, 0], [200, 200, 200])
    """
    picture, read = read_picture("image", image), read_layer("layer", layer)
    _check_size("layer", read.values, picture)
    share = as_float(alpha)
    if not 0 <= share <= 1:
        raise OptionError("alpha", shown(alpha), "a number in [0, 1]", "0.5 shows both equally.")
    colors, there = _colored(read)
    weight = (share * there)[..., None]
    blended = np.rint((1 - weight) * picture + weight * colors).astype(np.uint8)
    if isinstance(read, Regions):
        blended[edges(read.values, _thickness(picture))] = EDGE
    return blended


def outline(image: Any, mask: Any) -> Picture:
    """The image with a line around a mask, in cyan, just outside of it.

    Args:
        image: As for `overlay`.
        mask: Of the same size: boolean, or integers of 0 and one other value, such as labels of 0 and 255.

    Returns:
        (H, W, 3) uint8 RGB, an array of its own.

    Raises:
        DTypeError: An argument has another type.
        ShapeError: The mask has another size than the image.
        ScoreRangeError: The mask has other values, or the image is floating point outside [0, 1].
        FileError: The path is no image.

    Example:
        >>> import numpy as np
        >>> from csl_plugin.viz import outline
        >>> mask = np.zeros((9, 9), np.uint8)
        >>> mask[3:6, 3:6] = 255
        >>> drawn = outline(np.zeros((9, 9, 3), np.uint8), mask)
        >>> drawn[4, 4].tolist(), drawn[4, 2].tolist()
        ([0, 0, 0], [86, 220, 255])
    """
    picture, inside = read_picture("image", image), _read_mask(mask)
    _check_size("mask", inside, picture)
    width = 2 * _thickness(picture)
    line = _grown(inside, width) & ~inside
    shade = _grown(inside, width + (width + 1) // 2) & ~inside & ~line  # keeps cyan visible on white
    drawn = np.array(picture)
    drawn[shade] = (drawn[shade].astype(np.uint16) + _SHADE) // 2
    drawn[line] = TRUTH
    return drawn


def _colored(layer: Layer) -> tuple[Picture, NDArray[np.bool_]]:
    """The layer's colors, and where there are any."""
    if isinstance(layer, Scores):
        return heat_colors(layer.values, *heat_range([layer.values])), np.isfinite(layer.values)
    if isinstance(layer, Mask):
        return np.full((*layer.values.shape, 3), MASK, np.uint8), layer.values
    return class_colors(layer.values), np.asarray(layer.values >= 0)


def _read_mask(mask: Any) -> NDArray[np.bool_]:
    layer = read_layer("mask", mask)
    if isinstance(layer, Mask):
        return layer.values
    if isinstance(layer, (Scores, Regions)):
        got = "scores" if isinstance(layer, Scores) else "regions"
        raise DTypeError("mask", got, "a boolean mask", "Compare them, as in score > 0.5 or labels == 3.")
    found = np.unique(layer.values)
    if found.size > 2 or (found.size == 2 and 0 not in found) or found.min() < 0:
        got = "the values " + ", ".join(map(str, found[:5].tolist())) + ", ..." * (found.size > 5)
        raise ScoreRangeError("mask", got, "0 and one other value", "Compare it, as in labels == 1.")
    return np.asarray(layer.values != 0)


def _check_size(argument: str, values: Values, picture: Picture) -> None:
    if values.shape != picture.shape[:2]:
        size = picture.shape[:2]
        raise ShapeError(argument, f"size {values.shape}", f"{size}, the size of the image", "Resize it.")


def _thickness(picture: Picture) -> int:
    height, width, _ = picture.shape
    return ceil(max(height, width) / _THIN)


def _grown(inside: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    cv2 = opencv()
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    return np.asarray(cv2.dilate(inside.astype(np.uint8), disc) > 0)

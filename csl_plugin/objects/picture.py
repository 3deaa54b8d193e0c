"""A picture of the objects of an image, with their boxes and scores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import SupportsFloat, TypeAlias

import numpy as np

from csl_plugin._opencv import opencv
from csl_plugin.arrays import as_array, describe
from csl_plugin.errors import DTypeError, ShapeError
from csl_plugin.objects.given_threshold import checked_threshold
from csl_plugin.objects.instances import Objects, check_objects
from csl_plugin.objects.polygons import Polygon, polygons_of
from csl_plugin.viz.colors import MASK, Picture, Values
from csl_plugin.viz.scaling import fit, resize
from csl_plugin.viz.sheet import Panel, sheet
from csl_plugin.viz.text import text_width, write_text

_BOX = (940, 1440)
_DARK, _BRIGHT, _MOST_GAIN = 100, 200, 8.0
_TEXT, _PAD = 10.0, 5
_MOST_LABELS = 60
_INK, _HALO = (24, 24, 27), (255, 255, 255)
_SHIFT = 4  # bits of a fraction of a pixel

_Rectangle: TypeAlias = tuple[int, int, int, int]


def objects_picture(image: Picture, objects: Objects, threshold: SupportsFloat | None = None) -> Picture:
    """The image with its objects: in color on the faded image, outlined, each in its box with its score.

    A score has a plate at its box, inside the image, where no other is and as little of an object as can be.
    Where there is no room for all, and beyond 60, the objects with the highest scores have theirs, and the
    caption says how many. A dark image is shown brighter, and the caption says by how much.

    Args:
        image: (H, W, 3) uint8 RGB, a numpy array or a torch tensor.
        objects: Of this image.
        threshold: That they were found at, for the caption: as `find_objects` takes it.

    Returns:
        (h, w, 3) uint8 RGB, about 1500 pixels wide for a landscape image.

    Raises:
        DTypeError: The image is not uint8.
        ShapeError: It is not (H, W, 3), or of another size than the objects' masks.
        OptionError: The threshold is no finite number.

    Example:
        >>> found = Objects.from_masks(np.array([[[0, 1, 1], [0, 1, 0]]], bool), np.array([0.9]))
        >>> objects_picture(np.zeros((2, 3, 3), np.uint8), found, 0.5).shape[2]
        3
    """
    check_objects(objects)
    level = None if threshold is None else checked_threshold(threshold)
    image = as_array("image", image)
    _check(image, objects)
    size = fit(objects.size, _BOX)
    canvas, gain = outlined_objects(image, objects, size)
    scale = size[0] / objects.size[0], size[1] / objects.size[1]
    inside = _inside(objects, size)
    boxes = [_scaled(box, scale) for box in objects.boxes.tolist()]
    for box in reversed(boxes):
        _draw_box(canvas, box)
    labeled = _draw_labels(canvas, boxes, _in_words(objects.scores), inside)
    number = f"{len(objects)} object{'s' * (len(objects) != 1)}" if len(objects) else "No object"
    facts = [f"{objects.size[1]} x {objects.size[0]} pixels"]
    if level is not None:
        facts.append(f"threshold {level:.4g}")
    if gain > 1:
        facts.append(f"shown {gain:.1f} times as bright")
    if labeled < len(objects):
        facts.append(f"scores of {labeled} of them")
    return sheet([[Panel(canvas, number, ", ".join(facts))]])


def outlined_objects(image: Picture, objects: Objects, size: tuple[int, int]) -> tuple[Picture, float]:
    """The image at another size, faded, with its objects in color and outlined.

    Args:
        image: (H, W, 3) uint8 RGB.
        objects: Of this image.
        size: (h, w).

    Returns:
        (h, w, 3) uint8 RGB, and by what a dark image was multiplied to be seen, else 1.
    """
    scale = size[0] / objects.size[0], size[1] / objects.size[1]
    shown, gain = _brightened(resize(image, size))
    canvas = _faded(shown, _inside(objects, size))
    for parts in reversed(polygons_of(objects)):
        _draw_outline(canvas, parts, scale)
    return canvas, gain


def _inside(objects: Objects, size: tuple[int, int]) -> Values:
    """How much of each pixel of a picture is in an object, (h, w) float32 in [0, 1]."""
    return resize((objects.label_map() > 0).astype(np.float32), size)


def _brightened(image: Picture) -> tuple[Picture, float]:
    """A dark image so that what is in it can be seen, and by what it was multiplied."""
    bright = float(np.percentile(image, 99))
    if bright >= _DARK:
        return image, 1.0
    gain = min(_BRIGHT / max(bright, 1.0), _MOST_GAIN)
    return np.asarray(np.minimum(np.rint(image * gain), 255), np.uint8), gain


def _faded(image: Picture, inside: Values) -> Picture:
    """The image: half gray and lighter where no object is, with a touch of orange where one is."""
    gray = opencv().cvtColor(image, opencv().COLOR_RGB2GRAY).astype(np.float32)[..., None]
    faded = 0.6 * (0.55 * gray + 0.45 * image) + 0.4 * 255
    tinted = 0.82 * image + 0.18 * np.array(MASK, np.float32)
    share = inside[..., None]
    return np.asarray(np.rint(share * tinted + (1 - share) * faded), np.uint8)


def _draw_outline(canvas: Picture, parts: list[Polygon], scale: tuple[float, float]) -> None:
    cv2 = opencv()
    factor = np.array([scale[1], scale[0]])
    loops = [
        np.rint((loop * factor - 0.5) * 2**_SHIFT).astype(np.int32)  # OpenCV counts from pixels' centers
        for part in parts
        for loop in (part.outer, *part.holes)
    ]
    for color, thickness in ((_HALO, 4), (MASK, 2)):
        cv2.polylines(canvas, loops, True, color, thickness, cv2.LINE_AA, _SHIFT)


def _draw_box(canvas: Picture, box: _Rectangle) -> None:
    left, top, right, bottom = box
    opencv().rectangle(canvas, (left, top), (right, bottom), _INK, 1)


def _draw_labels(canvas: Picture, boxes: list[_Rectangle], words: list[str], inside: Values) -> int:
    """Draw a score at each box where there is room, and return how many were drawn.

    Args:
        canvas: In place.
        boxes: Of the objects.
        words: For each.
        inside: (h, w), above 0 where an object is: as little of them is covered as can be.
    """
    height, width = canvas.shape[:2]
    free = np.ones((height, width), bool)
    drawn = 0
    for box, word in zip(boxes[:_MOST_LABELS], words, strict=False):
        across, up = text_width(word, _TEXT) + 2 * _PAD, round(_TEXT) + 2 * _PAD
        plates = [
            np.s_[top : top + up, left : left + across]
            for left, top in _places(box, across, up)
            if left >= 0 and top >= 0 and left + across <= width and top + up <= height
        ]
        plates = [plate for plate in plates if free[plate].all()]
        if plates:
            plate = min(plates, key=lambda each: float(inside[each].sum()))
            free[plate] = False
            canvas[plate] = _INK
            rows, columns = plate
            write_text(canvas, word, rows.stop - _PAD, columns.start + _PAD, _TEXT, _HALO)
            drawn += 1
    return drawn


def _places(box: _Rectangle, across: int, up: int) -> Iterator[tuple[int, int]]:
    """Where a plate may be: above the box, below, beside, and inside of it."""
    left, top, right, bottom = box
    for row in (top - up, bottom + 1):
        yield left, row
        yield right + 1 - across, row
    for column in (right + 1, left - across):
        yield column, top
        yield column, bottom + 1 - up
    yield left, top
    yield right + 1 - across, bottom + 1 - up


def _scaled(box: list[int], scale: tuple[float, float]) -> _Rectangle:
    """The first and the last column and row of a box that are drawn."""
    left, top, right, bottom = box
    x, y = (round(left * scale[1]), round(top * scale[0]))
    return x, y, max(x, round(right * scale[1]) - 1), max(y, round(bottom * scale[0]) - 1)


def _in_words(scores: Values) -> list[str]:
    """Two digits after the point where the scores are of the order of one."""
    usual = len(scores) and 0.1 <= np.abs(scores).max() < 100
    return [f"{score:.2f}" if usual else f"{score:.3g}" for score in scores.tolist()]


def _check(image: Picture, objects: Objects) -> None:
    if image.dtype != np.uint8:
        hint = "Convert it with (image * 255).round().astype('uint8')."
        raise DTypeError("image", describe(image), "RGB of uint8", hint)
    if image.ndim != 3 or image.shape[2] != 3:
        raise ShapeError("image", f"shape {image.shape}", "(H, W, 3)", "Put the color axis last.")
    if image.shape[:2] != objects.size:
        got, hint = f"size {image.shape[:2]}", "Pass the image that the objects were found in."
        raise ShapeError("image", got, f"{objects.size}, the size of the objects' masks", hint)

"""Smooth text in OpenCV's own font."""

from __future__ import annotations

import math

import numpy as np

from csl_plugin._opencv import opencv
from csl_plugin.viz.colors import Picture

_CAP_HEIGHT = 21.0  # of FONT_HERSHEY_SIMPLEX at scale 1
# OpenCV draws letters at whole pixels. Drawn four times as large and averaged, they are smooth.
_ENLARGED = 4


def text_width(text: str, cap_height: float) -> int:
    """Width in pixels of a line of ASCII text whose capitals are `cap_height` pixels high."""
    if not text:
        return 0
    cv2 = opencv()
    font = cv2.FONT_HERSHEY_SIMPLEX
    width: int = cv2.getTextSize(text, font, _scale(cap_height), _stroke(cap_height))[0][0]
    return math.ceil(width / _ENLARGED)


def write_text(
    canvas: Picture, text: str, baseline: int, left: int, cap_height: float, ink: tuple[int, int, int]
) -> None:
    """Write a line of ASCII text onto the canvas, in place; text outside the canvas is cut off.

    Args:
        canvas: (h, w, 3) uint8 RGB.
        text: The line.
        baseline: The row of the baseline.
        left: The first column of the text.
        cap_height: Height of the capitals in pixels.
        ink: RGB.
    """
    if not text:
        return
    cv2 = opencv()
    pad = round(cap_height)
    height, width = 3 * pad, text_width(text, cap_height) + 2 * pad
    plate = np.zeros((height * _ENLARGED, width * _ENLARGED), dtype=np.uint8)
    origin = (pad * _ENLARGED, 2 * pad * _ENLARGED)
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(plate, text, origin, font, _scale(cap_height), 255, _stroke(cap_height), cv2.LINE_AA)
    cover = np.asarray(cv2.resize(plate, (width, height), interpolation=cv2.INTER_AREA), dtype=np.float32)
    top, start = baseline - 2 * pad, left - pad
    rows = slice(max(top, 0), min(top + height, canvas.shape[0]))
    columns = slice(max(start, 0), min(start + width, canvas.shape[1]))
    share = (
        cover[rows.start - top : rows.stop - top, columns.start - start : columns.stop - start, None] / 255
    )
    below = canvas[rows, columns].astype(np.float32)
    canvas[rows, columns] = np.rint(below + share * (np.array(ink, dtype=np.float32) - below)).astype(
        np.uint8
    )


def _scale(cap_height: float) -> float:
    return cap_height / _CAP_HEIGHT * _ENLARGED


def _stroke(cap_height: float) -> int:
    return max(1, round(cap_height / 8 * _ENLARGED))

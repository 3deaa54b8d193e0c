"""Panels with captions in a grid on a white sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from csl_plugin.viz.colors import Picture, heat_colors
from csl_plugin.viz.text import text_width, write_text

_BLACK = (24, 24, 27)
_GRAY = (96, 96, 104)


@dataclass(frozen=True)
class Panel:
    """One picture of a sheet with its caption.

    Attributes:
        picture: (h, w, 3) uint8 RGB, drawn without scaling.
        title: The first line of the caption, ASCII.
        note: The second line, smaller and gray, ASCII; empty for none.
        bar: The values at the two ends of the heat colors. Draws a color bar at the right end of the second
            line.
    """

    picture: Picture
    title: str
    note: str = ""
    bar: tuple[float, float] | None = None


def sheet(rows: Sequence[Sequence[Panel]], *, text: float = 15.0) -> Picture:
    """Panels in rows on white, with aligned columns and the same margin on all sides.

    A column is as wide as its widest picture or caption, so captions are never cut off.

    Args:
        rows: Rows of panels, of any lengths.
        text: Height of the titles' capitals in pixels; margins and other sizes are multiples of it.

    Returns:
        (h, w, 3) uint8 RGB.
    """
    gap, margin, caption = round(1.6 * text), round(1.9 * text), round(4.4 * text)
    columns = range(max(len(row) for row in rows))
    widths = [max(_width(row[column], text) for row in rows if column < len(row)) for column in columns]
    heights = [caption + max(panel.picture.shape[0] for panel in row) for row in rows]
    height = 2 * margin + sum(heights) + gap * (len(rows) - 1)
    width = 2 * margin + sum(widths) + gap * (len(widths) - 1)
    canvas = np.full((height, width, 3), 255, dtype=np.uint8)
    top = margin
    for row, row_height in zip(rows, heights, strict=True):
        left = margin
        for panel, column_width in zip(row, widths, strict=False):
            _place(canvas, panel, top, left, caption, text)
            left += column_width + gap
        top += row_height + gap
    return canvas


def _place(canvas: Picture, panel: Panel, top: int, left: int, caption: int, text: float) -> None:
    height, width = panel.picture.shape[:2]
    canvas[top + caption : top + caption + height, left : left + width] = panel.picture
    write_text(canvas, panel.title, top + round(1.3 * text), left, text, _BLACK)
    baseline = top + round(3.25 * text)
    write_text(canvas, panel.note, baseline, left, _note_height(text), _GRAY)
    if panel.bar is not None:
        _draw_bar(canvas, panel.bar, baseline, left + _width(panel, text), text)


def _draw_bar(canvas: Picture, ends: tuple[float, float], baseline: int, right: int, text: float) -> None:
    size = _note_height(text)
    length, thickness, space = round(6 * text), round(size), round(0.5 * text)
    low, high = _bar_words(ends)
    words_left = right - text_width(high, size)
    bar_right = words_left - space
    bar_left = bar_right - length
    write_text(canvas, high, baseline, words_left, size, _GRAY)
    ramp = np.linspace(0.0, 1.0, length)[None].repeat(thickness, axis=0)
    canvas[baseline - thickness : baseline, bar_left:bar_right] = heat_colors(ramp, 0.0, 1.0)
    write_text(canvas, low, baseline, bar_left - space - text_width(low, size), size, _GRAY)


def _width(panel: Panel, text: float) -> int:
    size = _note_height(text)
    second = text_width(panel.note, size)
    if panel.bar is not None:
        second += sum(text_width(word, size) for word in _bar_words(panel.bar)) + round(8 * text)
    return max(int(panel.picture.shape[1]), text_width(panel.title, text), second)


def _bar_words(ends: tuple[float, float]) -> tuple[str, str]:
    return f"{ends[0]:.3g}", f"{ends[1]:.3g}"


def _note_height(text: float) -> float:
    return 0.8 * text

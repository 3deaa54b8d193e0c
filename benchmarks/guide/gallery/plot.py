"""Axes, lines and marks on a panel, in the type of the sheets."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from csl_plugin.viz.colors import Picture
from csl_plugin.viz.line_plot import Axis
from csl_plugin.viz.text import text_width, write_text

_INK, _GRID, _BLACK = (96, 96, 104), (228, 228, 231), (24, 24, 27)
_TEXT = 10.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 14, 34, 50
_LARGER = 4  # marks are drawn so much larger and averaged: they are smooth

Color = tuple[int, int, int]
Points = Sequence[tuple[float, float]] | NDArray[np.float64]


class Plot:
    """A plot that is drawn onto.

    Args:
        size: (h, w) in pixels.
        across: The horizontal axis.
        up: The vertical axis.
    """

    def __init__(self, size: tuple[int, int], across: Axis, up: Axis) -> None:
        self._size, self._across, self._up = size, across, up
        self._right, self._bottom = size[1] - _RIGHT, size[0] - _BOTTOM
        self._large: Picture = np.full((size[0] * _LARGER, size[1] * _LARGER, 3), 255, np.uint8)
        self._names: list[tuple[str, Color]] = []
        for value in up.ticks():
            self.line([(across.low, value), (across.high, value)], _GRID, 1)

    def line(self, points: Points, color: Color, width: float = 2) -> None:
        """A line through points."""
        cv2.polylines(self._large, [self._fixed(points)], False, color, round(width * _LARGER), cv2.LINE_AA)

    def area(self, points: Points, color: Color) -> None:
        """The area between a line and the horizontal axis, half transparent."""
        low = self._up.low
        corners = [(points[0][0], low), *points, (points[-1][0], low)]
        drawn = self._large.copy()
        cv2.fillPoly(drawn, [self._fixed(corners)], color, cv2.LINE_AA)
        self._large = np.asarray(cv2.addWeighted(drawn, 0.55, self._large, 0.45, 0), np.uint8)

    def dots(self, points: Points, color: Color, radius: float) -> None:
        """A dot at each point."""
        for x, y in self._fixed(points).tolist():
            cv2.circle(self._large, (x, y), round(radius * _LARGER), color, -1)

    def crosses(self, points: Points, radii: Sequence[float], color: Color) -> None:
        """An x of its own size at each point, with a white rim."""
        for (x, y), radius in zip(self._fixed(points).tolist(), radii, strict=True):
            reach = round(radius * _LARGER)
            for ink, width in (((255, 255, 255), 5), (color, 2)):
                for side in (-reach, reach):
                    ends = (x - reach, y - side), (x + reach, y + side)
                    cv2.line(self._large, *ends, ink, width * _LARGER, cv2.LINE_AA)

    def name(self, word: str, color: Color) -> None:
        """The next name of the legend, above the plot."""
        self._names.append((word, color))

    def picture(self) -> Picture:
        """What was drawn, with its axes, (h, w, 3) uint8 RGB."""
        height, width = self._size
        drawn = np.asarray(cv2.resize(self._large, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        cv2.line(drawn, (_LEFT, self._bottom), (self._right, self._bottom), _INK, 1)
        for value in self._up.ticks():
            word, (_, row) = f"{value:.3g}", self._place(self._across.low, value)
            write_text(drawn, word, row + 5, _LEFT - 8 - text_width(word, _TEXT), _TEXT, _INK)
        for value in self._across.ticks():
            word, (column, _) = f"{value:.3g}", self._place(value, self._up.low)
            cv2.line(drawn, (column, self._bottom), (column, self._bottom + 5), _INK, 1)
            write_text(drawn, word, self._bottom + 21, column - text_width(word, _TEXT) // 2, _TEXT, _INK)
        middle = (_LEFT + self._right - text_width(self._across.label, _TEXT)) // 2
        write_text(drawn, self._across.label, height - 8, middle, _TEXT, _INK)
        write_text(drawn, self._up.label, 12, 0, _TEXT, _INK)
        left = _LEFT
        for word, color in self._names:
            drawn[3:14, left : left + 11] = color
            write_text(drawn, word, 13, left + 18, _TEXT, _BLACK)
            left += 18 + text_width(word, _TEXT) + 20
        return drawn

    def _place(self, x: float, y: float) -> tuple[int, int]:
        ((column, row),) = self._places([(x, y)])
        return round(column), round(row)

    def _places(self, points: Points) -> NDArray[np.float64]:
        values = np.asarray(points, np.float64).reshape(-1, 2)
        x = (values[:, 0] - self._across.low) / (self._across.high - self._across.low)
        y = (values[:, 1] - self._up.low) / (self._up.high - self._up.low)
        return np.stack([_LEFT + x * (self._right - _LEFT), self._bottom - y * (self._bottom - _TOP)], axis=1)

    def _fixed(self, points: Points) -> NDArray[np.int32]:
        return np.rint(self._places(points) * _LARGER).astype(np.int32)

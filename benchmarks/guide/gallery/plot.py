"""Axes, lines and marks on a panel, in the type of the sheets."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from csl_plugin.viz.colors import Picture
from csl_plugin.viz.line_plot import Axis
from csl_plugin.viz.text import text_width, write_text

_INK, _GRID = (96, 96, 104), (228, 228, 231)
_TEXT = 10.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 14, 12, 50
_SHIFT = 4  # bits of a fraction of a pixel

Color = tuple[int, int, int]


class Plot:
    """A plot that is drawn onto: `picture` is it.

    Args:
        size: (h, w) in pixels.
        across: The horizontal axis.
        up: The vertical axis.
    """

    def __init__(self, size: tuple[int, int], across: Axis, up: Axis) -> None:
        self.picture: Picture = np.full((*size, 3), 255, np.uint8)
        self._across, self._up = across, up
        self._right, self._bottom = size[1] - _RIGHT, size[0] - _BOTTOM
        for value in up.ticks():
            row = round(self._places([(across.low, value)])[0, 1])
            cv2.line(self.picture, (_LEFT, row), (self._right, row), _GRID, 1)
            word = f"{value:.3g}"
            write_text(self.picture, word, row + 5, _LEFT - 8 - text_width(word, _TEXT), _TEXT, _INK)
        for value in across.ticks():
            column = round(self._places([(value, up.low)])[0, 0])
            cv2.line(self.picture, (column, self._bottom), (column, self._bottom + 5), _INK, 1)
            word = f"{value:.3g}"
            left = column - text_width(word, _TEXT) // 2
            write_text(self.picture, word, self._bottom + 21, left, _TEXT, _INK)
        cv2.line(self.picture, (_LEFT, self._bottom), (self._right, self._bottom), _INK, 1)
        middle = (_LEFT + self._right - text_width(across.label, _TEXT)) // 2
        write_text(self.picture, across.label, size[0] - 8, middle, _TEXT, _INK)

    def line(self, points: Sequence[tuple[float, float]], color: Color, width: int = 2) -> None:
        """A line through points."""
        cv2.polylines(self.picture, [self._fixed(points)], False, color, width, cv2.LINE_AA, _SHIFT)

    def area(self, points: Sequence[tuple[float, float]], color: Color) -> None:
        """The area between a line and the horizontal axis, half transparent."""
        low = self._up.low
        corners = [(points[0][0], low), *points, (points[-1][0], low)]
        drawn = self.picture.copy()
        cv2.fillPoly(drawn, [self._fixed(corners)], color, cv2.LINE_AA, _SHIFT)
        self.picture[:] = cv2.addWeighted(drawn, 0.55, self.picture, 0.45, 0)

    def dots(self, points: NDArray[np.float64], color: Color, radius: float = 1.5) -> None:
        """A dot at each point."""
        for x, y in self._fixed(points):
            cv2.circle(
                self.picture, (int(x), int(y)), round(radius * 2**_SHIFT), color, -1, cv2.LINE_AA, _SHIFT
            )

    def crosses(self, points: NDArray[np.float64], radii: Sequence[float], color: Color) -> None:
        """An x of its own size at each point, with a white rim."""
        for (x, y), radius in zip(self._fixed(points), radii, strict=True):
            reach = round(radius * 2**_SHIFT)
            for ink, width in (((255, 255, 255), 5), (color, 2)):
                for side in (-reach, reach):
                    ends = (int(x) - reach, int(y) - side), (int(x) + reach, int(y) + side)
                    cv2.line(self.picture, *ends, ink, width, cv2.LINE_AA, _SHIFT)

    def name(self, word: str, color: Color, row: int) -> None:
        """A line of the legend, in the upper left corner."""
        top = _TOP + 10 + 20 * row
        cv2.rectangle(self.picture, (_LEFT + 10, top), (_LEFT + 22, top + 10), color, -1)
        write_text(self.picture, word, top + 10, _LEFT + 30, _TEXT, (24, 24, 27))

    def _places(self, points: Sequence[tuple[float, float]] | NDArray[np.float64]) -> NDArray[np.float64]:
        values = np.asarray(points, np.float64).reshape(-1, 2)
        x = (values[:, 0] - self._across.low) / (self._across.high - self._across.low)
        y = (values[:, 1] - self._up.low) / (self._up.high - self._up.low)
        columns = _LEFT + x * (self._right - _LEFT)
        return np.stack([columns, self._bottom - y * (self._bottom - _TOP)], axis=1)

    def _fixed(self, points: Sequence[tuple[float, float]] | NDArray[np.float64]) -> NDArray[np.int32]:
        return np.rint(self._places(points) * 2**_SHIFT).astype(np.int32)

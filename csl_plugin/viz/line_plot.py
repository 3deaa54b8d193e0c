"""Line plots as SVG, drawn without a library: axes, ticks, grid, lines, title and legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

# Okabe and Ito's palette, which stays distinct under the common color-vision deficiencies.
COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a7f00", "#464646")

_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}.title{font-size:15px;font-weight:600;fill:#111}"
    ".grid{stroke:#e3e3e3}.axis{stroke:#888}.curve{fill:none;stroke-width:1.8;stroke-linejoin:round}"
)
_TITLE_Y, _LEGEND_Y, _LEGEND_STEP = 22, 42, 17


class Axis(NamedTuple):
    """A range of values.

    Attributes:
        low: Value at the left or lower end; above 0 if logarithmic.
        high: Value at the other end; above `low`.
        label: Stands beside the axis.
        logarithmic: Whether the scale is logarithmic.
    """

    low: float
    high: float
    label: str = ""
    logarithmic: bool = False

    @staticmethod
    def around(values: Sequence[float], label: str = "", logarithmic: bool = False) -> Axis:
        """An axis with a margin around finite values; a linear one starts at 0 if they come close to it."""
        low, high = min(values), max(values)
        if logarithmic:
            return Axis(low / 1.1, high * 1.1, label, True)
        margin = 0.06 * (high - low) or 0.05 * abs(high) or 0.05
        return Axis(0.0 if 0 <= low < 0.5 * high else low - margin, high + margin, label)

    def position(self, value: float) -> float:
        """Where a value lies, from 0 at `low` to 1 at `high`."""
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Four to eight round values.

        Example:
            >>> Axis(0, 100).ticks(), Axis(0.5, 60, logarithmic=True).ticks()
            ([0.0, 20.0, 40.0, 60.0, 80.0, 100.0], [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0])
        """
        if self.logarithmic and self.high / self.low > 4:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            steps = (1, 2, 5) if self.high / self.low < 300 else (1,)
            every = [step * 10.0**decade for decade in decades for step in steps]
            return [tick for tick in every if self.low <= tick <= self.high]
        apart = (self.high - self.low) / 5
        size = 10.0 ** math.floor(math.log10(apart))
        apart = next(step * size for step in (1, 2, 5, 10) if step * size >= apart)
        first, last = math.ceil(self.low / apart - 1e-9), math.floor(self.high / apart + 1e-9)
        return [number * apart for number in range(first, last + 1)]


class Line(NamedTuple):
    """A line through points.

    Attributes:
        points: (x, y), finite, inside the axes.
        color: A CSS color.
        label: Its name in the legend; "" for none.
        dots: Whether each point is marked by a dot.
    """

    points: Sequence[tuple[float, float]]
    color: str
    label: str = ""
    dots: bool = False


class Frame(NamedTuple):
    """Size of a plot, and the margins around its axes, in pixels."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int


def line_plot(lines: Sequence[Line], across: Axis, up: Axis, frame: Frame, title: str = "") -> str:
    """A plot as SVG elements, for an <svg> or <g> of the frame's size.

    Their classes are `title`, `grid`, `axis` and `curve`; the document's style sheet must define them.

    Args:
        lines: Drawn in their order.
        across: The horizontal axis.
        up: The vertical axis.
        frame: Size and margins; title and legend are drawn in the top margin.
        title: Above the plot.

    Example:
        >>> line = Line([(0, 1), (2, 3)], COLORS[0], "a < b")
        >>> drawn = line_plot([line], Axis(0, 2, "x"), Axis(0, 3, "y"), Frame(300, 200, 40, 10, 50, 40))
        >>> drawn.count("<polyline"), "a &lt; b" in drawn
        (1, True)
    """
    parts = [f'<text class="title" x="{frame.left}" y="{_TITLE_Y}">{escape(title)}</text>'] if title else []
    parts += _axes(across, up, frame)
    for line in lines:
        places = [(_x(across, x, frame), _y(up, y, frame)) for x, y in line.points]
        where = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        color = escape(line.color)
        parts.append(f'<polyline class="curve" style="stroke:{color}" points="{where}"/>')
        if line.dots:
            parts += [f'<circle r="3" style="fill:{color}" cx="{x:.1f}" cy="{y:.1f}"/>' for x, y in places]
    return "".join(parts + _legend(lines, frame))


def svg_document(content: str, width: int, height: int) -> str:
    """A file that holds plots, with a style sheet and a white background.

    Args:
        content: SVG elements.
        width: Pixels.
        height: Pixels.
    """
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{_STYLE}</style>'
    return f'{head}<rect width="100%" height="100%" fill="#fff"/>{content}</svg>'


def _axes(across: Axis, up: Axis, frame: Frame) -> list[str]:
    left, right, bottom = frame.left, frame.width - frame.right, frame.height - frame.bottom
    parts = []
    for tick in up.ticks():
        y = _y(up, tick, frame)
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{_number(tick)}</text>')
    for tick in across.ticks():
        x = _x(across, tick, frame)
        parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 4}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{_number(tick)}</text>')
    parts.append(f'<line class="axis" x1="{left}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    middle = f'x="{(left + right) / 2}" y="{frame.height - 8}"'
    turned = f'transform="translate(13 {(frame.top + bottom) / 2}) rotate(-90)"'
    for label, where in ((across.label, middle), (up.label, turned)):
        parts += [f'<text {where} text-anchor="middle">{escape(label)}</text>'] if label else []
    return parts


def _legend(lines: Sequence[Line], frame: Frame) -> list[str]:
    parts, left, y = [], float(frame.left), _LEGEND_Y
    for line in lines:
        if not line.label:
            continue
        width = 34 + 6.1 * len(line.label)
        if left + width > frame.width:
            left, y = float(frame.left), y + _LEGEND_STEP
        color = escape(line.color)
        parts.append(f'<rect x="{left:.0f}" y="{y - 6}" width="12" height="4" style="fill:{color}"/>')
        parts.append(f'<text x="{left + 16:.0f}" y="{y}">{escape(line.label)}</text>')
        left += width
    return parts


def _number(value: float) -> str:
    return f"{value:.4g}" if value < 10_000 else f"{value:,.0f}"


def _x(axis: Axis, value: float, frame: Frame) -> float:
    return frame.left + axis.position(value) * (frame.width - frame.left - frame.right)


def _y(axis: Axis, value: float, frame: Frame) -> float:
    return frame.height - frame.bottom - axis.position(value) * (frame.height - frame.top - frame.bottom)

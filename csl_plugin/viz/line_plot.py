"""A run's figures over its steps as one SVG picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

Lines = Mapping[str, Sequence[tuple[float, float]]]

_PARTS = ("validity", "region", "dice", "boundary", "point_region", "point_dice", "point_validity")
_PANELS: tuple[tuple[str, tuple[str, ...], bool], ...] = (
    ("Loss", ("loss",), True),
    ("Parts of the loss", (*_PARTS, "distillation"), True),
    ("Norm of the gradient", ("gradient",), True),
    ("Learning rate", ("rate",), False),
    ("Validation: regions", ("covering", "best_iou"), False),
    ("Validation: AP", ("base_ap", "fused_ap"), False),
    ("Validation: FPR95", ("base_fpr95", "fused_fpr95"), False),
)
# Okabe and Ito's palette, which stays distinct under the common color-vision deficiencies.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a7f00", "#464646")
_WORDS = {"best_iou": "best IoU"} | {
    f"{side}_{kind}": side for side in ("base", "fused") for kind in ("ap", "fpr95")
}
_POINTS = 300
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 560, 310, 62, 18, 72, 42
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}.title{font-size:15px;font-weight:600;fill:#111}"
    ".grid{stroke:#e3e3e3}.axis{stroke:#888}.curve{fill:none;stroke-width:1.8;stroke-linejoin:round}"
)


class _Axis(NamedTuple):
    low: float
    high: float
    logarithmic: bool

    def place(self, value: float) -> float:
        """Where a value lies, from 0 to 1."""
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def log_svg(steps: Sequence[Mapping[str, float]]) -> str:
    """Losses, gradient, learning rate and validation over the steps, each panel where there are figures.

    Figures of every step are averaged over stretches of steps, some three hundred in all; losses and the
    gradient's norm have logarithmic axes.

    Args:
        steps: A run's log, each step's figures by name.

    Returns:
        An SVG document.

    Example:
        >>> drawn = log_svg([{"step": 1, "loss": 9.0}, {"step": 2, "loss": 7.5}])
        >>> drawn.count('class="curve"'), ">Loss<" in drawn
        (1, True)
    """
    panels = []
    for title, names, logarithmic in _PANELS:
        lines = {name: points for name in names if (points := _points(steps, name, logarithmic))}
        if lines:
            panels.append((title, lines, logarithmic))
    last = max((step["step"] for step in steps), default=1)
    rows = max(1, -(-len(panels) // 2))
    size = f'width="{2 * _WIDTH}" height="{rows * _HEIGHT}" viewBox="0 0 {2 * _WIDTH} {rows * _HEIGHT}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{_STYLE}</style>']
    parts.append('<rect width="100%" height="100%" fill="#fff"/>')
    for number, (title, lines, logarithmic) in enumerate(panels):
        parts.append(f'<g transform="translate({number % 2 * _WIDTH} {number // 2 * _HEIGHT})">')
        parts += _panel(title, lines, logarithmic, last)
        parts.append("</g>")
    return "".join([*parts, "</svg>"])


def _points(steps: Sequence[Mapping[str, float]], name: str, logarithmic: bool) -> list[tuple[float, float]]:
    """Means of a figure over stretches of steps, where there is one."""
    given = [(step["step"], step[name]) for step in steps if isinstance(step.get(name), (int, float))]
    given = [(step, value) for step, value in given if math.isfinite(value)]
    together = -(-len(given) // _POINTS) or 1
    means = []
    for start in range(0, len(given), together):
        stretch = given[start : start + together]
        means.append(tuple(math.fsum(values) / len(stretch) for values in zip(*stretch, strict=True)))
    return [(step, value) for step, value in means if value > 0 or not logarithmic]


def _panel(title: str, lines: Lines, logarithmic: bool, last: float) -> list[str]:
    values = [value for points in lines.values() for _, value in points]
    across, up = _Axis(0.0, max(last, 1.0), False), _vertical(values, logarithmic)
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = [f'<text class="title" x="{_LEFT}" y="22">{escape(title)}</text>']
    for tick in _ticks(up):
        y = _y(up, tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_number(tick)}</text>')
    for tick in _ticks(across):
        x = _x(across, tick)
        parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 4}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{_number(tick)}</text>')
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    parts.append(f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">step</text>')
    for color, points in zip(_COLOURS, lines.values(), strict=False):
        where = " ".join(f"{_x(across, step):.1f},{_y(up, value):.1f}" for step, value in points)
        parts.append(f'<polyline class="curve" stroke="{color}" points="{where}"/>')
        if len(points) < 30:
            parts += [
                f'<circle r="3" fill="{color}" cx="{_x(across, step):.1f}" cy="{_y(up, value):.1f}"/>'
                for step, value in points
            ]
    return parts + (_legend(list(lines)) if len(lines) > 1 else [])


def _legend(names: Sequence[str]) -> list[str]:
    parts, left, line = [], float(_LEFT), 42
    for color, name in zip(_COLOURS, names, strict=False):
        label = _WORDS.get(name, name.replace("_", " "))
        width = 34 + 6.1 * len(label)
        if left + width > _WIDTH:
            left, line = float(_LEFT), line + 17
        parts.append(f'<rect x="{left:.0f}" y="{line - 6}" width="12" height="4" fill="{color}"/>')
        parts.append(f'<text x="{left + 16:.0f}" y="{line}">{escape(label)}</text>')
        left += width
    return parts


def _vertical(values: Sequence[float], logarithmic: bool) -> _Axis:
    low, high = min(values), max(values)
    if logarithmic:
        return _Axis(low / 1.1, high * 1.1, True)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 0.05
    return _Axis(0.0 if 0 <= low < 0.5 * high else low - margin, high + margin, False)


def _ticks(axis: _Axis) -> list[float]:
    """Four to eight round values."""
    if axis.logarithmic and axis.high / axis.low > 4:
        decades = range(math.floor(math.log10(axis.low)), math.ceil(math.log10(axis.high)) + 1)
        steps = (1, 2, 5) if axis.high / axis.low < 300 else (1,)
        every = [step * 10.0**decade for decade in decades for step in steps]
        return [tick for tick in every if axis.low <= tick <= axis.high]
    apart = (axis.high - axis.low) / 5
    size = 10.0 ** math.floor(math.log10(apart))
    apart = next(step * size for step in (1, 2, 5, 10) if step * size >= apart)
    first, last = math.ceil(axis.low / apart - 1e-9), math.floor(axis.high / apart + 1e-9)
    return [number * apart for number in range(first, last + 1)]


def _number(value: float) -> str:
    return f"{value:.4g}" if value < 10_000 else f"{value:,.0f}"


def _x(axis: _Axis, value: float) -> float:
    return _LEFT + axis.place(value) * (_WIDTH - _LEFT - _RIGHT)


def _y(axis: _Axis, value: float) -> float:
    return _HEIGHT - _BOTTOM - axis.place(value) * (_HEIGHT - _TOP - _BOTTOM)

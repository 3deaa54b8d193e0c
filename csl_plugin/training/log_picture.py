"""The picture of a training log: losses, gradient, learning rate and validation over the steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from csl_plugin.viz.line_plot import COLORS, Axis, Frame, Line, line_plot, svg_document

_FRAME = Frame(width=560, height=310, left=62, right=18, top=72, bottom=42)
_COLUMNS = 2
_MAX_POINTS, _MAX_DOTS = 300, 30
_LARGEST = 1e100  # beyond it, the arithmetic of the axes would overflow


class _Panel(NamedTuple):
    title: str
    labels: dict[str, str]  # of the lines, by their names in the log
    logarithmic: bool = False


_PARTS = (
    "validity",
    "region",
    "dice",
    "boundary",
    "finer_boundary",
    "point_region",
    "point_dice",
    "point_validity",
)
_PANELS = (
    _Panel("Loss", {"loss": "loss"}, True),
    _Panel("Parts of the loss", {n: n.replace("_", " ") for n in (*_PARTS, "distillation")}, True),
    _Panel("Norm of the gradient", {"gradient": "gradient"}, True),
    _Panel("Learning rate", {"rate": "rate"}),
    _Panel("Validation: regions", {"covering": "covering", "best_iou": "best IoU"}),
    _Panel("Validation: AP", {"base_ap": "base", "fused_ap": "fused"}),
    _Panel("Validation: FPR95", {"base_fpr95": "base", "fused_fpr95": "fused"}),
)


def log_svg(steps: Sequence[Mapping[str, float]]) -> str:
    """Draw a panel for each group of values that the log holds.

    Every line is averaged over consecutive steps to at most about 300 points. Losses and the gradient's norm
    have logarithmic axes.

    Args:
        steps: The log: the values of each step by name.

    Returns:
        An SVG document.

    Example:
        >>> drawn = log_svg([{"step": 1, "loss": 9.0}, {"step": 2, "loss": 7.5}])
        >>> drawn.count('class="curve"'), ">Loss<" in drawn
        (1, True)
    """
    across = Axis(0.0, max([1.0, *(step["step"] for step in steps)]), "step")
    panels = [drawn for panel in _PANELS if (drawn := _panel(panel, steps, across))]
    placed = [
        f'<g transform="translate({number % _COLUMNS * _FRAME.width} {number // _COLUMNS * _FRAME.height})">'
        f"{panel}</g>"
        for number, panel in enumerate(panels)
    ]
    rows = max(1, -(-len(panels) // _COLUMNS))
    return svg_document("".join(placed), _COLUMNS * _FRAME.width, rows * _FRAME.height)


def _panel(panel: _Panel, steps: Sequence[Mapping[str, float]], across: Axis) -> str:
    """SVG elements; "" where the log has nothing for the panel."""
    found = {name: points for name in panel.labels if (points := _points(steps, name, panel.logarithmic))}
    if not found:
        return ""
    lines = [
        Line(points, color, panel.labels[name] if len(found) > 1 else "", len(points) < _MAX_DOTS)
        for color, (name, points) in zip(COLORS, found.items(), strict=False)
    ]
    values = [value for points in found.values() for _, value in points]
    up = Axis.around(values, logarithmic=panel.logarithmic)
    return line_plot(lines, across, up, _FRAME, panel.title)


def _points(steps: Sequence[Mapping[str, float]], name: str, logarithmic: bool) -> list[tuple[float, float]]:
    """Means of (step, value) over consecutive steps that have the value."""
    given = [(step["step"], step[name]) for step in steps if isinstance(step.get(name), (int, float))]
    given = [(step, value) for step, value in given if abs(value) < _LARGEST]  # False for nan
    together = -(-len(given) // _MAX_POINTS) or 1
    means = []
    for start in range(0, len(given), together):
        stretch = given[start : start + together]
        means.append(tuple(math.fsum(values) / len(stretch) for values in zip(*stretch, strict=True)))
    return [(step, value) for step, value in means if value > 1 / _LARGEST or not logarithmic]

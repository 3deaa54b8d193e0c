"""Precision-recall and reliability curves for the report: an inline <svg> and a legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from csl_plugin.evaluation.result import Curve, ReliabilityCurve
from csl_plugin.viz.line_plot import Axis, Frame, Line, line_plot

_FRAME = Frame(width=560, height=380, left=52, right=16, top=14, bottom=46)


def curve_svg(curves: Mapping[str, tuple[str, Curve]], marks: Mapping[str, str]) -> str:
    """Curves in one plot.

    Colors are the custom properties `--<side>` of the page's style sheet, in the legend its classes
    `key-<side>`.

    Args:
        curves: Label and curve by side, drawn in their order.
        marks: Text after a label by side, such as "AP 80.1".

    Returns:
        An <svg> element and a list.

    Example:
        >>> drawn = curve_svg({"base": ("a < b", Curve((0.0, 1.0), (1.0, 0.5)))}, {})
        >>> "a &lt; b" in drawn, drawn.count("<polyline")
        (True, 1)
    """
    lines = [Line(_steps(curve), f"var(--{side})") for side, (_, curve) in curves.items()]
    drawn = _plot(lines, "Recall, %", "Precision, %", "Precision over recall")
    return drawn + _legend({side: name for side, (name, _) in curves.items()}, marks)


def reliability_svg(curves: Mapping[str, tuple[str, ReliabilityCurve]], marks: Mapping[str, str]) -> str:
    """Reliability curves in one plot with the diagonal; arguments and result as `curve_svg`.

    Example:
        >>> curve = ReliabilityCurve(0.1, (0.2, float("nan"), 0.9), (0.1, float("nan"), 0.8), (9, 0, 1))
        >>> drawn = reliability_svg({"base": ("a", curve)}, {})
        >>> drawn.count("<polyline"), drawn.count("<circle")
        (2, 2)
    """
    lines = [Line([(0.0, 0.0), (100.0, 100.0)], "var(--line)")]
    for side, (_, curve) in curves.items():
        pairs = zip(curve.score, curve.frequency, curve.pixels, strict=True)
        points = [(100 * score, 100 * share) for score, share, pixels in pairs if pixels]
        lines.append(Line(points, f"var(--{side})", dots=True))
    drawn = _plot(lines, "Mean score of the bin, %", "Anomalous pixels, %", "Anomalous pixels over score")
    return drawn + _legend({side: name for side, (name, _) in curves.items()}, marks)


def _plot(lines: Sequence[Line], across: str, up: str, label: str) -> str:
    drawn = line_plot(lines, Axis(0.0, 100.0, across), Axis(0.0, 100.0, up), _FRAME)
    box = f'viewBox="0 0 {_FRAME.width} {_FRAME.height}"'
    return f'<svg {box} role="img" aria-label="{label}" class="plot">{drawn}</svg>'


def _steps(curve: Curve) -> list[tuple[float, float]]:
    """Points in percent; each is reached by a step, because between two thresholds precision is constant."""
    recalls, precisions = (
        [100 * min(max(v, 0.0), 1.0) for v in values] for values in (curve.recall, curve.precision)
    )
    points = list(zip(recalls, precisions, strict=True))
    found = points[:1]
    for recall, precision in points[1:]:
        found += [(found[-1][0], precision), (recall, precision)]
    return found


def _legend(names: Mapping[str, str], marks: Mapping[str, str]) -> str:
    entries = [
        f'<li><span class="key key-{escape(side)}"></span>{escape(name)}'
        f'<span class="mark">{escape(marks.get(side, ""))}</span></li>'
        for side, name in names.items()
    ]
    return f'<ul class="legend">{"".join(entries)}</ul>'

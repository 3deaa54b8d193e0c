"""Precision-recall curves as inline SVG, drawn here so that the page needs no library."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from csl_plugin.evaluation.result import Curve

_WIDTH, _HEIGHT = 560, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 16, 14, 46


def curve_svg(curves: Mapping[str, tuple[str, Curve]], marks: Mapping[str, str]) -> str:
    """Curves in one plot; colors come from the page's classes `curve-<side>`.

    Args:
        curves: Legend and curve by side, drawn in their order.
        marks: A word behind each legend, such as "AP 80.1".

    Returns:
        An <svg> element.

    Example:
        >>> drawn = curve_svg({"base": ("a < b", Curve((0.0, 1.0), (1.0, 0.5)))}, {})
        >>> "a &lt; b" in drawn, drawn.count("<path")
        (True, 1)
    """
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Precision over recall" class="plot">'
    ]
    for tick in range(6):
        value = tick / 5
        x, y = _x(value), _y(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 9}" y="{y + 4:.1f}" text-anchor="end">{100 * value:.0f}</text>')
        anchor = "end" if tick == 5 else "middle"
        parts.append(
            f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 19}" text-anchor="{anchor}">{100 * value:.0f}</text>'
        )
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text class="axis" x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">Recall, %</text>')
    center = (_TOP + _HEIGHT - _BOTTOM) / 2
    turned = f'transform="translate(13 {center}) rotate(-90)"'
    parts.append(f'<text class="axis" {turned} text-anchor="middle">Precision, %</text>')
    parts += [_path(side, curve) for side, (_, curve) in curves.items()]
    return "".join(parts) + "</svg>" + _legend(curves, marks)


def _path(side: str, curve: Curve) -> str:
    # A step from each point to the next, because precision between two thresholds is that of the lower one.
    points = list(zip(curve.recall, curve.precision, strict=True))
    words, before = [], None
    for recall, precision in points:
        where = f"{_x(recall):.1f} {_y(precision):.1f}"
        words.append(f"M{where}" if before is None else f"V{_y(precision):.1f}H{_x(recall):.1f}")
        before = precision
    return f'<path class="curve curve-{escape(side)}" d="{"".join(words)}"/>'


def _legend(curves: Mapping[str, tuple[str, Curve]], marks: Mapping[str, str]) -> str:
    entries = [
        f'<li><span class="key key-{escape(side)}"></span>{escape(name)}'
        f'<span class="mark">{escape(marks.get(side, ""))}</span></li>'
        for side, (name, _) in curves.items()
    ]
    return f'<ul class="legend">{"".join(entries)}</ul>'


def _x(recall: float) -> float:
    return _LEFT + min(max(recall, 0.0), 1.0) * (_WIDTH - _LEFT - _RIGHT)


def _y(precision: float) -> float:
    return _HEIGHT - _BOTTOM - min(max(precision, 0.0), 1.0) * (_HEIGHT - _TOP - _BOTTOM)

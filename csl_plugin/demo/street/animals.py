"""A deer, a cow and a sheep."""

from __future__ import annotations

from typing import Any

import numpy as np

from csl_plugin.demo.street.bodies import Limb, Paint, Place, paint_body
from csl_plugin.demo.street.canvas import Canvas
from csl_plugin.demo.street.noise import Noise, Plane
from csl_plugin.demo.street.plan import Plan

_Row = tuple[float, float, float, float, float, float, Any, float]

_DARK = (0.12, 0.10, 0.09)


def deer(canvas: Canvas, plan: Plan, at: Place, noise: Noise, draw: np.random.Generator, label: int) -> None:
    """Paint a deer, with antlers or without."""
    brown = np.array((0.56, 0.36, 0.20)) * draw.uniform(0.8, 1.15)

    def coat(x: Plane, y: Plane) -> Any:
        pale = (
            np.clip((0.86 - y) / 0.12, 0, 1)[..., None] * (np.abs(x) < 0.6)[..., None] * (y > 0.62)[..., None]
        )
        value = 1 + 0.10 * noise.grain(x * 2, y, 1.3)
        return value[..., None] * (brown + pale * 0.6 * (np.array((0.80, 0.70, 0.56)) - brown))

    leg = tuple(brown * 0.82)
    bend = draw.uniform(-0.08, 0.08, 4)
    far = [_leg(-0.44, bend[0], 0.80, 0.055, leg, 0.62), _leg(0.40, bend[1], 0.80, 0.05, leg, 0.62)]
    near = [_leg(-0.52, bend[2], 0.82, 0.065, coat, 1.0), _leg(0.47, bend[3], 0.80, 0.055, coat, 1.0)]
    rows: list[_Row] = [*far[0], *far[1]]
    rows += [
        (-0.62, 1.02, -0.72, 0.92, 0.055, 0.03, (0.86, 0.80, 0.70), 1.0),
        (-0.44, 0.93, 0.40, 0.92, 0.215, 0.225, coat, 1.0),
        (-0.48, 0.96, -0.20, 0.94, 0.225, 0.20, coat, 1.0),
        *near[0],
        *near[1],
    ]
    if draw.random() < 0.6:
        for tip in ((0.62, 1.98), (0.70, 2.06), (0.94, 2.02), (1.02, 1.92)):
            rows.append((0.76, 1.58, *tip, 0.024, 0.012, (0.60, 0.50, 0.36), 0.9))
        rows += [
            (0.68, 1.78, 0.58, 1.80, 0.016, 0.01, (0.60, 0.50, 0.36), 1.0),
            (0.90, 1.80, 1.00, 1.76, 0.016, 0.01, (0.60, 0.50, 0.36), 1.0),
        ]
    rows += [
        (0.46, 1.02, 0.72, 1.42, 0.155, 0.095, coat, 1.0),
        (0.66, 1.52, 0.56, 1.62, 0.05, 0.022, tuple(brown * 0.8), 0.85),
        (0.74, 1.47, 0.99, 1.36, 0.095, 0.052, coat, 1.0),
        (0.70, 1.54, 0.60, 1.66, 0.055, 0.022, coat, 1.0),
        (1.01, 1.35, 1.02, 1.345, 0.036, 0.034, _DARK, 1.0),
        (0.82, 1.485, 0.83, 1.485, 0.02, 0.02, _DARK, 1.0),
    ]
    _paint(canvas, plan, rows, at, label, draw)


def cow(canvas: Canvas, plan: Plan, at: Place, noise: Noise, draw: np.random.Generator, label: int) -> None:
    """Paint a cow in one color or with patches."""
    base = np.array(((0.86, 0.84, 0.80), (0.48, 0.28, 0.17), (0.80, 0.76, 0.70))[draw.integers(3)])
    patch = np.array(((0.10, 0.09, 0.09), (0.44, 0.24, 0.14))[draw.integers(2)])
    spotted, shift = base[0] > 0.6, draw.uniform(0, 9)

    def coat(x: Plane, y: Plane) -> Any:
        spots = 1 / (1 + np.exp(-14 * (noise.clouds(x + shift, y + shift, 3.4) - 0.1))) * spotted
        value = 1 + 0.05 * noise.grain(x, y, 1.5)
        return value[..., None] * (base + spots[..., None] * (patch - base))

    bend = draw.uniform(-0.07, 0.07, 4)
    rows: list[_Row] = [
        *_leg(-0.66, bend[0], 0.75, 0.085, coat, 0.62),
        *_leg(0.52, bend[1], 0.75, 0.08, coat, 0.62),
    ]
    rows += [
        (-0.98, 1.28, -1.06, 0.62, 0.035, 0.03, coat, 0.85),
        (-1.06, 0.60, -1.07, 0.52, 0.05, 0.04, tuple(patch), 0.9),
        (-0.52, 0.66, -0.42, 0.62, 0.13, 0.10, (0.84, 0.62, 0.56), 0.8),
        (-0.66, 1.05, 0.55, 1.03, 0.35, 0.34, coat, 1.0),
        (-0.76, 1.14, -0.5, 1.12, 0.28, 0.28, coat, 1.0),
        *_leg(-0.76, bend[2], 0.85, 0.10, coat, 1.0),
        *_leg(0.60, bend[3], 0.85, 0.095, coat, 1.0),
        (0.62, 1.12, 1.00, 1.26, 0.26, 0.17, coat, 1.0),
        (0.98, 1.44, 0.86, 1.40, 0.045, 0.07, coat, 0.75),
        (1.06, 1.46, 1.10, 1.58, 0.03, 0.015, (0.80, 0.76, 0.66), 1.0),
        (1.04, 1.34, 1.32, 1.10, 0.15, 0.105, coat, 1.0),
        (1.33, 1.08, 1.36, 1.06, 0.10, 0.095, (0.82, 0.62, 0.56), 1.0),
        (0.96, 1.40, 0.84, 1.33, 0.045, 0.07, coat, 0.95),
        (1.15, 1.31, 1.16, 1.31, 0.025, 0.025, _DARK, 1.0),
    ]
    _paint(canvas, plan, rows, at, label, draw)


def sheep(canvas: Canvas, plan: Plan, at: Place, noise: Noise, draw: np.random.Generator, label: int) -> None:
    """Paint a sheep."""
    wool = np.array((0.86, 0.83, 0.74)) * draw.uniform(0.85, 1.05)
    face = (0.14, 0.12, 0.11) if draw.random() < 0.6 else tuple(wool * 0.9)

    def coat(x: Plane, y: Plane) -> Any:
        return (1 + 0.10 * noise.grain(x * 2, y * 2, 1.1))[..., None] * wool

    bend = draw.uniform(-0.04, 0.04, 4)
    rows: list[_Row] = [
        *_leg(-0.26, bend[0], 0.4, 0.045, face, 0.6),
        *_leg(0.26, bend[1], 0.4, 0.045, face, 0.6),
    ]
    rows += [*_leg(-0.33, bend[2], 0.4, 0.05, face, 1.0), *_leg(0.32, bend[3], 0.4, 0.05, face, 1.0)]
    rows.append((-0.26, 0.58, 0.26, 0.58, 0.26, 0.25, coat, 0.95))
    for angle in np.linspace(0, 2 * np.pi, 13)[:-1]:
        x, y = 0.40 * np.cos(angle), 0.58 + 0.17 * np.sin(angle)
        rows.append((x, y, x, y, 0.13, 0.13, coat, 0.95 + 0.05 * float(np.sin(angle))))
    rows += [
        (0.46, 0.80, 0.47, 0.80, 0.13, 0.13, coat, 1.0),
        (0.47, 0.83, 0.66, 0.70, 0.10, 0.065, face, 1.0),
        (0.46, 0.86, 0.36, 0.84, 0.04, 0.03, face, 0.9),
    ]
    _paint(canvas, plan, rows, at, label, draw)


def _leg(x: float, bend: float, top: float, thick: float, color: Any, dim: float) -> list[_Row]:
    """Thigh, shank and hoof."""
    knee = x + bend, 0.46 * top
    foot = x + 0.3 * bend, 0.05
    return [
        (x, top, *knee, 1.7 * thick, 0.9 * thick, color, dim),
        (*knee, *foot, 0.85 * thick, 0.6 * thick, color, dim),
        (foot[0], 0.03, foot[0] + 0.03, 0.03, 0.8 * thick, 0.7 * thick, _DARK, dim),
    ]


def _paint(
    canvas: Canvas, plan: Plan, rows: list[_Row], at: Place, label: int, draw: np.random.Generator
) -> None:
    """Paint limbs, seen from either side, and turned away a little."""
    flip, size = draw.choice((-1, 1)) * draw.uniform(0.8, 1.0), draw.uniform(0.92, 1.12)
    limbs = []
    for a, b, c, d, first, last, color, dim in rows:
        shown = _mirrored(color, flip, size) if callable(color) else color
        start, end = (flip * a * size, b * size), (flip * c * size, d * size)
        limbs.append(Limb(start, end, (first * size, last * size), shown, dim))
    paint_body(canvas, plan, limbs, at, label, melt=0.022)


def _mirrored(color: Paint, flip: float, size: float) -> Paint:
    return lambda x, y: color(np.asarray(x / (flip * size)), np.asarray(y / size))

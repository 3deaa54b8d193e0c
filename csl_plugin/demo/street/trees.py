"""Trees and bushes of many leaves, and the line of trees at the end of the street."""

from __future__ import annotations

import numpy as np

from csl_plugin._opencv import opencv
from csl_plugin.demo.street.bodies import Limb, Place, cast_shadow, paint_body
from csl_plugin.demo.street.canvas import Canvas, polygon_mask, soft
from csl_plugin.demo.street.classes import VEGETATION
from csl_plugin.demo.street.noise import Noise
from csl_plugin.demo.street.plan import Plan

_GREENS = (
    (0.25, 0.36, 0.14), (0.30, 0.40, 0.16), (0.19, 0.31, 0.15), (0.36, 0.42, 0.18), (0.46, 0.38, 0.14),
)  # fmt: skip
_SHIFT = 4


def paint_tree(
    canvas: Canvas, plan: Plan, at: Place, draw: np.random.Generator, tall: float, noise: Noise
) -> None:
    """Paint a tree of a height in meters, and its shadow."""
    crown = tall * draw.uniform(0.26, 0.38)
    trunk = tall - 2 * crown * draw.uniform(0.8, 0.95)
    radius = 0.022 * tall
    bark = tuple(np.array((0.30, 0.25, 0.20)) * draw.uniform(0.8, 1.2))
    lean = draw.uniform(-0.03, 0.03) * tall
    cast_shadow(canvas, plan, at, 0.5, 0.0)
    _crown_shadow(canvas, plan, at, crown, tall - crown, draw)
    branches = [
        Limb((lean, trunk), (lean + s * crown * 0.6, trunk + crown), (radius * 0.6, radius * 0.2), bark, 0.8)
        for s in (-1, -0.2, 0.8)
    ]
    stem = Limb((0.0, -0.05), (lean, trunk + crown * 0.4), (radius, radius * 0.6), bark)
    paint_body(canvas, plan, [*branches, stem], at, VEGETATION)
    _paint_leaves(
        canvas, plan, at, (lean, tall - crown), (crown, crown * draw.uniform(0.8, 1.1)), draw, noise
    )


def paint_bush(canvas: Canvas, plan: Plan, at: Place, draw: np.random.Generator, noise: Noise) -> None:
    """Paint a bush."""
    half = draw.uniform(0.5, 1.2)
    cast_shadow(canvas, plan, at, 1.6 * half, half, half)
    _paint_leaves(canvas, plan, at, (0.0, 0.55 * half), (half, 0.65 * half), draw, noise)


def _paint_leaves(
    canvas: Canvas,
    plan: Plan,
    at: Place,
    middle: tuple[float, float],
    half: tuple[float, float],
    draw: np.random.Generator,
    noise: Noise,
) -> None:
    """Clumps in an ellipse, dark ones first, each of the lighter the more it faces the sun."""
    cv2 = opencv()
    camera, light = plan.camera, plan.light
    scale = camera.scale(at.z)
    ((left, foot),) = camera.project([(at.x, 0.0, at.z)])
    count = int(np.clip(1.2 * half[0] * scale, 30, 380))
    leaves = int(np.clip(0.035 * half[0] * scale, 3, 16))
    clump = half[0] * 2.4 / count**0.5
    angle, far = draw.uniform(0, 2 * np.pi, count), draw.random(count) ** 0.6
    u, v = far * np.cos(angle), far * np.sin(angle)
    u *= 1 - 0.18 * v  # wider below
    bright = 0.55 * light.side * u + 0.75 * v + draw.normal(0, 0.28, count)
    order = np.argsort(bright)
    u, v, bright = u[order], v[order], bright[order]
    base = np.array(_GREENS[draw.choice(len(_GREENS), p=(0.3, 0.25, 0.25, 0.15, 0.05))])
    base = base * draw.normal(1, 0.06, 3)
    lit = np.clip(0.42 + 0.5 * bright, 0, 1.1)
    sun = plan.lit(at.x, middle[1] + v * half[1], at.z) * lit
    shown = light.haze(
        base
        * (
            light.shade * (0.5 + 0.28 * (v[:, None] + 1) / 2 + 0.2 * lit[:, None])
            + sun[:, None] * light.sun * 1.25
        ),
        at.z,
    )
    box = [int(np.ceil((side + clump * 1.4) * scale)) + 2 for side in half]
    column, row = left + middle[0] * scale, foot - middle[1] * scale
    first, top = int(column) - box[0], int(row) - box[1]
    if first > camera.size[1] or first + 2 * box[0] < 0 or box[0] > 2000:
        return
    color = np.zeros((2 * box[1], 2 * box[0], 3), np.float32)
    color[:] = shown[0]
    alpha = np.zeros((2 * box[1], 2 * box[0]), np.uint8)
    spread = draw.normal(0, 0.6, (count, leaves, 2))
    sizes = clump * draw.uniform(0.5, 1.0, (count, leaves)) * 1.5 / leaves**0.5
    tints = draw.normal(1, 0.07, (count, leaves))
    places = np.stack([column - first + u * half[0] * scale, row - top - v * half[1] * scale], 1)
    places = places[:, None] + spread * clump * scale
    fixed = np.rint(places * (1 << _SHIFT)).astype(int).reshape(-1, 2).tolist()
    radii = np.maximum(8, np.rint(sizes * scale * (1 << _SHIFT))).astype(int).ravel().tolist()
    tones = (shown[:, None] * tints[..., None]).reshape(-1, 3).tolist()
    for place, radius, tone in zip(fixed, radii, tones, strict=True):
        cv2.circle(color, place, radius, tone, -1, cv2.LINE_8, _SHIFT)
        cv2.circle(alpha, place, radius, 255, -1, cv2.LINE_8, _SHIFT)
    fringe = 0.035 * scale
    row, column = np.mgrid[0 : color.shape[0], 0 : color.shape[1]].astype(np.float32)
    grain = noise.grain(column, row, 1100.0 * min(1.0, scale / 60))
    inside = soft(alpha / np.float32(255), fringe)
    cover = np.clip((inside - 0.5 + 0.22 * grain) * 3.0 + 0.5, 0, 1) * (inside > 0.12)
    color *= (1 + 0.13 * grain)[..., None]
    canvas.paint(np.asarray(cover, np.float32), color, VEGETATION, top, first)


def _crown_shadow(
    canvas: Canvas, plan: Plan, at: Place, crown: float, up: float, draw: np.random.Generator
) -> None:
    """Patches of shade on the ground, where the crown hides the sun."""
    light, camera = plan.light, plan.camera
    away = at.x - light.side * up * light.cotangent * 0.8, at.z + light.ahead * up * 0.8
    strength = (
        0.40 * float(plan.lit(away[0], 0.0, max(away[1], 2.0))) * min(1.0, float(light.sun.mean()) / 0.4)
    )
    height, width = camera.size
    if strength < 0.03 or away[1] < 3:
        return
    angle = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    places = np.array(away) + draw.normal(0, 0.42 * crown, (26, 2))
    radii = crown * draw.uniform(0.12, 0.36, 26)
    rings = []
    for (x, z), radius in zip(places, radii, strict=True):
        ring = np.stack([x + radius * np.cos(angle), 0 * angle, (z + radius * np.sin(angle)).clip(2.2)], 1)
        rings.append(camera.project(ring))
    blur = 0.05 * camera.scale(away[1])
    whole = np.concatenate(rings)
    left, top = np.floor(whole.min(0) - 3 * blur).astype(int).clip((-9, -9))
    right, bottom = np.minimum(np.ceil(whole.max(0) + 3 * blur).astype(int), (width + 9, height + 9))
    if right <= left or bottom <= top:
        return
    mask = np.zeros((bottom - top, right - left), np.float32)
    for ring in rings:
        mask = np.maximum(mask, polygon_mask(ring - (left, top), mask.shape))
    canvas.darken(np.asarray(strength * soft(mask, blur), np.float32), int(top), int(left))


def paint_horizon(canvas: Canvas, plan: Plan, noise: Noise, draw: np.random.Generator) -> None:
    """Trees and hills far behind the end of the street."""
    camera = plan.camera
    height, width = camera.size
    column = np.arange(width, dtype=np.float32)
    for far, tall in ((420.0, draw.uniform(14, 40)), (230.0, draw.uniform(6, 16))):
        scale = camera.scale(far)
        x = (column - camera.center) / scale
        crest = tall * (1 + 0.35 * noise.clouds(x, far, 500.0) + 0.12 * noise.grain(x, far, 160.0))
        top = camera.horizon - crest.clip(1)[0] * scale if crest.ndim > 1 else camera.horizon - crest * scale
        first = max(int(top.min()) - 2, 0)
        row = np.arange(first, min(int(camera.horizon) + 3, height), dtype=np.float32)[:, None] + 0.5
        cover = np.clip(row - top[None] + 0.5, 0, 1)
        color = plan.light.on(np.array((0.24, 0.33, 0.20)), np.array(0.5))
        canvas.paint(np.asarray(cover, np.float32), plan.light.haze(color, min(far, 260)), VEGETATION, first)

"""The road with its markings, stains and cracks, the sidewalks and the grass."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.demo.street.canvas import Canvas
from csl_plugin.demo.street.classes import ROAD, SIDEWALK, VEGETATION
from csl_plugin.demo.street.noise import Noise, Plane
from csl_plugin.demo.street.plan import FAR, Plan

_CURB = 0.18


def paint_ground(canvas: Canvas, plan: Plan, noise: Noise, draw: np.random.Generator) -> None:
    """Paint everything below the horizon."""
    camera = plan.camera
    height, width = camera.size
    top = int(camera.horizon) + 1
    row = np.arange(top, height, dtype=np.float32)[:, None] + 0.5
    column = np.arange(width, dtype=np.float32)[None] + 0.5
    z = np.minimum(camera.focal * camera.height / (row - camera.horizon).clip(0.02), 4 * FAR)
    x = (column - camera.center) * (z / camera.focal)
    z = np.broadcast_to(z, x.shape)
    footprint = z * z / (camera.focal * camera.height)  # meters along the street in a pixel

    color = _road(plan, noise, draw, x, z, footprint)
    classes = np.full(x.shape, ROAD, np.int8)
    for side in (-1, 1):
        beyond = side * (x - plan.road[side > 0])
        color *= (1 - 0.35 * np.exp(-(((beyond + 0.12) / 0.14) ** 2)))[..., None]
        blur, looks = z / camera.focal, draw.uniform(size=5)
        at, cover = _beyond(beyond, blur)
        walk = _sidewalk(noise, looks, x[at], z[at], footprint[at], beyond[at])
        color[at] += cover * (walk - color[at])
        classes[beyond > 0] = SIDEWALK
        if plan.green:
            lawn = beyond - 0.55 * abs(plan.walls[side > 0] - plan.road[side > 0])
            at, cover = _beyond(lawn, blur)
            color[at] += cover * (_grass(noise, x[at], z[at], footprint[at]) - color[at])
            classes[lawn > 0] = VEGETATION
    lit = plan.lit(x, 0.0, z)
    canvas.color[top:] = plan.light.haze(plan.light.on(color, lit), z)
    canvas.classes[top:] = classes


def _beyond(offset: Plane, blur: Plane) -> tuple[NDArray[np.bool_], Plane]:
    """The pixels beyond an edge of the ground, and how much of each is, (n, 1)."""
    cover = np.clip(offset / blur + 0.5, 0, 1)
    at = cover > 0
    return at, np.asarray(cover[at][:, None], np.float32)


def _road(plan: Plan, noise: Noise, draw: np.random.Generator, x: Plane, z: Plane, footprint: Plane) -> Plane:
    base = draw.uniform(0.30, 0.44)
    tint = (np.array([1.0, 1.0, 1.02]) + draw.normal(0, 0.015, 3)).astype(np.float32)
    near = np.exp(-footprint / 0.25)
    value = base * (1 + 0.10 * noise.clouds(x, z * 0.35, 17.0) + 0.05 * noise.clouds(x, z, 5.0))
    value += near * 0.030 * noise.grain(x, z, 2.1)
    # Tires polish two tracks of each lane.
    edges = [plan.road[0], *sorted(plan.lines), plan.road[1]]
    middles = [(low + high) / 2 for low, high in pairwise(edges)]
    off = np.min([np.abs(np.abs(x - middle) - 0.8) for middle in middles], axis=0)
    value -= 0.028 * np.exp(-((off / 0.35) ** 2))
    for _ in range(draw.integers(0, 5)):  # patches of newer asphalt
        middle, at = draw.uniform(*plan.road), draw.uniform(4, 45)
        inside = _box(x, middle, draw.uniform(0.4, 1.6)) * _box(z, at, draw.uniform(0.8, 5))
        value *= 1 - draw.uniform(0.08, 0.3) * inside
    crack = np.abs(noise.clouds(x + 3.1, z * 0.8, 13.0) - draw.uniform(-0.5, 0.5))
    value *= 1 - 0.42 * np.exp(-((crack / (0.02 + 0.1 * footprint)) ** 2)) * np.exp(-footprint / 0.1)
    color: Plane = (value[..., None] * tint).astype(np.float32)
    color += _markings(plan, noise, x, z)[..., None] * (_paint_color(plan) - color)
    for _ in range(draw.integers(0, 3)):  # manholes
        middle, at = draw.uniform(plan.road[0] + 0.6, plan.road[1] - 0.6), draw.uniform(5, 25)
        distance = np.hypot(x - middle, z - at)
        color *= (1 - 0.4 * (distance < 0.34) + 0.16 * (distance < 0.29) * np.cos(50 * x) * near)[..., None]
    return color


def _paint_color(plan: Plan) -> Any:
    return np.array((0.80, 0.66, 0.28) if plan.yellow else (0.86, 0.86, 0.84), np.float32)


def _markings(plan: Plan, noise: Noise, x: Plane, z: Plane) -> Plane:
    """Lines between lanes, at the edges, and of a crossing; worn."""
    blur = z / plan.camera.focal
    paint = np.zeros_like(x)
    dashes = _box(np.mod(z, 9.0), 2.0, 1.9)
    for number, line in enumerate(plan.lines):
        solid = plan.yellow and number == len(plan.lines) - 1
        paint = np.maximum(paint, _line(x - line, 0.07, blur) * (1 if solid else dashes))
    for side in (-1, 1):
        paint = np.maximum(paint, 0.8 * _line(x - plan.road[side > 0] + side * 0.35, 0.06, blur))
    if plan.crossing is not None:
        band = _box(z, plan.crossing + 1.5, 1.5)
        bars = np.clip((np.sin(2 * np.pi * x / 1.0) + 0.1) / (6 * blur + 0.02) + 0.5, 0, 1)
        paint = np.maximum(paint * (1 - band), band * bars * 0.95)
        paint = np.maximum(paint, _box(z, plan.crossing - 1.2, 0.2) * (x > min(plan.lines)))
    inside = (x > plan.road[0] + 0.2) & (x < plan.road[1] - 0.2)
    worn = np.clip(0.80 + 0.22 * noise.grain(x, z, 4.3) + 0.15 * noise.clouds(x, z, 8.0), 0.1, 0.95)
    return np.asarray(paint * worn * inside, np.float32)


def _sidewalk(noise: Noise, looks: Any, x: Plane, z: Plane, footprint: Plane, beyond: Plane) -> Plane:
    base = np.array([0.60, 0.585, 0.555]) * (0.85 + 0.25 * looks[0]) + 0.04 * (looks[1:4] - 0.5)
    value = 1 + 0.07 * noise.clouds(x, z * 0.4, 11.0) + 0.04 * noise.grain(x, z, 3.0)
    side = 0.6 + 0.6 * looks[4]
    joints = np.maximum(
        _line(np.mod(beyond - _CURB, side) - side / 2, 0.012, z / 900),
        _line(np.mod(z, side) - side / 2, 0.014, footprint),
    )
    tiles = np.floor(z / side) * 7 + np.floor(beyond / side) * 3
    value += 0.03 * np.sin(tiles * 12.9898) * np.exp(-footprint)
    value -= 0.25 * joints * np.exp(-footprint / 0.3)
    curb = (beyond < _CURB).astype(np.float32)
    value += curb * (0.13 - 0.2 * _line(np.mod(z, 1.0) - 0.5, 0.02, footprint) * np.exp(-footprint / 0.3))
    color: Plane = value[..., None] * base.astype(np.float32)
    return color


def _grass(noise: Noise, x: Plane, z: Plane, footprint: Plane) -> Plane:
    value = 1 + 0.18 * noise.clouds(x, z * 0.5, 9.0) + 0.16 * noise.grain(x, z, 2.0) * np.exp(-footprint)
    dry = 0.5 + 0.2 * noise.clouds(x + 5, z, 14.0)
    green, straw = np.array([[0.30, 0.42, 0.16], [0.12, 0.04, 0.02]], np.float32)
    color = green + dry[..., None] * straw
    return np.asarray(value[..., None] * color, np.float32)


def _box(values: Any, middle: float, half: float) -> Plane:
    return np.asarray(np.clip((half - np.abs(values - middle)) / 0.06 + 0.5, 0, 1), np.float32)


def _line(offset: Any, half: float, blur: Any) -> Plane:
    """A line of a half width; where a pixel is wider than it, as much of the pixel as it covers."""
    cover = np.clip((half - np.abs(offset)) / blur + 0.5, 0, 1) * np.minimum(1, 2 * half / blur)
    return np.asarray(cover, np.float32)

"""Round bodies of limbs: each is a sphere drawn along a line, shaded by its normals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from csl_plugin._opencv import opencv
from csl_plugin.demo.street.canvas import Canvas, polygon_mask, soft
from csl_plugin.demo.street.noise import Plane
from csl_plugin.demo.street.plan import Plan

Paint = Callable[[Plane, Plane], Any]
"""Colors (h, w, 3) at x and y in meters, as seen from the camera."""


@dataclass(frozen=True)
class Limb:
    """A sphere drawn along a line, in the plane that faces the camera.

    Attributes:
        start: (x, y) of the first center, in meters from the foot of the body.
        end: (x, y) of the last center.
        radii: Of the first and the last sphere.
        color: (3,), or a function of x and y.
        dim: How bright it is: limbs behind others are darker.
    """

    start: tuple[float, float]
    end: tuple[float, float]
    radii: tuple[float, float]
    color: tuple[float, float, float] | Paint
    dim: float = 1.0


@dataclass(frozen=True)
class Place:
    """Where a body stands.

    Attributes:
        x: Meters to the right of the camera.
        z: Meters ahead.
    """

    x: float
    z: float


def paint_body(
    canvas: Canvas, plan: Plan, limbs: Sequence[Limb], at: Place, label: int, melt: float = 0.0
) -> None:
    """Paint limbs in their order; `melt` in meters is how far joints and corners are rounded."""
    camera, light = plan.camera, plan.light
    ((left, foot),) = camera.project([(at.x, 0.0, at.z)])
    scale = camera.scale(at.z)
    if melt:
        ends = np.array([end for limb in limbs for end in (limb.start, limb.end)])
        points = (left, foot) + ends * (scale, -scale)
        layer = canvas.layer(points, int(0.5 * scale) + 4)
        paint_body(layer, plan, limbs, at, label)
        canvas.merge(layer, melt * scale, melt * scale)
        return
    for limb in limbs:
        reach = max(limb.radii) + 2 / scale
        low = [min(a, b) - reach for a, b in zip(limb.start, limb.end, strict=True)]
        high = [max(a, b) + reach for a, b in zip(limb.start, limb.end, strict=True)]
        first, last = int(np.floor(left + low[0] * scale)), int(np.ceil(left + high[0] * scale))
        top, bottom = int(np.floor(foot - high[1] * scale)), int(np.ceil(foot - low[1] * scale))
        x = ((np.arange(first, last) + 0.5 - left) / scale)[None].astype(np.float32)
        y = ((foot - np.arange(top, bottom) - 0.5) / scale)[:, None].astype(np.float32)
        x, y = np.broadcast_arrays(x, y)
        offset, radius = _offset(limb, x, y)
        distance = np.hypot(*offset)
        cover = np.clip((radius - distance) * scale + 0.5, 0, 1)
        across, up = (side / radius for side in offset)
        facing = np.sqrt(np.clip(1 - across**2 - up**2, 0, 1))
        bright = 0.62 * light.side * across + 0.62 * up + 0.42 * facing
        sun = plan.lit(at.x, np.maximum(y, 0.1), at.z) * np.clip(0.18 + 0.95 * bright, 0, 1.15)
        color = np.asarray(limb.color(x, y), np.float32) if callable(limb.color) else np.array(limb.color)
        sky = (0.66 + 0.22 * up + 0.14 * facing)[..., None]
        shone = np.asarray(color, np.float32) * limb.dim * (light.shade * sky + sun[..., None] * light.sun)
        canvas.paint(np.asarray(cover, np.float32), light.haze(shone, at.z), label, top, first)


def _offset(limb: Limb, x: Plane, y: Plane) -> tuple[tuple[Plane, Plane], Plane]:
    """From the nearest center of the limb to each point, and the radius there."""
    along = np.subtract(limb.end, limb.start)
    length = float(along @ along)
    dx, dy = x - limb.start[0], y - limb.start[1]
    share = np.clip((dx * along[0] + dy * along[1]) / length, 0, 1) if length else np.zeros_like(x)
    radius = limb.radii[0] + share * (limb.radii[1] - limb.radii[0])
    return (dx - share * along[0], dy - share * along[1]), np.asarray(radius, np.float32)


def cast_shadow(
    canvas: Canvas, plan: Plan, at: Place, width: float, height: float, depth: float = 0.4
) -> None:
    """The shadow of what stands at a place: dark where it touches the ground, soft away from the sun."""
    camera, light = plan.camera, plan.light
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    ring = np.stack([np.cos(angle), np.zeros(40), np.sin(angle)], 1)
    contact = ring * (0.56 * width, 1, 0.5 * depth) + (at.x, 0, at.z)
    _shade(canvas, camera.project(contact.clip((-99, 0, 1.0))), 0.62, 0.05 * camera.scale(at.z))
    sun = float(plan.lit(at.x, 0.05, at.z)) * min(1.0, float(light.sun.mean()) / 0.4)
    reach = height * min(light.cotangent, 0.9)
    away = (-light.side * reach, 0, light.ahead * reach)
    hull = np.concatenate([contact, ring * (0.42 * width, 1, 0.5 * depth) + (at.x, 0, at.z) + away])
    points = camera.project(hull.clip((-99, 0, 1.0))).astype(np.float32)
    _shade(canvas, _hull(points), 0.42 * sun, 0.05 * camera.scale(at.z))


def _hull(points: Any) -> Any:
    return opencv().convexHull(points)[:, 0]


def _shade(canvas: Canvas, points: Any, strength: float, blur: float) -> None:
    pad = int(3 * blur) + 2
    height, width = canvas.classes.shape
    left, top = np.floor(points.min(0)).astype(int) - pad
    right, bottom = np.ceil(points.max(0)).astype(int) + pad
    left, top = max(left, -pad), max(top, -pad)
    right, bottom = min(right, width + pad), min(bottom, height + pad)
    if right <= left or bottom <= top:
        return
    mask = polygon_mask(points - (left, top), (bottom - top, right - left))
    canvas.darken(strength * soft(mask, blur), top, left)

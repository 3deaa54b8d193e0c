"""Goods that fell on the road: a sofa, a crate, a barrel, a ball, a suitcase."""

from __future__ import annotations

from typing import Any

import numpy as np

from csl_plugin.demo.street.bodies import Limb, Place, paint_body
from csl_plugin.demo.street.canvas import Canvas
from csl_plugin.demo.street.noise import Noise, Plane
from csl_plugin.demo.street.plan import Plan

_FABRICS = (
    (0.62, 0.16, 0.16),
    (0.14, 0.40, 0.42),
    (0.72, 0.52, 0.18),
    (0.36, 0.42, 0.24),
    (0.40, 0.26, 0.46),
)


def paint_sofa(
    canvas: Canvas, plan: Plan, at: Place, noise: Noise, draw: np.random.Generator, label: int
) -> None:
    """Paint a sofa from its front."""
    fabric = np.array(_FABRICS[draw.integers(len(_FABRICS))]) * draw.uniform(0.9, 1.15)
    half = draw.uniform(0.62, 0.85)

    def cloth(x: Plane, y: Plane) -> Any:
        return (1 + 0.06 * noise.grain(x * 2, y * 2, 1.0))[..., None] * fabric

    limbs = [Limb((s * half, 0.02), (s * half, 0.16), (0.04, 0.05), (0.20, 0.13, 0.08)) for s in (-1, 1)]
    limbs += [
        Limb((-half, 0.62), (half, 0.62), (0.24, 0.24), cloth, 0.86),
        Limb((-half, 0.42), (half, 0.42), (0.24, 0.24), cloth, 0.66),
    ]
    for side in (-1, 1):
        middle = side * half * 0.49
        limbs.append(Limb((middle - 0.14, 0.62), (middle + 0.14, 0.62), (0.185, 0.185), cloth, 1.0))
    limbs.append(Limb((-half, 0.24), (half, 0.24), (0.14, 0.14), cloth, 0.72))
    for side in (-1, 1):
        middle = side * half * 0.49
        limbs.append(Limb((middle - 0.24, 0.40), (middle + 0.24, 0.40), (0.105, 0.105), cloth, 1.1))
    for side in (-1, 1):
        limbs.append(
            Limb((side * (half + 0.10), 0.24), (side * (half + 0.10), 0.50), (0.15, 0.165), cloth, 1.0)
        )
    paint_body(canvas, plan, limbs, at, label)


def paint_ball(
    canvas: Canvas, plan: Plan, at: Place, _: Noise, draw: np.random.Generator, label: int
) -> None:
    """Paint a beach ball."""
    radius, turn = draw.uniform(0.28, 0.45), draw.uniform(0, 2 * np.pi)
    tones = np.array(
        (
            (0.86, 0.16, 0.12),
            (0.92, 0.90, 0.86),
            (0.10, 0.34, 0.66),
            (0.94, 0.90, 0.86),
            (0.92, 0.72, 0.10),
            (0.94, 0.90, 0.86),
        )
    )
    hub = draw.uniform(-0.3, 0.3, 2) * radius

    def panels(x: Plane, y: Plane) -> Any:
        angle = np.arctan2(y - radius - hub[1], x - hub[0]) + turn
        color = tones[np.floor(angle / (2 * np.pi) * 6).astype(int) % 6]
        cap = np.hypot(x - hub[0], y - radius - hub[1]) < 0.14 * radius
        return np.where(cap[..., None], tones[1], color)

    paint_body(canvas, plan, [Limb((0, radius), (0, radius), (radius, radius), panels)], at, label)


def paint_barrel(
    canvas: Canvas, plan: Plan, at: Place, noise: Noise, draw: np.random.Generator, label: int
) -> None:
    """Paint a steel barrel that stands."""
    base = np.array(
        ((0.10, 0.30, 0.55), (0.68, 0.18, 0.10), (0.16, 0.42, 0.26), (0.85, 0.62, 0.10))[draw.integers(4)]
    )
    radius, tall = 0.30, draw.uniform(0.85, 0.98)
    camera, light = plan.camera, plan.light
    scale = camera.scale(at.z)
    ((left, foot),) = camera.project([(at.x, 0.0, at.z)])
    flat = radius * camera.height / at.z, radius * (camera.height - tall) / at.z
    half, top = int(radius * scale) + 2, int(foot - (tall + flat[1]) * scale) - 2
    first, bottom = int(left) - half, int(foot + flat[0] * scale) + 3
    x = ((np.arange(first, first + 2 * half) + 0.5 - left) / scale)[None]
    y = ((foot - np.arange(top, bottom) - 0.5) / scale)[:, None]
    x, y = np.broadcast_arrays(x, y)
    chord = np.sqrt(np.clip(1 - (x / radius) ** 2, 0, 1))
    low, high = -flat[0] * chord, tall - flat[1] * chord
    edge = np.clip((radius - np.abs(x)) * scale + 0.5, 0, 1)
    wall = (
        np.clip((y - low) * scale + 0.5, 0, 1)
        * np.clip((tall + flat[1] * chord - y) * scale + 0.5, 0, 1)
        * edge
    )
    bright = np.clip(0.2 + 0.62 * light.side * x / radius + 0.5 * chord, 0, 1.1)
    share = (y - low) / tall
    rib = sum(np.exp(-(((share - at_rib) / 0.012) ** 2)) for at_rib in (0.03, 0.34, 0.67, 0.97))
    rust = np.clip(noise.clouds(x + 3, y, 2.0) - 1.0, 0, 1)[..., None]
    color = base * (1 + 0.25 * rib - 0.2 * (share < 0.02))[..., None]
    color = color + rust * (np.array((0.34, 0.18, 0.09)) - color)
    sun = plan.lit(at.x, y.clip(0.05), at.z) * bright
    shone = light.on(color, sun) * (0.66 + 0.3 * chord)[..., None]
    lid = y > high
    shone = np.where(
        lid[..., None], light.on(base * 0.9, np.full_like(y, 0.8 * float(plan.lit(at.x, tall, at.z)))), shone
    )
    canvas.paint(np.asarray(wall, np.float32), light.haze(shone, at.z), label, top, first)


def paint_crate(
    canvas: Canvas, plan: Plan, at: Place, _: Noise, draw: np.random.Generator, label: int
) -> None:
    """Paint a wooden crate."""
    wood = np.array((0.66, 0.47, 0.27)) * draw.uniform(0.85, 1.15)
    sides = draw.uniform(0.6, 0.95), draw.uniform(0.5, 0.85), draw.uniform(0.6, 0.9)
    box = _Box(canvas, plan, at, sides, draw.uniform(0.2, 1.3), label)
    for face in box.visible():
        for plank in range(5):
            tone = wood * draw.uniform(0.86, 1.1)
            box.patch(face, (0.0, 0.2 * plank), (1.0, 0.2 * plank + 0.185), tone)
            box.patch(face, (0.0, 0.2 * plank + 0.185), (1.0, 0.2 * plank + 0.2), wood * 0.35)
        for low, high in (((0, 0), (0.12, 1)), ((0.88, 0), (1, 1)), ((0, 0), (1, 0.12)), ((0, 0.88), (1, 1))):
            box.patch(face, low, high, wood * draw.uniform(0.98, 1.12))
        box.patch(face, (0.12, 0.86), (0.88, 0.88), wood * 0.45)
        box.patch(face, (0.12, 0.12), (0.135, 0.88), wood * 0.5)


def paint_suitcase(
    canvas: Canvas, plan: Plan, at: Place, _: Noise, draw: np.random.Generator, label: int
) -> None:
    """Paint a suitcase that stands, with its handle out."""
    shell = np.array(
        ((0.85, 0.36, 0.12), (0.12, 0.46, 0.46), (0.72, 0.14, 0.30), (0.80, 0.74, 0.20))[draw.integers(4)]
    )
    tall, wide = draw.uniform(0.58, 0.75), draw.uniform(0.40, 0.5)
    metal = (0.55, 0.56, 0.58)
    rails = [Limb((s * 0.11, tall), (s * 0.11, tall + 0.36), (0.014, 0.014), metal) for s in (-1, 1)]
    grip = Limb((-0.11, tall + 0.36), (0.11, tall + 0.36), (0.025, 0.025), (0.08, 0.08, 0.08))
    wheels = [
        Limb((s * 0.38 * wide, 0.035), (s * 0.38 * wide, 0.035), (0.035, 0.035), (0.06, 0.06, 0.06))
        for s in (-1, 1)
    ]
    paint_body(canvas, plan, [*rails, grip, *wheels], at, label)
    box = _Box(canvas, plan, at, (wide, tall, 0.28), draw.uniform(0.15, 0.7), label, lifted=0.06)
    for face in box.visible():
        for rib in range(6):
            box.patch(face, (rib / 6, 0.0), ((rib + 0.8) / 6, 1.0), shell)
            box.patch(face, ((rib + 0.8) / 6, 0.0), ((rib + 1) / 6, 1.0), shell * 0.7)
        box.patch(face, (0.0, 0.0), (1.0, 0.05), shell * 0.55)


class _Box:
    """A box on the ground, turned by an angle."""

    def __init__(
        self,
        canvas: Canvas,
        plan: Plan,
        at: Place,
        sides: tuple[float, float, float],
        turn: float,
        label: int,
        lifted: float = 0.0,
    ) -> None:
        self.canvas, self.plan, self.at, self.label = canvas, plan, at, label
        across, up, along = sides
        right = np.array((np.cos(turn), 0, np.sin(turn))) * across
        back = np.array((-np.sin(turn), 0, np.cos(turn))) * along
        rise = np.array((0, up, 0))
        corner = np.array((at.x, lifted, at.z)) - right / 2 - back / 2
        # corner, along the first side, along the second, normal
        self._faces = [
            (corner, right, rise, -back),
            (corner + back, right, rise, back),
            (corner, back, rise, -right),
            (corner + right, back, rise, right),
            (corner + rise, right, back, rise),
        ]

    def visible(self) -> list[Any]:
        """The faces that are turned toward the camera."""
        eye = np.array((0, self.plan.camera.height, 0))
        return [face for face in self._faces if face[3] @ (eye - face[0]) > 0]

    def patch(self, face: Any, low: tuple[float, float], high: tuple[float, float], color: Any) -> None:
        """Paint a part of a face, from low to high in shares of its sides."""
        corner, first, second, normal = face
        shares = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
        points = [corner + a * first + b * second for a, b in shares]
        light = self.plan.light
        sun = np.array((0.62 * light.side, 0.66, -0.42 if light.ahead > 0 else 0.2))
        bright = max(0.0, float(normal / np.linalg.norm(normal) @ sun)) * float(
            self.plan.lit(self.at.x, 0.4, self.at.z)
        )
        tone = light.on(color, np.array(1.1 * bright)) * (0.82 + 0.18 * float(normal[1] > 0))
        self.canvas.polygon(self.plan.camera.project(points), light.haze(tone, self.at.z), self.label)

"""Cars: an extruded body and cabin, windows, lamps, wheels, in perspective."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from csl_plugin.demo.street.bodies import Place, cast_shadow
from csl_plugin.demo.street.canvas import Canvas
from csl_plugin.demo.street.classes import CAR
from csl_plugin.demo.street.plan import Plan

_PAINTS = (
    (0.80, 0.80, 0.80), (0.90, 0.90, 0.88), (0.10, 0.10, 0.11), (0.34, 0.35, 0.37), (0.55, 0.10, 0.09),
    (0.12, 0.20, 0.42), (0.16, 0.26, 0.22), (0.58, 0.57, 0.53), (0.40, 0.52, 0.60), (0.72, 0.50, 0.14),
)  # fmt: skip
_GLASS = np.array((0.10, 0.12, 0.15))


@dataclass(frozen=True)
class Shape:
    """Measures of a kind of car, in meters; lengths from the rear to the front.

    Attributes:
        length: Whole.
        width: Whole.
        belt: Height of the body at the windows.
        hood: Height of the body at the nose.
        roof: Height of the roof.
        rear: Where the rear window begins at the belt, and where the roof begins.
        front: Where the roof ends, and where the windshield ends at the belt.
    """

    length: float
    width: float
    belt: float
    hood: float
    roof: float
    rear: tuple[float, float]
    front: tuple[float, float]


_SHAPES = (
    Shape(4.5, 1.78, 0.92, 0.78, 1.44, (0.75, 1.25), (2.55, 3.35)),  # sedan
    Shape(3.9, 1.72, 0.94, 0.82, 1.50, (0.05, 0.45), (2.15, 2.95)),  # hatchback
    Shape(4.6, 1.88, 1.06, 0.98, 1.72, (0.08, 0.40), (2.60, 3.30)),  # SUV
    Shape(5.0, 1.95, 1.15, 1.02, 2.15, (0.02, 0.10), (3.60, 4.20)),  # van
    Shape(4.4, 1.78, 0.92, 0.80, 1.46, (0.10, 0.55), (2.45, 3.25)),  # estate
)


def paint_car(canvas: Canvas, plan: Plan, at: Place, toward: bool, draw: np.random.Generator) -> None:
    """Paint a car whose nearer end is at a place, and its shadow.

    Args:
        canvas: Where it is painted.
        plan: The street.
        at: The middle of the end toward the camera.
        toward: Whether its front is that end.
        draw: Source of kind and color.
    """
    shape = _SHAPES[draw.choice(len(_SHAPES), p=(0.3, 0.3, 0.2, 0.08, 0.12))]
    paint = np.array(_PAINTS[draw.integers(len(_PAINTS))]) * draw.uniform(0.85, 1.08)
    corners = [(side, up, end) for side in (-1, 1) for up in (0.0, shape.roof) for end in (0.0, shape.length)]
    scale = plan.camera.scale(at.z)
    painter = _Painter(canvas, plan, at, toward, shape)
    painter.canvas = layer = canvas.layer(plan.camera.project(painter.world(corners)), int(0.1 * scale) + 3)
    middle = Place(at.x, at.z + shape.length / 2)
    cast_shadow(canvas, plan, middle, shape.width, 0.8 * shape.roof, 1.02 * shape.length)
    painter.body(paint)
    painter.wheels()
    painter.ends(braking=bool(draw.random() < 0.3))
    canvas.merge(layer, 0.055 * scale, 0.012 * scale)


class _Painter:
    def __init__(self, canvas: Canvas, plan: Plan, at: Place, toward: bool, shape: Shape) -> None:
        self.canvas, self.plan, self.at, self.toward, self.shape = canvas, plan, at, toward, shape
        self.lit = float(plan.lit(at.x, 0.9, at.z + shape.length / 2))
        self.seen = -1 if at.x > 0 else 1  # the side that is turned toward the camera

    def world(self, points: Sequence[tuple[float, float, float]]) -> Any:
        """(across, up, along) of the car to (x, y, z) of the world; across 1 is the seen side."""
        across, up, along = np.array(points, np.float64).T
        z = self.at.z + (self.shape.length - along if self.toward else along)
        return np.stack([self.at.x + self.seen * across * self.shape.width / 2, up, z.clip(1.2)], 1)

    def face(
        self, points: Sequence[tuple[float, float, float]], color: Any, shone: float, below: float = 1.0
    ) -> None:
        """Paint a face that the sun reaches by `shone`; its lower half is darker by `below`."""
        light, corners = self.plan.light, self.plan.camera.project(self.world(points))
        tone = light.on(color, np.array(self.lit * shone))
        tone = light.haze(tone, self.at.z)
        self.canvas.polygon(corners, tone, CAR)
        if below < 1:
            heights = np.array([point[1] for point in points])
            cut = (heights.min() + heights.max()) / 2
            lower = [(a, min(y, cut), c) for a, y, c in points]
            self.canvas.polygon(self.plan.camera.project(self.world(lower)), tone * below, CAR, 0.7)

    def body(self, paint: Any) -> None:
        """Body and cabin: what faces up, then the side, then the near end."""
        s, light = self.shape, self.plan.light
        side_sun = 0.75 if self.seen == light.side else 0.0
        near_sun = 0.55 if light.ahead > 0 else 0.1
        low, inset, tuck = 0.24, 0.93, 0.80
        rear_low, rear_high = s.rear
        front_high, front_low = s.front
        # hood and trunk
        nose = s.length - 0.05
        self.face(
            [(-1, s.belt, front_low), (1, s.belt, front_low), (1, s.hood, nose), (-1, s.hood, nose)],
            paint,
            0.95,
        )
        self.face(
            [(-1, s.belt, 0.04), (1, s.belt, 0.04), (1, s.belt, rear_low), (-1, s.belt, rear_low)],
            paint,
            0.95,
        )
        # far and near glass of the cabin, in the order of distance
        windshield = [
            (-inset, s.belt, front_low),
            (inset, s.belt, front_low),
            (tuck, s.roof, front_high),
            (-tuck, s.roof, front_high),
        ]
        back = [
            (-inset, s.belt, rear_low),
            (inset, s.belt, rear_low),
            (tuck, s.roof, rear_high),
            (-tuck, s.roof, rear_high),
        ]
        near_glass = windshield if self.toward else back
        self.face(
            [
                (-tuck, s.roof, rear_high),
                (tuck, s.roof, rear_high),
                (tuck, s.roof, front_high),
                (-tuck, s.roof, front_high),
            ],
            paint,
            1.0,
        )
        # the seen side
        self.face(
            [
                (inset, s.belt, rear_low),
                (tuck, s.roof, rear_high),
                (tuck, s.roof, front_high),
                (inset, s.belt, front_low),
            ],
            paint,
            side_sun,
        )
        self._side_windows(side_sun)
        outline = [
            (1, low, 0.08),
            (1, 0.55 * s.belt + 0.1, 0.0),
            (1, s.belt, 0.06),
            (1, s.belt, front_low),
            (1, s.hood, nose),
            (1, 0.5, s.length),
            (1, low, s.length - 0.08),
        ]
        self.face(outline, paint, side_sun)
        lower = [(1, low, 0.08), (1, 0.5, 0.02), (1, 0.5, s.length - 0.02), (1, low, s.length - 0.08)]
        self.face(lower, paint * 0.72, side_sun)
        for along in (rear_low + 0.35 * (front_low - rear_low), rear_low + 0.72 * (front_low - rear_low)):
            self.face(
                [(1, 0.34, along), (1, s.belt, along), (1, s.belt, along + 0.02), (1, 0.34, along + 0.02)],
                paint * 0.5,
                side_sun,
            )
        self.face(near_glass, paint, near_sun + 0.2)
        self._pane(near_glass, 0.08)
        end = s.length if self.toward else 0.0
        top = s.hood if self.toward else s.belt
        inner = end - 0.05 if self.toward else end + 0.05
        self.face(
            [(-0.97, low, end), (0.97, low, end), (1, 0.55, end), (-1, 0.55, end)], paint * 0.62, near_sun
        )
        self.face(
            [(-1, 0.52, end), (1, 0.52, end), (0.97, top, inner), (-0.97, top, inner)], paint, near_sun, 0.86
        )

    def _pane(self, corners: Sequence[tuple[float, float, float]], margin: float) -> None:
        """Glass inside a frame of the cabin, which reflects the sky above."""
        light = self.plan.light
        points = np.array(corners)
        middle = points.mean(0)
        inner = points + (middle - points) * margin * 1.6
        glass = _GLASS + 0.16 * light.horizon
        self._flat(inner, glass)
        upper = inner.copy()
        upper[:2] += 0.45 * (inner[[3, 2]] - inner[:2])
        self._flat(upper, glass + 0.14 * light.zenith)

    def _flat(self, points: Any, color: Any) -> None:
        corners = self.plan.camera.project(self.world([tuple(point) for point in points]))
        self.canvas.polygon(corners, self.plan.light.haze(color, self.at.z), CAR)

    def _side_windows(self, side_sun: float) -> None:
        s = self.shape
        glass = _GLASS + 0.22 * self.plan.light.horizon * (0.8 + 0.3 * side_sun)

        def at(share: float, up: float) -> tuple[float, float, float]:
            low = s.rear[0] + share * (s.front[1] - s.rear[0])
            high = s.rear[1] + share * (s.front[0] - s.rear[1])
            return (0.93 - 0.13 * up, s.belt + up * (s.roof - s.belt), low + up * (high - low))

        for first, last in ((0.07, 0.44), (0.48, 0.94)):
            self._flat([at(first, 0.06), at(first, 0.84), at(last, 0.84), at(last, 0.06)], glass)

    def wheels(self) -> None:
        """Wheels of the seen side, and tires below the near end."""
        s, angle = self.shape, np.linspace(0, 2 * np.pi, 28, endpoint=False)
        end = s.length if self.toward else 0.0
        for across in (-0.8, 0.8):
            tire = [
                (across - 0.12, 0.0, end),
                (across + 0.12, 0.0, end),
                (across + 0.12, 0.3, end),
                (across - 0.12, 0.3, end),
            ]
            self._flat(tire, np.array((0.05, 0.05, 0.055)))
        for along in (0.2 * s.length, 0.81 * s.length):
            for radius, tone, across in (
                (0.38, 0.04, 1.0),
                (0.33, 0.08, 1.01),
                (0.21, 0.42, 1.015),
                (0.07, 0.2, 1.02),
            ):
                rim = [(across, 0.33 + radius * np.sin(a), along + radius * np.cos(a)) for a in angle]
                self._flat(rim, np.full(3, tone) * (0.7 + 0.5 * self.lit))

    def ends(self, braking: bool) -> None:
        """Lamps, plate and bumper of the near end."""
        s = self.shape
        end = s.length if self.toward else 0.0
        up = 0.62 * (s.hood if self.toward else s.belt) + 0.12
        lamp = np.array(
            (0.95, 0.95, 0.90) if self.toward else (0.85, 0.10, 0.06) if braking else (0.50, 0.06, 0.05)
        )
        for side in (-1, 1):
            box = [
                (side * 0.66, up - 0.06, end),
                (side * 0.97, up - 0.05, end),
                (side * 0.97, up + 0.09, end),
                (side * 0.70, up + 0.07, end),
            ]
            self._flat(box, lamp * (0.75 + 0.25 * self.lit))
        if self.toward:
            self._flat(
                [
                    (-0.6, up - 0.05, end),
                    (0.6, up - 0.05, end),
                    (0.58, up + 0.05, end),
                    (-0.58, up + 0.05, end),
                ],
                np.array((0.08, 0.08, 0.09)),
            )
        height = 0.47 if self.toward else up - 0.05
        self._flat(
            [
                (-0.28, height - 0.06, end),
                (0.28, height - 0.06, end),
                (0.28, height + 0.06, end),
                (-0.28, height + 0.06, end),
            ],
            np.array((0.82, 0.82, 0.78)) * (0.6 + 0.4 * self.lit),
        )
        self._flat(
            [(-0.9, 0.24, end), (0.9, 0.24, end), (0.9, 0.36, end), (-0.9, 0.36, end)],
            np.array((0.09, 0.09, 0.10)),
        )

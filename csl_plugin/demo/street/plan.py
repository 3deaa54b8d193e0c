"""What stands where: the road, its sides, the rows of houses, and where the sun shines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from csl_plugin.demo.street.camera import Camera
from csl_plugin.demo.street.light import Light, draw_light
from csl_plugin.demo.street.noise import Plane

NEAR, FAR = 1.5, 190.0


@dataclass(frozen=True)
class House:
    """A house of a row.

    Attributes:
        start: Where its front begins, in meters ahead.
        end: Where it ends.
        height: Of its front, in meters.
        color: Of its plaster, (3,).
        trim: Of its frames and ledges, (3,).
        glass: Of its panes, (3,).
        bay: Width from a window to the next.
        floor: Height of a floor.
        pane: Share of a bay that the window takes, and share of a floor.
        kind: "plaster", "brick" or "office".
        roof: Height of the sloping roof, 0 for a flat one.
        shop: Whether the ground floor is a shop, and the color of its awning.
        seed: Of its windows.
    """

    start: float
    end: float
    height: float
    color: tuple[float, float, float]
    trim: tuple[float, float, float]
    glass: tuple[float, float, float]
    bay: float
    floor: float
    pane: tuple[float, float]
    kind: str
    roof: float
    shop: tuple[float, float, float] | None
    seed: int


@dataclass(frozen=True)
class Plan:
    """A street.

    Attributes:
        camera: Where it is seen from, at x = 0.
        light: Its light.
        road: x of the left and of the right edge of the road.
        walls: x of the fronts on the left and on the right.
        green: Whether a strip of grass lies between the sidewalk and the houses.
        houses: Rows on the left and on the right, from near to far.
        lines: x of the lines between lanes.
        yellow: Whether these are yellow.
        crossing: Where a pedestrian crossing begins, or None.
    """

    camera: Camera
    light: Light
    road: tuple[float, float]
    walls: tuple[float, float]
    green: bool
    houses: tuple[tuple[House, ...], tuple[House, ...]]
    lines: tuple[float, ...]
    yellow: bool
    crossing: float | None

    def heights(self, side: int, z: Any) -> Plane:
        """Height of the houses on a side (-1, 1) at distances."""
        row = self.houses[side > 0]
        steps = np.zeros(int(4 * FAR) + 80, np.float32)
        for house in row:
            low, high = (int(4 * end) + 40 for end in (house.start, house.end))
            steps[max(low, 0) : max(high, 0)] = house.height + 0.6 * house.roof
        places = np.clip(4 * np.asarray(z) + 40, 0, len(steps) - 1)
        found: Plane = np.interp(places, np.arange(len(steps)), steps).astype(np.float32)
        return found

    def lit(self, x: Any, y: Any, z: Any) -> Plane:
        """How much of the sun reaches points, from 0 to 1."""
        light = self.light
        from_wall = light.side * (self.walls[light.side > 0] - np.asarray(x))
        from_wall = np.maximum(from_wall, 0.01)
        shadow = self.heights(light.side, z - light.ahead * from_wall) - from_wall / light.cotangent
        lit: Plane = 1 / (1 + np.exp(np.clip(5 * (shadow - y), -30, 30), dtype=np.float32))
        return lit


_PLASTER = (
    (0.86, 0.78, 0.64), (0.80, 0.62, 0.46), (0.72, 0.74, 0.74), (0.90, 0.87, 0.80), (0.70, 0.44, 0.36),
    (0.84, 0.72, 0.56), (0.62, 0.68, 0.66), (0.88, 0.76, 0.70), (0.58, 0.60, 0.68), (0.78, 0.74, 0.58),
)  # fmt: skip
_BRICK = ((0.58, 0.32, 0.25), (0.50, 0.30, 0.25), (0.64, 0.42, 0.32), (0.46, 0.36, 0.33))
_OFFICE = ((0.56, 0.60, 0.64), (0.70, 0.70, 0.68), (0.42, 0.46, 0.50))
_AWNINGS = (
    (0.62, 0.16, 0.14), (0.12, 0.32, 0.24), (0.16, 0.26, 0.46), (0.82, 0.66, 0.36), (0.32, 0.30, 0.30),
)  # fmt: skip


def draw_plan(draw: np.random.Generator, size: tuple[int, int]) -> Plan:
    """A street of two or three lanes, seen from the right one."""
    height, width = size
    camera = Camera(
        size=size,
        horizon=height * draw.uniform(0.40, 0.50),
        center=width * draw.uniform(0.40, 0.60),
        focal=width * draw.uniform(0.72, 0.95),
        height=draw.uniform(1.35, 1.75),
    )
    lane, lanes = draw.uniform(3.0, 3.5), int(draw.choice((2, 2, 3)))
    parking = draw.uniform(0.3, 2.2, 2)
    right = lane / 2 + parking[1] + draw.uniform(-0.4, 0.4)
    left = right - parking.sum() - lanes * lane
    walk = draw.uniform(2.2, 4.2, 2)
    green = bool(draw.random() < 0.3)
    garden = draw.uniform(2.5, 6.0, 2) if green else np.zeros(2)
    first = right - parking[1]
    return Plan(
        camera=camera,
        light=draw_light(draw),
        road=(float(left), float(right)),
        walls=(float(left - walk[0] - garden[0]), float(right + walk[1] + garden[1])),
        green=green,
        houses=(_row(draw, green), _row(draw, green)),
        lines=tuple(float(first - lane * number) for number in range(1, lanes)),
        yellow=bool(draw.random() < 0.25),
        crossing=float(draw.uniform(7, 24)) if draw.random() < 0.4 else None,
    )


def _row(draw: np.random.Generator, green: bool) -> tuple[House, ...]:
    houses, place, typical = [], float(draw.uniform(-8, 0)), draw.uniform(7, 17)
    while place < FAR:
        length = float(draw.uniform(7, 22))
        kind = str(draw.choice(("plaster", "brick", "office"), p=(0.6, 0.25, 0.15)))
        floor = float(draw.uniform(2.9, 3.6))
        floors = max(2, round(typical * draw.uniform(0.7, 1.3) / floor))
        colors = {"plaster": _PLASTER, "brick": _BRICK, "office": _OFFICE}[kind]
        color = np.array(colors[draw.integers(len(colors))]) * draw.normal(1, 0.04, 3)
        dark = draw.random() < 0.3
        shop = not green and draw.random() < 0.45
        houses.append(
            House(
                start=place,
                end=place + length,
                height=floors * floor + float(draw.uniform(0.3, 1.0)),
                color=_triple(color),
                trim=_triple(color * 0.55 if dark else color * 0.5 + 0.45),
                glass=_triple(np.array((0.20, 0.25, 0.31)) * draw.uniform(0.7, 1.3)),
                bay=length / max(2, round(length / draw.uniform(2.0, 3.2))),
                floor=floor,
                pane=(0.82, 0.62) if kind == "office" else (draw.uniform(0.36, 0.5), draw.uniform(0.48, 0.6)),
                kind=kind,
                roof=0.0 if kind == "office" or draw.random() < 0.35 else float(draw.uniform(1.4, 2.8)),
                shop=_AWNINGS[draw.integers(len(_AWNINGS))] if shop else None,
                seed=int(draw.integers(1 << 30)),
            )
        )
        place += length + (float(draw.uniform(2.5, 9)) if draw.random() < (0.55 if green else 0.15) else 0.0)
    return tuple(houses)


def _triple(color: Any) -> tuple[float, float, float]:
    red, green, blue = np.clip(color, 0.02, 0.98)
    return float(red), float(green), float(blue)

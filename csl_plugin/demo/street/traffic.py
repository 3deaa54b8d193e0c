"""What stands and moves in a street: trees, poles, parked and moving cars, people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from csl_plugin.demo.street.bodies import Place
from csl_plugin.demo.street.canvas import Canvas
from csl_plugin.demo.street.cars import paint_car
from csl_plugin.demo.street.noise import Noise
from csl_plugin.demo.street.people import paint_person
from csl_plugin.demo.street.plan import Plan
from csl_plugin.demo.street.poles import paint_pole
from csl_plugin.demo.street.trees import paint_bush, paint_tree


@dataclass(frozen=True)
class Standing:
    """Something at a place.

    Attributes:
        kind: "tree", "bush", "pole", "car", "oncoming" or "person".
        at: Where it is; of a car the end toward the camera.
        seed: Of its look.
        tall: Height of a tree in meters.
    """

    kind: str
    at: Place
    seed: int
    tall: float = 0.0

    def paint(self, canvas: Canvas, plan: Plan, noise: Noise) -> None:
        """Paint it and its shadow."""
        draw = np.random.default_rng(self.seed)
        if self.kind == "tree":
            paint_tree(canvas, plan, self.at, draw, self.tall, noise)
        elif self.kind == "bush":
            paint_bush(canvas, plan, self.at, draw, noise)
        elif self.kind == "pole":
            paint_pole(canvas, plan, self.at, draw)
        elif self.kind == "person":
            paint_person(canvas, plan, self.at, draw)
        else:
            paint_car(canvas, plan, self.at, self.kind == "oncoming", draw)


def draw_traffic(plan: Plan, draw: np.random.Generator) -> list[Standing]:
    """All that stands in a street, in no order."""
    found = [Standing(kind, at, int(draw.integers(1 << 30)), tall) for kind, at, tall in _places(plan, draw)]
    return [entry for entry in found if entry.at.z > 3.2]


def _places(plan: Plan, draw: np.random.Generator) -> Iterator[tuple[str, Place, float]]:
    for side in (-1, 1):
        edge, wall = plan.road[side > 0], plan.walls[side > 0]
        if draw.random() < 0.65:
            tall, every, near = draw.uniform(4.5, 9), draw.uniform(6, 15), draw.uniform(3.5, 12)
            x = wall - side * 1.5 if plan.green else edge + side * draw.uniform(0.6, 1.1)
            for z in np.arange(near, 110, every):
                if draw.random() < 0.85:
                    yield "tree", Place(x, z + draw.uniform(-1, 1)), tall * draw.uniform(0.8, 1.2)
        if plan.green:
            for z in np.arange(draw.uniform(3, 9), 60, draw.uniform(2, 8)):
                yield "bush", Place(wall - side * draw.uniform(0.5, 1.4), z + draw.uniform(-1, 1)), 0.0
        for z in np.arange(draw.uniform(5, 18), 100, draw.uniform(14, 30)):
            yield "pole", Place(edge + side * 0.45, z), 0.0
        if draw.random() < 0.75:
            z, full = draw.uniform(5, 14), draw.uniform(0.3, 0.9)
            while z < 90:
                if draw.random() < full:
                    kind = "car" if side > 0 or draw.random() < 0.2 else "oncoming"
                    yield kind, Place(edge - side * draw.uniform(1.0, 1.15), z), 0.0
                z += draw.uniform(5.6, 7.5)
        for _ in range(draw.integers(0, 5)):
            across = draw.uniform(
                min(edge + side * 0.7, wall - side * 0.4), max(edge + side * 0.7, wall - side * 0.4)
            )
            yield "person", Place(across, np.exp(draw.uniform(np.log(5), np.log(50)))), 0.0
    lanes = [*sorted(plan.lines), plan.road[1]]
    for number, line in enumerate(plan.lines):
        center = line - 1.6 if number == len(plan.lines) - 1 else line + 1.6
        z = draw.uniform(6, 40)
        while z < 120:
            yield "oncoming", Place(center, z), 0.0
            z += draw.uniform(9, 60)
    z = draw.uniform(9, 50)
    while z < 130:
        yield "car", Place(lanes[-2] + 1.65, z), 0.0
        z += draw.uniform(8, 60)
    if plan.crossing is not None and draw.random() < 0.6:
        for _ in range(draw.integers(1, 4)):
            yield "person", Place(draw.uniform(*plan.road), plan.crossing + draw.uniform(0.5, 2.5)), 0.0

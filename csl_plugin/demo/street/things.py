"""What no training street has: animals and lost goods on the road."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from csl_plugin.demo.street.animals import cow, deer, sheep
from csl_plugin.demo.street.bodies import Place, cast_shadow
from csl_plugin.demo.street.canvas import Canvas
from csl_plugin.demo.street.classes import UNSEEN
from csl_plugin.demo.street.goods import paint_ball, paint_barrel, paint_crate, paint_sofa, paint_suitcase
from csl_plugin.demo.street.noise import Noise
from csl_plugin.demo.street.plan import Plan

Painter = Callable[[Canvas, Plan, Place, Noise, np.random.Generator, int], None]


_NEAREST, _FARTHEST = 4.5, 18.0


@dataclass(frozen=True)
class Kind:
    """A kind of thing.

    Attributes:
        paint: Paints one.
        width: Its extent in meters, about.
        height: Its height.
    """

    paint: Painter
    width: float
    height: float


KINDS = {
    "deer": Kind(deer, 1.7, 1.6),
    "cow": Kind(cow, 2.2, 1.5),
    "sheep": Kind(sheep, 1.2, 0.9),
    "sofa": Kind(paint_sofa, 2.0, 0.9),
    "crate": Kind(paint_crate, 1.1, 0.8),
    "barrel": Kind(paint_barrel, 0.7, 0.95),
    "ball": Kind(paint_ball, 0.8, 0.8),
    "suitcase": Kind(paint_suitcase, 0.6, 0.8),
}


@dataclass(frozen=True)
class Thing:
    """A thing at its place.

    Attributes:
        name: Of its kind.
        at: Where it stands.
        seed: Of its look.
    """

    name: str
    at: Place
    seed: int

    def crowds(self, other: Place) -> bool:
        """Whether something at another place would stand in it or before it."""
        half = 0.5 * KINDS[self.name].width
        if abs(other.z - self.at.z) < 6.0 and abs(other.x - self.at.x) < half + 1.3:
            return True
        ahead = other.z < self.at.z
        return ahead and abs(other.x / other.z - self.at.x / self.at.z) < half / self.at.z + 1.2 / other.z

    def paint(self, canvas: Canvas, plan: Plan, noise: Noise) -> None:
        """Paint it and its shadow."""
        kind = KINDS[self.name]
        cast_shadow(canvas, plan, self.at, 0.8 * kind.width, kind.height, 0.45)
        kind.paint(canvas, plan, self.at, noise, np.random.default_rng(self.seed), UNSEEN)


def draw_thing(draw: np.random.Generator, plan: Plan) -> Thing:
    """A thing of any kind, on the road or at its edge, 4.5 to 18 m ahead."""
    name = str(draw.choice(list(KINDS)))
    z = float(np.exp(draw.uniform(np.log(_NEAREST), np.log(_FARTHEST))))
    edges = plan.road[0] - 0.6, plan.road[1] + 0.6
    reach = plan.camera.size[1] * 0.42 * z / plan.camera.focal
    middle = (plan.camera.size[1] / 2 - plan.camera.center) * z / plan.camera.focal
    low, high = max(edges[0], middle - reach), min(edges[1], middle + reach)
    return Thing(name, Place(float(draw.uniform(low, high)), z), int(draw.integers(1 << 30)))

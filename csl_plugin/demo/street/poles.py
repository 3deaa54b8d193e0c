"""Street lamps, signs and traffic lights on poles."""

from __future__ import annotations

import numpy as np

from csl_plugin.demo.street.bodies import Limb, Place, cast_shadow, paint_body
from csl_plugin.demo.street.canvas import Canvas
from csl_plugin.demo.street.classes import POLE
from csl_plugin.demo.street.plan import Plan

_STEEL = (0.34, 0.36, 0.37)


def paint_pole(canvas: Canvas, plan: Plan, at: Place, draw: np.random.Generator) -> None:
    """Paint a lamp, a sign or a traffic light; arms reach over the road."""
    kind = draw.choice(("lamp", "lamp", "sign", "lights"))
    inward = -1.0 if at.x > 0 else 1.0
    cast_shadow(canvas, plan, at, 0.16, 0.0, 0.16)
    if kind == "lamp":
        tall, arm = draw.uniform(6, 8.5), draw.uniform(0.8, 1.8)
        limbs = [
            Limb((0, 0), (0, 0.9), (0.10, 0.10), _STEEL),
            Limb((0, 0.9), (0, tall), (0.065, 0.045), _STEEL),
            Limb((0, tall), (inward * arm, tall + 0.35), (0.045, 0.04), _STEEL),
            Limb(
                (inward * arm, tall + 0.35),
                (inward * (arm + 0.6), tall + 0.38),
                (0.10, 0.08),
                (0.62, 0.62, 0.6),
            ),
        ]
    elif kind == "sign":
        face = ((0.68, 0.10, 0.10), (0.12, 0.26, 0.58), (0.88, 0.70, 0.12))[draw.integers(3)]
        limbs = [
            Limb((0, 0), (0, 2.9), (0.04, 0.04), _STEEL),
            Limb((0, 2.55), (0, 2.55), (0.34, 0.34), (0.88, 0.88, 0.86)),
            Limb((0, 2.55), (0, 2.55), (0.29, 0.29), face),
            Limb((-0.14, 2.55), (0.14, 2.55), (0.05, 0.05), (0.92, 0.92, 0.9)),
        ]
    else:
        lamps = ((0.75, 0.10, 0.08), (0.30, 0.22, 0.05), (0.06, 0.30, 0.16))
        limbs = [
            Limb((0, 0), (0, 3.1), (0.06, 0.06), _STEEL),
            Limb((0, 2.35), (0, 3.1), (0.17, 0.17), (0.09, 0.10, 0.09)),
        ]
        limbs += [
            Limb((0, 3.12 - 0.3 * n), (0, 3.12 - 0.3 * n), (0.10, 0.10), color)
            for n, color in enumerate(lamps)
        ]
    paint_body(canvas, plan, limbs, at, POLE)

"""People who walk."""

from __future__ import annotations

import numpy as np

from csl_plugin.demo.street.bodies import Limb, Place, cast_shadow, paint_body
from csl_plugin.demo.street.canvas import Canvas
from csl_plugin.demo.street.classes import PERSON
from csl_plugin.demo.street.plan import Plan

_SKIN = ((0.86, 0.66, 0.54), (0.68, 0.48, 0.36), (0.44, 0.30, 0.22), (0.92, 0.74, 0.62))
_CLOTH = (
    (0.16, 0.20, 0.32), (0.55, 0.16, 0.16), (0.20, 0.20, 0.21), (0.75, 0.72, 0.66), (0.22, 0.38, 0.30),
    (0.72, 0.55, 0.24), (0.36, 0.42, 0.55), (0.48, 0.32, 0.42),
)  # fmt: skip
_TROUSERS = ((0.14, 0.17, 0.26), (0.17, 0.17, 0.17), (0.36, 0.30, 0.24), (0.30, 0.34, 0.42))


def paint_person(canvas: Canvas, plan: Plan, at: Place, draw: np.random.Generator) -> None:
    """Paint a person of 1.5 to 1.9 m, and the shadow."""
    size = draw.uniform(1.5, 1.9) / 1.75
    stride, swing = draw.uniform(0.03, 0.22), draw.uniform(-0.15, 0.15)
    skin, cloth, trousers = (
        tuple(np.array(colors[draw.integers(len(colors))]) * draw.uniform(0.85, 1.1))
        for colors in (_SKIN, _CLOTH, _TROUSERS)
    )
    hair = (0.16, 0.11, 0.08) if draw.random() < 0.7 else (0.50, 0.38, 0.22)
    shoe = (0.10, 0.10, 0.10)
    limbs = [
        (-stride, 0.05, -0.02, 0.84, 0.055, 0.085, trousers, 0.8),
        (-stride, 0.04, -stride + 0.07, 0.04, 0.045, 0.04, shoe, 0.8),
        (-0.19, 1.36, -0.20 - swing, 0.86, 0.06, 0.045, cloth, 0.85),
        (stride, 0.05, 0.02, 0.84, 0.06, 0.09, trousers, 1.0),
        (stride, 0.04, stride + 0.07, 0.04, 0.045, 0.04, shoe, 1.0),
        (0.0, 0.92, 0.0, 1.33, 0.155, 0.185, cloth, 1.0),
        (0.0, 1.40, 0.0, 1.52, 0.06, 0.055, skin, 0.9),
        (0.0, 1.62, 0.01, 1.65, 0.10, 0.105, skin, 1.0),
        (-0.02, 1.70, 0.0, 1.70, 0.098, 0.095, hair, 1.0),
        (0.20, 1.36, 0.21 + swing, 0.86, 0.06, 0.045, cloth, 1.0),
        (0.21 + swing, 0.84, 0.21 + swing, 0.80, 0.045, 0.045, skin, 1.0),
    ]
    flip = draw.choice((-1, 1))
    cast_shadow(canvas, plan, at, 0.45 * size, 1.6 * size)
    paint_body(
        canvas,
        plan,
        [
            Limb(
                (flip * a * size, b * size),
                (flip * c * size, d * size),
                (r * size, s * size),
                color,
                dim,
            )
            for a, b, c, d, r, s, color, dim in limbs
        ],
        at,
        PERSON,
        melt=0.012,
    )

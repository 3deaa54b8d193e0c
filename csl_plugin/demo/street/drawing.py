"""A street, drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from csl_plugin.demo.street.canvas import Canvas
from csl_plugin.demo.street.classes import SKY, UNSEEN
from csl_plugin.demo.street.ground import paint_ground
from csl_plugin.demo.street.houses import paint_houses
from csl_plugin.demo.street.noise import Noise
from csl_plugin.demo.street.photograph import photograph
from csl_plugin.demo.street.plan import draw_plan
from csl_plugin.demo.street.sky import paint_sky
from csl_plugin.demo.street.things import draw_thing
from csl_plugin.demo.street.traffic import draw_traffic
from csl_plugin.demo.street.trees import paint_horizon

_OVERSAMPLED = 2


@dataclass(frozen=True, eq=False)
class Street:
    """A street and what is on it.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        classes: (H, W) int64, indices of `STREET_CLASSES`; -1 where the unseen thing is.
        unseen: (H, W) boolean: the thing that no training street has.
        thing: Its name, "" without one.
    """

    image: NDArray[np.uint8]
    classes: NDArray[np.int64]
    unseen: NDArray[np.bool_]
    thing: str


def draw_street(seed: int, size: tuple[int, int] = (384, 640), *, unseen: bool = True) -> Street:
    """Draw a street, the same for the same seed and size.

    Args:
        seed: Not negative.
        size: (H, W) in pixels.
        unseen: Whether something is on the road that no training street has. The rest of the street is the
            same without it, but for what would stand in it or hide it.

    Example:
        >>> street = draw_street(1, (96, 160))
        >>> street.image.shape, bool((street.classes[street.unseen] == -1).all())
        ((96, 160, 3), True)
    """
    draw = np.random.default_rng(seed)
    plan = draw_plan(draw, (_OVERSAMPLED * size[0], _OVERSAMPLED * size[1]))
    noise, canvas = Noise(draw), Canvas(plan.camera.size)
    paint_sky(canvas, plan.camera, plan.light, noise, SKY)
    paint_horizon(canvas, plan, noise, draw)
    paint_ground(canvas, plan, noise, draw)
    paint_houses(canvas, plan, noise)
    standing = draw_traffic(plan, draw)
    name = ""
    if unseen:
        thing = draw_thing(np.random.default_rng([seed, 1]), plan)
        name = thing.name
        standing = [entry for entry in standing if not thing.crowds(entry.at)]
    far = [entry for entry in standing if not unseen or entry.at.z >= thing.at.z]
    for entry in sorted(far, key=lambda entry: -entry.at.z):
        entry.paint(canvas, plan, noise)
    if unseen:
        thing.paint(canvas, plan, noise)
    near = [entry for entry in standing if entry not in far]
    for entry in sorted(near, key=lambda entry: -entry.at.z):
        entry.paint(canvas, plan, noise)
    image = photograph(canvas, size, draw)
    classes = canvas.classes[::_OVERSAMPLED, ::_OVERSAMPLED].astype(np.int64)
    return Street(image, classes, classes == UNSEEN, name)

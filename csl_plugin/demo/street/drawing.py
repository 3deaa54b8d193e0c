"""A street, drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from csl_plugin._options import checked_integer
from csl_plugin.arrays import shown
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
from csl_plugin.errors import OptionError

_OVERSAMPLED = 2
_SIDES = 64, 4096


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
        seed: From 0.
        size: (H, W) in pixels, 64 to 4096 each.
        unseen: Whether something is on the road that no training street has. The rest of the street is the
            same without it, but for what would stand in it or hide it.

    Raises:
        OptionError: A seed or a size that is no integer in its range.

    Example:
        >>> street = draw_street(1, (96, 160))
        >>> street.image.shape, bool((street.classes[street.unseen] == -1).all())
        ((96, 160, 3), True)
    """
    seed = checked_integer("seed", seed, 0, None, "Pass 0, 1, 2 and so on.")
    if not hasattr(size, "__len__") or len(size) != 2:
        raise OptionError("size", shown(size), "height and width", "Omit it for (384, 640).")
    height, width = (checked_integer("size", side, *_SIDES, "Omit it for (384, 640).") for side in size)
    draw = np.random.default_rng(seed)
    plan = draw_plan(draw, (_OVERSAMPLED * height, _OVERSAMPLED * width))
    noise, canvas = Noise(draw), Canvas(plan.camera.size)
    paint_sky(canvas, plan.camera, plan.light, noise, SKY)
    paint_horizon(canvas, plan, noise, draw)
    paint_ground(canvas, plan, noise, draw)
    paint_houses(canvas, plan, noise)
    thing = draw_thing(np.random.default_rng([seed, 1]), plan) if unseen else None
    standing = sorted(draw_traffic(plan, draw), key=lambda entry: -entry.at.z)
    if thing is not None:
        standing = [entry for entry in standing if not thing.crowds(entry.at)]
    nearest = 0.0 if thing is None else thing.at.z
    for entry in standing:
        if entry.at.z >= nearest:
            entry.paint(canvas, plan, noise)
    if thing is not None:
        thing.paint(canvas, plan, noise)
    for entry in standing:
        if entry.at.z < nearest:
            entry.paint(canvas, plan, noise)
    image = photograph(canvas, (height, width), draw)
    classes = canvas.classes[::_OVERSAMPLED, ::_OVERSAMPLED].astype(np.int64)
    return Street(image, classes, classes == UNSEEN, "" if thing is None else thing.name)

"""The scores of the page: what is known of every pixel before regions are asked."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from csl_plugin.demo import StreetTeacher, load_teacher, rx_score
from csl_plugin.demo.street.scoring import teacher_score
from csl_plugin.viz.colors import Picture

TEACHER = "Street teacher"
"""The name of the entropy of the small segmenter of drawn streets."""

RX = "RX, no training"
"""The name of what compares a pixel with the rest of its image."""

OWN_MAP = "Your map"
"""The name of a map that a visitor drops."""


def _entropy(image: Picture) -> NDArray[np.float32]:
    return teacher_score(_teacher(), image)


@cache
def _teacher() -> StreetTeacher:
    return load_teacher()


def _rx(image: Picture) -> NDArray[np.float32]:
    return rx_score(image).astype(np.float32)


SCORES: dict[str, Callable[[Picture], NDArray[np.float32]]] = {
    TEACHER: _entropy,
    RX: _rx,
}
"""What scores an image, (h, w, 3) uint8 RGB, by (h, w) in [0, 1]; by the name that the page shows."""

"""The photographs of the page: examples that the package ships, and a visitor's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from csl_plugin.app.uploads import read_photograph
from csl_plugin.demo import STREET_SEED, draw_street
from csl_plugin.io import read_image
from csl_plugin.viz.colors import Picture

OWN = "Your photograph"
"""The name of what a visitor drops."""

_CAT = Path(__file__).resolve().parent / "chelsea.jpg"


@dataclass(frozen=True, eq=False)
class Photograph:
    """What is scored.

    Attributes:
        name: That of its file.
        image: (h, w, 3) uint8 RGB, at the size at which the page works.
        own_size: (H, W) of the file.
        truth: (h, w) boolean, the pixels of what nothing was trained on; None where it is not known.
        about: What is outlined, or who made it; empty for a visitor's own.
        is_street: Whether it is such as the street teacher has seen.
    """

    name: str
    image: Picture
    own_size: tuple[int, int]
    truth: NDArray[np.bool_] | None = None
    about: str = ""
    is_street: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of the image."""
        return self.image.shape[0], self.image.shape[1]


def own_photograph(path: Path) -> Photograph:
    """A visitor's photograph.

    Raises:
        FileError: As `read_photograph`.
    """
    image, size = read_photograph(path)
    return Photograph(path.name, image, size)


@cache
def _street(seed: int) -> Photograph:
    street = draw_street(seed)
    size = street.image.shape[0], street.image.shape[1]
    about = f"Outlined: a {street.thing}, which no training street has."
    return Photograph(f"street-{seed}.png", street.image, size, street.unseen, about, True)


@cache
def _cat() -> Photograph:
    image = read_image(_CAT)
    size = image.shape[0], image.shape[1]
    return Photograph("chelsea.jpg", image, size, about="Photograph by Stefan van der Walt, CC0.")


EXAMPLES: dict[str, Callable[[], Photograph]] = {
    "A street": partial(_street, STREET_SEED),
    "Another street": partial(_street, 6),
    "A street where regions hurt": partial(_street, 8),
    "A cat": _cat,
}
"""What makes each example, by the name that the page shows."""

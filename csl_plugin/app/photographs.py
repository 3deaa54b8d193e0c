"""The photographs of the page: examples that the package ships, and a visitor's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from csl_plugin.app.uploads import read_photograph
from csl_plugin.io import read_image
from csl_plugin.viz.colors import Picture

OWN = "Your photograph"
"""The name of what a visitor drops."""

_CAT = Path(__file__).resolve().parents[1] / "demo" / "chelsea.jpg"


@dataclass(frozen=True, eq=False)
class Photograph:
    """What is scored.

    Attributes:
        name: That of its file.
        image: (h, w, 3) uint8 RGB, at the size at which the page works.
        own_size: (H, W) of the file.
        truth: (h, w) boolean, the pixels of what nothing was trained on; None where it is not known.
        credit: Who made it; empty for a visitor's own.
    """

    name: str
    image: Picture
    own_size: tuple[int, int]
    truth: NDArray[np.bool_] | None = None
    credit: str = ""

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


def _cat() -> Photograph:
    image = read_image(_CAT)
    size = image.shape[0], image.shape[1]
    return Photograph("chelsea.jpg", image, size, credit="Photograph by Stefan van der Walt, CC0.")


EXAMPLES: dict[str, Callable[[], Photograph]] = {"A cat": _cat}
"""What makes each example, by the name that the page shows."""

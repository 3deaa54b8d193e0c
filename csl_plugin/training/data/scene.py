"""What flows on the data side of training: a labeled picture, the sample made of it, a batch of samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Picture: TypeAlias = NDArray[np.uint8]
Labels: TypeAlias = NDArray[np.int32]
Scores: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Scene:
    """A picture with its labels, before mask split.

    Attributes:
        image: (h, w, 3) uint8 RGB.
        labels: (h, w) int32. Pixels of one label are one class or one object, connected or not; -1 counts
            in no loss.
        classes: (h, w) int32 semantic class ids, -1 where there is none.
        taught: (C, h / 4, w / 4) float32, what a teacher said of the picture; None where there is no teacher.
        known: (h, w) bool, which pixels the teacher saw as they are; None likewise.
    """

    image: Picture
    labels: Labels
    classes: Labels
    taught: Scores | None = None
    known: NDArray[np.bool_] | None = None


class Source(Protocol):
    """Where scenes come from: a folder, or a generator."""

    def draw(self, rng: np.random.Generator, size: tuple[int, int]) -> Scene:
        """A scene of `size` (h, w); everything random about it comes from `rng`."""
        ...


class Sample(NamedTuple):
    """One image to train on.

    Attributes:
        image: (3, h, w) float32 RGB in [0, 1].
        regions: (h, w) int32: 0 .. K-1 the regions, -1 counts in no loss.
        classes: (h, w) int32 semantic class ids, -1 where there is none.
    """

    image: Tensor
    regions: Tensor
    classes: Tensor


class Batch(NamedTuple):
    """Images to train on in one step.

    Attributes:
        images: (B, 3, h, w) float32 RGB in [0, 1].
        regions: (B, h, w) int32: 0 .. K-1 the regions of each image, -1 counts in no loss.
        classes: (B, h, w) int32 semantic class ids, -1 where there is none.
        taught: (B, C, h / 4, w / 4) float32, a teacher's saved distribution; None without such a teacher.
        known: (B, h, w) bool, where it counts; None likewise.
    """

    images: Tensor
    regions: Tensor
    classes: Tensor
    taught: Tensor | None = None
    known: Tensor | None = None

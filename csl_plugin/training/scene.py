"""What flows on the data side of training: a labelled picture, the sample made of it, a batch of samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Picture: TypeAlias = NDArray[np.uint8]
Labels: TypeAlias = NDArray[np.int32]


@dataclass(frozen=True)
class Scene:
    """A picture with its labels, before mask split.

    Attributes:
        image: (h, w, 3) uint8 RGB.
        labels: (h, w) int32. Pixels of one label are one class or one object, connected or not; -1 counts
            in no loss.
        classes: (h, w) int32 semantic class ids, -1 where there is none.
    """

    image: Picture
    labels: Labels
    classes: Labels


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
    """

    images: Tensor
    regions: Tensor
    classes: Tensor

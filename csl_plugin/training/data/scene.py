"""The types of training data: a labeled picture, the sample made of it, a batch of samples."""

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
        labels: (h, w) int32. Pixels of one label are one class or one object, connected or not; -1 is ignored
            by every loss.
        classes: (h, w) int32 semantic class ids, -1 where there is none.
        teacher_scores: (C, h / 4, w / 4) float32, a teacher's distribution for the picture; None without
            teacher.
        teacher_mask: (h, w) bool, the pixels for which it holds: not those pasted over; None without teacher.
    """

    image: Picture
    labels: Labels
    classes: Labels
    teacher_scores: Scores | None = None
    teacher_mask: NDArray[np.bool_] | None = None


class Source(Protocol):
    """Where scenes come from: a folder, or a generator of synthetic pictures."""

    def draw(self, rng: np.random.Generator, size: tuple[int, int]) -> Scene:
        """A scene of `size` (h, w); `rng` is the only source of randomness."""
        ...


class Sample(NamedTuple):
    """One image to train on.

    Attributes:
        image: (3, h, w) float32 RGB in [0, 1].
        regions: (h, w) int32 region ids 0 .. K-1; -1 is ignored by every loss.
        classes: (h, w) int32 semantic class ids, -1 where there is none.
    """

    image: Tensor
    regions: Tensor
    classes: Tensor


class Batch(NamedTuple):
    """Images to train on in one step.

    Attributes:
        images: (B, 3, h, w) float32 RGB in [0, 1].
        regions: (B, h, w) int32 region ids 0 .. K-1 of each image; -1 is ignored by every loss.
        classes: (B, h, w) int32 semantic class ids, -1 where there is none.
        teacher_scores: (B, C, h / 4, w / 4) float32, the distribution of a saved teacher; None without one.
        teacher_mask: (B, h, w) bool, the pixels for which it holds; None without one.
    """

    images: Tensor
    regions: Tensor
    classes: Tensor
    teacher_scores: Tensor | None = None
    teacher_mask: Tensor | None = None

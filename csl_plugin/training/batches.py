"""Batches drawn ahead by worker processes, in order, from any step on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from csl_plugin.io.json_schema import Place, integer
from csl_plugin.training.data.scene import Batch
from csl_plugin.training.mixture import Mixture
from csl_plugin.training.workers import draw_ahead

MOST_WORKERS = 1024
_NAMES, _TEACHER_NAMES = ("image", "labels", "classes"), ("teacher_scores", "teacher_mask")


def batches(
    mixture: Mixture, size: int, *, start: int = 0, stop: int, first: int = 0, workers: int = 0
) -> Iterator[Batch]:
    """The batches of the steps from `start` up to `stop`.

    The batch of a step depends neither on `start` nor on the number of workers. Several processes share a
    batch when each draws its own slice of it, which begins at `first`.

    Args:
        mixture: Where samples come from.
        size: Samples per batch.
        start: First step.
        stop: The step after the last.
        first: Index of the first sample in the batch of the whole step.
        workers: Processes that draw batches ahead; with 0, this process draws each when it is needed.

    Yields:
        Batches on the CPU.

    Raises:
        OptionError: `size` is below 1, or `workers` negative or above 1024.
        CSLError: A worker cannot be started, or was ended, such as where memory runs out.

    Example:
        >>> from csl_plugin.training import DeadLeaves, Part, Textures
        >>> mixture = Mixture([Part(DeadLeaves(Textures()))], crop=(48, 64))
        >>> [batch.regions.shape for batch in batches(mixture, 2, stop=2)]
        [torch.Size([2, 48, 64]), torch.Size([2, 48, 64])]
    """
    integer(1, 1 << 16)(size, Place()["size"])
    integer(0, MOST_WORKERS)(workers, Place()["workers"])
    draw, steps = _Draw(mixture, range(first, first + size)), range(start, stop)
    drawn = draw_ahead(draw, steps, workers) if workers else map(draw, steps)
    return (_batch(*stacks) for stacks in drawn)


@dataclass(frozen=True)
class _Draw:
    """Whole batches by step; images are uint8, a quarter of the bytes of float32 between processes."""

    mixture: Mixture
    indices: range

    def __call__(self, step: int) -> list[NDArray[Any]]:
        scenes = [self.mixture.scene(step, index) for index in self.indices]
        names = _NAMES + _TEACHER_NAMES if self.mixture.teacher_classes else _NAMES
        return [np.stack([getattr(scene, name) for scene in scenes]) for name in names]


def _batch(images: NDArray[np.uint8], *rest: NDArray[Any]) -> Batch:
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().float().div_(255)
    return Batch(pixels, *map(torch.from_numpy, rest))

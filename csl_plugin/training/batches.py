"""Batches drawn ahead by worker processes, in order, from any step on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from csl_plugin._opencv import opencv
from csl_plugin.errors import OptionError
from csl_plugin.training.data.scene import Batch
from csl_plugin.training.mixture import Mixture

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
        OptionError: `size` is below 1, or `workers` negative.

    Example:
        >>> from csl_plugin.training import DeadLeaves, Part, Textures
        >>> mixture = Mixture([Part(DeadLeaves(Textures()))], crop=(48, 64))
        >>> [batch.regions.shape for batch in batches(mixture, 2, stop=2)]
        [torch.Size([2, 48, 64]), torch.Size([2, 48, 64])]
    """
    if size < 1 or workers < 0:
        hint = "Use at least 1 sample and 0 workers or more."
        raise OptionError("size, workers", f"{size}, {workers}", "size >= 1, workers >= 0", hint)
    steps = _Steps(mixture, size, first)
    loader = DataLoader(
        steps,
        batch_size=None,
        sampler=range(start, stop),
        num_workers=workers,
        worker_init_fn=_start_worker,
        generator=torch.Generator(),
    )
    return (
        Batch(images.permute(0, 3, 1, 2).contiguous().float().div_(255), *rest) for images, *rest in loader
    )


class _Steps(Dataset[Sequence[Tensor]]):
    """Whole batches by step; images are uint8, a quarter of the bytes of float32 between processes."""

    def __init__(self, mixture: Mixture, size: int, first: int) -> None:
        self._mixture, self._indices = mixture, range(first, first + size)

    def __getitem__(self, step: int) -> tuple[Tensor, ...]:
        scenes = [self._mixture.scene(step, index) for index in self._indices]
        names = _NAMES + _TEACHER_NAMES if self._mixture.teacher_classes else _NAMES
        stacks = ([getattr(scene, name) for scene in scenes] for name in names)
        return tuple(torch.from_numpy(np.stack(stack)) for stack in stacks)


def _start_worker(_: int) -> None:
    """OpenCV's threads do not survive a fork."""
    opencv().setNumThreads(0)

"""Batches made ahead by worker processes, in order, from any step on."""

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

_NAMES, _TAUGHT = ("image", "labels", "classes"), ("taught", "known")


def batches(
    mixture: Mixture, size: int, *, start: int = 0, stop: int, first: int = 0, workers: int = 0
) -> Iterator[Batch]:
    """The batches of the steps from `start` up to `stop`.

    The batch of a step is the same whatever step one starts from and however many workers there are.
    Several processes share one batch when each takes its own indices by `first`.

    Args:
        mixture: Where samples come from.
        size: Samples of a batch.
        start: First step.
        stop: The step after the last.
        first: Index of this batch's first sample in the step.
        workers: Processes that make batches ahead; 0 makes them in this process when they are asked for.

    Yields:
        Batches on the CPU.

    Raises:
        OptionError: A batch without samples, or a negative number of workers.

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
    """Whole batches by step, images as bytes: a quarter of what would go between processes as floats."""

    def __init__(self, mixture: Mixture, size: int, first: int) -> None:
        self._mixture, self._indices = mixture, range(first, first + size)

    def __getitem__(self, step: int) -> tuple[Tensor, ...]:
        scenes = [self._mixture.scene(step, index) for index in self._indices]
        names = _NAMES + _TAUGHT if self._mixture.taught_classes else _NAMES
        stacks = ([getattr(scene, name) for scene in scenes] for name in names)
        return tuple(torch.from_numpy(np.stack(stack)) for stack in stacks)


def _start_worker(_: int) -> None:
    """OpenCV's own threads do not survive a fork."""
    opencv().setNumThreads(0)

"""One step of training: the losses of a batch, and the gradient of their sum."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from csl_plugin.errors import OptionError
from csl_plugin.models import CSLNetwork
from csl_plugin.training.criterion.losses import WEIGHTS, distillation_loss, losses
from csl_plugin.training.processes import Processes, Total
from csl_plugin.training.settings import TrainingSettings

Teacher: TypeAlias = Callable[[Tensor], Tensor] | Literal["saved"]
"""From RGB images (B, 3, h, w) in [0, 1] to a distribution (B, C, h', w') in [0, 1] at any resolution; or
"saved", where batches bring along what a teacher said."""


class Batch(Protocol):
    """What a step needs of a batch."""

    @property
    def images(self) -> Tensor:
        """(B, 3, h, w) in [0, 1]."""
        ...

    @property
    def regions(self) -> Tensor:
        """(B, h, w) int32, negative where nothing counts."""
        ...

    @property
    def classes(self) -> Tensor:
        """(B, h, w) int32 class ids; read only where the network's queries have classes."""
        ...

    @property
    def taught(self) -> Tensor | None:
        """(B, C, h', w') a teacher's distribution; read only where the teacher is "saved"."""
        ...

    @property
    def known(self) -> Tensor | None:
        """(B, h, w) bool, where it counts; read likewise."""
        ...


def take_gradient(
    network: CSLNetwork,
    batch: Batch,
    settings: TrainingSettings,
    step: int,
    teacher: Teacher | None = None,
    processes: Processes | None = None,
) -> dict[str, float]:
    """Leave the gradient of a batch's losses in the network's parameters.

    All that is drawn depends on the settings' seed and the step. Where processes share a batch, each passes
    its own part, and all have the gradient and the figures of the whole.

    Args:
        network: In training mode.
        batch: Images and regions, of this process.
        settings: Of the run.
        step: From 0.
        teacher: As for `train`.
        processes: Those that share the batch; this one alone if left out.

    Returns:
        The losses by name and their sum, "loss". Where that is not finite, there is no gradient.

    Raises:
        OptionError: As for `train`.
    """
    processes = processes or Processes()
    device = next(network.parameters()).device
    draw = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
    images, regions = batch.images.to(device), batch.regions.to(device)
    points = None
    if network.config.points:
        size = len(images) * processes.count
        # Drawn for the whole batch, so that the rest of the draws does not depend on who draws.
        points = torch.rand(size, settings.points, 2, generator=draw)[list(processes.share(size))].to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=settings.bfloat16):
        output = network(images, points=points)
    classes = batch.classes.to(device) if network.config.region_classes else None
    found = losses(output, regions, points, classes=classes, draw=draw, total=processes.total)
    if teacher is not None:
        wanted, counted = _lesson(batch, images, regions, teacher)
        found["distillation"] = _distillation(output.distribution, wanted, counted, processes.total)
    parts = torch.stack(list(found.values()))
    read = processes.total(parts.detach()).tolist()  # the device is waited for once
    figures = {"loss": math.fsum(read), **dict(zip(found, read, strict=True))}
    network.zero_grad(set_to_none=True)
    if math.isfinite(figures["loss"]):
        torch.autograd.backward(parts.sum())
        processes.sum_gradients(network.parameters())
    return figures


def _lesson(batch: Batch, images: Tensor, regions: Tensor, teacher: Teacher) -> tuple[Tensor, Tensor]:
    """What the teacher says, and which pixels (B, h, w) of it count."""
    counted = regions >= 0
    if callable(teacher):
        with torch.no_grad():
            return teacher(images).float(), counted
    if batch.taught is None or batch.known is None:
        hint = "Pass a SavedTeacher to the folders that batches are drawn from."
        raise OptionError("teacher", "'saved' and batches without its maps", "batches with them", hint)
    return batch.taught.to(images.device), counted & batch.known.to(images.device)


def _distillation(distribution: Tensor | None, wanted: Tensor, counted: Tensor, total: Total) -> Tensor:
    own = 0 if distribution is None else distribution.shape[1]
    if distribution is None or own != wanted.shape[1]:
        hint = f"Build the network with NetworkConfig(num_classes={wanted.shape[1]})."
        raise OptionError("teacher", f"{wanted.shape[1]} classes", f"the network's {own}", hint)
    size = (distribution.shape[2], distribution.shape[3])
    if wanted.shape[2:] != size:
        wanted = F.interpolate(wanted, size, mode="bilinear", align_corners=False, antialias=True)
    shares = F.adaptive_avg_pool2d(counted.float(), size)
    return WEIGHTS["distillation"] * distillation_loss(distribution, wanted, shares, total)

"""One training step: the losses of a batch, and the gradient of their sum."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from csl_plugin.distributed import SINGLE, Processes
from csl_plugin.errors import OptionError
from csl_plugin.models import CSLNetwork, NetworkOutput
from csl_plugin.models.boundary import BoundaryLogits
from csl_plugin.training.criterion.losses import (
    WEIGHTS,
    distillation_loss,
    finer_boundary_loss,
    losses,
)
from csl_plugin.training.settings import TrainingSettings

Teacher: TypeAlias = Callable[[Tensor], Tensor] | Literal["saved"]
"""From RGB images (B, 3, h, w) in [0, 1] to a distribution (B, C, h', w') in [0, 1] at any resolution; or
"saved", where batches hold the distribution."""


class Batch(Protocol):
    """What a step reads of a batch."""

    @property
    def images(self) -> Tensor:
        """(B, 3, h, w) in [0, 1]."""
        ...

    @property
    def regions(self) -> Tensor:
        """(B, h, w) int32 region ids; negative pixels are ignored by every loss."""
        ...

    @property
    def classes(self) -> Tensor:
        """(B, h, w) int32 class ids; read only where the network's queries have classes."""
        ...

    @property
    def teacher_scores(self) -> Tensor | None:
        """(B, C, h', w') a teacher's distribution; read only where the teacher is "saved"."""
        ...

    @property
    def teacher_mask(self) -> Tensor | None:
        """(B, h, w) bool, where the distribution holds; read only where the teacher is "saved"."""
        ...


def take_gradient(
    network: CSLNetwork,
    batch: Batch,
    settings: TrainingSettings,
    step: int,
    teacher: Teacher | None = None,
    processes: Processes = SINGLE,
) -> dict[str, float]:
    """Compute the gradient of a batch's losses with respect to the network's parameters.

    Where only the finer-boundary head requires gradients, its loss is the only one. All random draws depend
    on the settings' seed and the step. Where processes share a batch, each passes its slice, and all get the
    gradient and the losses of the whole batch.

    Args:
        network: In training mode; the gradient is left in its parameters.
        batch: Images and regions of this process.
        settings: Of the job.
        step: From 0.
        teacher: As for `train`.
        processes: Those that share the batch.

    Returns:
        The losses by name and their sum, "loss". Where the sum is not finite, there is no gradient.

    Raises:
        OptionError: As for `train`.
    """
    device = next(network.parameters()).device
    generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
    images, regions = batch.images.to(device), batch.regions.to(device)
    points = None
    if network.config.points:
        size = len(images) * processes.count
        # Drawn for the whole batch, so that all later draws are the same in every process.
        drawn = torch.rand(size, settings.points, 2, generator=generator)
        points = drawn[list(processes.batch_slice(size))].to(device)
    found: dict[str, Tensor] = {}
    with torch.autocast(device.type, torch.bfloat16, enabled=settings.bfloat16):
        if _learns_only_finer_boundaries(network):
            output: NetworkOutput | BoundaryLogits = network.boundaries(images)
        else:
            output = network(images, points=points)
        learned = _finer_boundaries(network, images) if network.config.finer_boundary else None
    if isinstance(output, NetworkOutput):
        classes = batch.classes.to(device) if network.config.region_classes else None
        found = losses(output, regions, points, classes=classes, generator=generator, processes=processes)
        if teacher is not None:
            target, counted = _distillation_target(batch, images, regions, teacher)
            found["distillation"] = _distillation(output.distribution, target, counted, processes)
    if learned is not None and learned.finer_boundary is not None and output.boundary is not None:
        found["finer_boundary"] = finer_boundary_loss(
            learned.finer_boundary, learned.boundary, output.boundary, regions, processes
        )
    parts = torch.stack(list(found.values()))
    values = processes.total(parts.detach()).tolist()  # the only wait for the device
    named = {"loss": math.fsum(values), **dict(zip(found, values, strict=True))}
    network.zero_grad(set_to_none=True)
    if math.isfinite(named["loss"]):
        torch.autograd.backward(parts.sum())
        processes.sum_gradients(network.parameters())
    return named


def _learns_only_finer_boundaries(network: CSLNetwork) -> bool:
    learned = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    return bool(learned) and all(name.startswith("finer_boundary.") for name in learned)


def _finer_boundaries(network: CSLNetwork, images: Tensor) -> BoundaryLogits:
    """Boundaries of the images at half their size, and finer ones from the images as they are."""
    halved = F.interpolate(images, scale_factor=0.5, mode="bilinear", align_corners=False, antialias=True)
    return network.boundaries(halved.clamp(0, 1), finer=images)


def _distillation_target(
    batch: Batch, images: Tensor, regions: Tensor, teacher: Teacher
) -> tuple[Tensor, Tensor]:
    """The teacher's distribution, and the pixels (B, h, w) that are compared with it."""
    counted = regions >= 0
    if callable(teacher):
        with torch.no_grad():
            return teacher(images).float(), counted
    if batch.teacher_scores is None or batch.teacher_mask is None:
        hint = "Pass a SavedTeacher to the folders that batches are drawn from."
        raise OptionError("teacher", "'saved' and batches without its maps", "batches with them", hint)
    return batch.teacher_scores.to(images.device), counted & batch.teacher_mask.to(images.device)


def _distillation(
    distribution: Tensor | None, target: Tensor, counted: Tensor, processes: Processes
) -> Tensor:
    own = 0 if distribution is None else distribution.shape[1]
    if distribution is None or own != target.shape[1]:
        hint = f"Build the network with NetworkConfig(num_classes={target.shape[1]})."
        raise OptionError("teacher", f"{target.shape[1]} classes", f"the network's {own}", hint)
    size = (distribution.shape[2], distribution.shape[3])
    if target.shape[2:] != size:
        target = F.interpolate(target, size, mode="bilinear", align_corners=False, antialias=True)
    shares = F.adaptive_avg_pool2d(counted.float(), size)
    return WEIGHTS["distillation"] * distillation_loss(distribution, target, shares, processes)

"""The training loop: steps, moving average, saves, and exactly where it left off."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from csl_plugin.errors import CSLError, FileError, OptionError
from csl_plugin.models import CSLNetwork
from csl_plugin.training.losses import WEIGHTS, distillation_loss, losses
from csl_plugin.training.settings import TrainingSettings
from csl_plugin.training.state import load_state, save_state

STATE, LOG = "state.safetensors", "log.jsonl"


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


class Batches(Protocol):
    """Where batches come from: the batch of a step is the same whenever it is asked for."""

    def __call__(self, start: int) -> Iterator[Batch]:
        """Batches from step `start` on."""
        ...


Teacher = Callable[[Tensor], Tensor]
"""From RGB images (B, 3, h, w) in [0, 1] to a distribution (B, C, h', w') in [0, 1] at any resolution."""


def train(
    network: CSLNetwork,
    batches: Batches,
    settings: TrainingSettings,
    out: Path,
    *,
    teacher: Teacher | None = None,
) -> dict[str, Tensor]:
    """Train a network, or go on where a run in `out` stopped.

    Writes OUT/state.safetensors every `save_every` steps and one line of figures to OUT/log.jsonl.

    Args:
        network: To train, in place.
        batches: From step to batch.
        settings: How.
        out: The run's folder.
        teacher: Whose distribution the network's own shall follow (scheme 1); it is called without gradients
            on the images of every batch. The network needs as many classes as the teacher has.

    Returns:
        The moving average of the weights by name.

    Raises:
        OptionError: A teacher for a network without a distribution of as many classes.
        FileError: `out` holds a run with other settings or of another network.
        CSLError: The loss is not a number; the last good state is on disk.
    """
    device = next(network.parameters()).device
    optimiser = torch.optim.AdamW(_groups(network, settings), weight_decay=settings.weight_decay)
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    path = out / STATE
    step = _resume(path, network, average, optimiser, settings) if path.is_file() else 0
    _cut_log(out / LOG, step)
    network.train()
    with _bar(step, settings.steps) as bar:
        for batch in batches(step) if step < settings.steps else ():
            figures = _step(network, optimiser, batch, settings, step, device, teacher)
            if not math.isfinite(figures["loss"]):
                kept = f"The state before it is in {path}" if path.is_file() else "Nothing has been saved yet"
                mend = f"{kept}; look at the batch, or begin another run with a lower learning rate."
                raise CSLError("loss", f"{figures['loss']} at step {step}", "a finite number", mend)
            _average(average, network, settings.average, step)
            step += 1
            _log(out / LOG, step, figures)
            bar.set_postfix(loss=f"{figures['loss']:.2f}", refresh=False)
            bar.update()
            if step % settings.save_every == 0 or step == settings.steps:
                save_state(path, network, average, optimiser, {"step": step, "settings": settings.to_json()})
            if step == settings.steps:
                break
    network.eval()
    return average


def _step(
    network: CSLNetwork,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    settings: TrainingSettings,
    step: int,
    device: torch.device,
    teacher: Teacher | None,
) -> dict[str, float]:
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * _rate(step, settings)
    draw = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
    images, regions = batch.images.to(device), batch.regions.to(device)
    points = None
    if network.config.points:
        points = torch.rand(len(images), settings.points, 2, generator=draw).to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=settings.bfloat16):
        output = network(images, points=points)
    found = losses(output, regions, points, draw=draw)
    if teacher is not None:
        found["distillation"] = _distillation(output.distribution, teacher, images, regions)
    parts = torch.stack(list(found.values()))
    total = parts.sum()
    read = torch.cat([total.detach()[None], parts.detach()]).tolist()  # the device is waited for once
    figures = dict(zip(("loss", *found), read, strict=True))
    if math.isfinite(figures["loss"]):
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(total)
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
        if bool(torch.isfinite(norm)):
            optimiser.step()
        figures["gradient"] = float(norm)
    return figures


def _distillation(distribution: Tensor | None, teacher: Teacher, images: Tensor, regions: Tensor) -> Tensor:
    with torch.no_grad():
        wanted = teacher(images).float()
    own = 0 if distribution is None else distribution.shape[1]
    if distribution is None or own != wanted.shape[1]:
        mend = f"Build the network with NetworkConfig(num_classes={wanted.shape[1]})."
        raise OptionError("teacher", f"{wanted.shape[1]} classes", f"the network's {own}", mend)
    size = (distribution.shape[2], distribution.shape[3])
    if wanted.shape[2:] != size:
        wanted = F.interpolate(wanted, size, mode="bilinear", align_corners=False, antialias=True)
    counted = F.adaptive_avg_pool2d((regions >= 0).float(), size)
    return WEIGHTS["distillation"] * distillation_loss(distribution, wanted, counted)


def _groups(network: CSLNetwork, settings: TrainingSettings) -> list[dict[str, object]]:
    """Parameters by decay and rate."""
    groups: dict[tuple[bool, bool], list[Tensor]] = {}
    for name, parameter in network.named_parameters():
        groups.setdefault((name.startswith("backbone."), parameter.ndim > 1), []).append(parameter)
    found: list[dict[str, object]] = []
    for (in_backbone, decays), parameters in groups.items():
        peak = settings.learning_rate * (settings.backbone_factor if in_backbone else 1.0)
        group: dict[str, object] = {"params": parameters, "lr": peak, "peak": peak}
        found.append(group if decays else {**group, "weight_decay": 0.0})
    return found


def _rate(step: int, settings: TrainingSettings) -> float:
    if step < settings.warm_up:
        return (step + 1) / settings.warm_up
    progress = (step - settings.warm_up) / max(1, settings.steps - settings.warm_up)
    return 0.5 * (1 + math.cos(math.pi * progress))


@torch.no_grad()
def _average(average: dict[str, Tensor], network: CSLNetwork, decay: float, step: int) -> None:
    decay = min(decay, (1 + step) / (10 + step))
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - decay)
        else:
            average[name].copy_(value)


def _resume(
    path: Path,
    network: CSLNetwork,
    average: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
    settings: TrainingSettings,
) -> int:
    facts = load_state(path, network, average, optimiser)
    before, now = facts["settings"], settings.to_json()
    changed = [name for name in now if name != "save_every" and before.get(name) != now[name]]
    if changed:
        got = ", ".join(f"{name} {now[name]!r}" for name in changed)
        expected = ", ".join(f"{name} {before.get(name)!r}" for name in changed)
        mend = "Begin a run of its own in another folder, from these weights if you like."
        raise FileError(str(path), got, f"{expected}, as the run began", mend)
    return int(facts["step"])


def _log(path: Path, step: int, figures: dict[str, float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as log:
        log.write(
            json.dumps({"step": step, **{name: round(value, 5) for name, value in figures.items()}}) + "\n"
        )


def _cut_log(path: Path, step: int) -> None:
    """Drop what was logged after the state was saved: those steps are done again."""
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8").splitlines()[:step]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def _bar(step: int, steps: int):  # type: ignore[no-untyped-def]  # noqa: ANN202
    from tqdm import tqdm

    return tqdm(total=steps, initial=step, desc="train", unit="step", disable=None, file=sys.stderr)

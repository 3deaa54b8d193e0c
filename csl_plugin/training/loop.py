"""The training loop: steps, moving average, saves, and exactly where it left off."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from csl_plugin.errors import CSLError, FileError
from csl_plugin.models import CSLNetwork
from csl_plugin.training.log import RunLog
from csl_plugin.training.processes import Processes
from csl_plugin.training.settings import TrainingSettings
from csl_plugin.training.state import load_state, save_state
from csl_plugin.training.step import Batch, Teacher, take_gradient
from csl_plugin.training.validation import Validation

STATE = "state.safetensors"


class Batches(Protocol):
    """Where batches come from: the batch of a step is the same whenever it is asked for."""

    def __call__(self, start: int) -> Iterator[Batch]:
        """Batches from step `start` on."""
        ...


def train(
    network: CSLNetwork,
    batches: Batches,
    settings: TrainingSettings,
    out: Path,
    *,
    teacher: Teacher | None = None,
    validation: Validation | None = None,
    processes: Processes | None = None,
) -> dict[str, Tensor]:
    """Train a network, or go on where a run in `out` stopped.

    Writes OUT/state.safetensors every `save_every` steps, one line of figures a step to OUT/log.jsonl, and
    with every save what the log looks like, OUT/log.svg. Only the first of several processes writes.

    Args:
        network: To train, in place.
        batches: From step to batch; where several processes share a batch, to this one's part of it.
        settings: How.
        out: The run's folder.
        teacher: Whose distribution the network's own shall follow (scheme 1): a function, called without
            gradients on the images of every batch, or "saved", where batches bring it along. The network
            needs as many classes as the teacher has.
        validation: How the moving average is measured now and then.
        processes: Those that train together; this one alone if left out.

    Returns:
        The moving average of the weights by name.

    Raises:
        OptionError: A teacher for a network without a distribution of as many classes, or a batch size that
            the processes cannot share.
        FileError: `out` holds a run with other settings or of another network.
        CSLError: The loss is not a number; the last good state is on disk.
    """
    processes = processes or Processes()
    processes.share(settings.batch_size)
    optimizer = torch.optim.AdamW(_groups(network, settings), weight_decay=settings.weight_decay)
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    path, log = out / STATE, RunLog(out)
    step = _resume(path, network, average, optimizer, settings) if path.is_file() else 0
    processes.agree(step, str(out))
    writes = processes.rank == 0
    if writes:
        log.cut(step)
    network.train()
    with _bar(step, settings.steps, hidden=not writes) as bar:
        for batch in batches(step) if step < settings.steps else ():
            figures = take_gradient(network, batch, settings, step, teacher, processes)
            if not math.isfinite(figures["loss"]):
                kept = f"The state before it is in {path}" if path.is_file() else "Nothing has been saved yet"
                hint = f"{kept}; look at the batch, or begin another run with a lower learning rate."
                raise CSLError("loss", f"{figures['loss']} at step {step}", "a finite number", hint)
            figures |= _move(network, optimizer, settings, step)
            _average(average, network, settings.average, step)
            step += 1
            if writes and validation is not None and (validation.is_due(step) or step == settings.steps):
                measured = validation.measure(network, average)
                figures |= measured
                bar.set_postfix_str(" ".join(f"{name} {value:.3f}" for name, value in measured.items()))
            bar.set_description(f"train, loss {figures['loss']:.2f}", refresh=False)
            bar.update()
            if writes:
                log.add(step, figures)
            if writes and (step % settings.save_every == 0 or step == settings.steps):
                facts = {"step": step, "settings": settings.to_json()}
                save_state(path, network, average, optimizer, facts)
                log.draw()
            if step == settings.steps:
                break
    network.eval()
    return average


def _move(
    network: CSLNetwork, optimizer: torch.optim.Optimizer, settings: TrainingSettings, step: int
) -> dict[str, float]:
    """Take the step; the gradient's norm and the rate."""
    rate = _rate(step, settings)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * rate
    norm = float(torch.nn.utils.clip_grad_norm_(network.parameters(), settings.clip))
    if math.isfinite(norm):
        optimizer.step()
    return {"gradient": norm, "rate": settings.learning_rate * rate}


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
    optimizer: torch.optim.Optimizer,
    settings: TrainingSettings,
) -> int:
    facts = load_state(path, network, average, optimizer)
    before, now = facts["settings"], settings.to_json()
    changed = [name for name in now if name != "save_every" and before.get(name) != now[name]]
    if changed:
        got = ", ".join(f"{name} {now[name]!r}" for name in changed)
        expected = ", ".join(f"{name} {before.get(name)!r}" for name in changed)
        hint = "Begin a run of its own in another folder, from these weights if you like."
        raise FileError(str(path), got, f"{expected}, as the run began", hint)
    return int(facts["step"])


def _bar(step: int, steps: int, hidden: bool):  # type: ignore[no-untyped-def]  # noqa: ANN202
    from tqdm import tqdm

    return tqdm(total=steps, initial=step, desc="train", unit="step", disable=hidden or None, file=sys.stderr)

"""The training loop: steps, moving average of the weights, checkpoints, exact continuation."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from csl_plugin.distributed import SINGLE, Processes
from csl_plugin.errors import CSLError, FileError
from csl_plugin.models import CSLNetwork
from csl_plugin.training.log import TrainingLog
from csl_plugin.training.settings import TrainingSettings
from csl_plugin.training.state import load_state, save_state
from csl_plugin.training.step import Batch, Teacher, take_gradient
from csl_plugin.training.validation import Validation

STATE = "state.safetensors"


class Batches(Protocol):
    """Where batches come from; the batch of a step is always the same."""

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
    processes: Processes = SINGLE,
) -> dict[str, Tensor]:
    """Train a network, or continue the job in `out` if it was interrupted.

    Writes OUT/state.safetensors every `save_every` steps, a line of losses and metrics per step to
    OUT/log.jsonl, and with every checkpoint a picture of the log, OUT/log.svg. Of several processes, only the
    first writes.

    Args:
        network: Trained in place.
        batches: Gives the batches from a step on; where processes share a batch, the slice of this process.
        settings: Length, batch size and optimizer.
        out: The job's folder.
        teacher: The target of the network's distribution (scheme 1): a function, called without gradients on
            the images of every batch, or "saved", where batches hold the target. The network needs as many
            classes as the teacher.
        validation: Measures the moving average at regular steps; None for no validation.
        processes: Those that share every batch.

    Returns:
        The moving average of the weights by name.

    Raises:
        OptionError: The network has no distribution of as many classes as the teacher, or the processes
            cannot share a batch evenly.
        FileError: `out` holds a job with other settings or of another network.
        CSLError: The loss is not finite; the last checkpoint is kept.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from csl_plugin.models import NetworkConfig
        >>> from csl_plugin.training import DeadLeaves, Mixture, Part, Textures, batches
        >>> sizes = {"embedding_width": 8, "query_width": 8, "num_heads": 1, "feedforward_width": 8}
        >>> network = CSLNetwork(NetworkConfig(num_queries=2, num_layers=1, **sizes))
        >>> mixture = Mixture([Part(DeadLeaves(Textures()))], crop=(32, 32))
        >>> settings = TrainingSettings(steps=1, batch_size=1, crop=(32, 32))
        >>> from_step = lambda step: batches(mixture, 1, start=step, stop=1)
        >>> with TemporaryDirectory() as out:
        ...     average = train(network, from_step, settings, Path(out))
        >>> len(average) == len(network.state_dict())
        True
    """
    processes.batch_slice(settings.batch_size)
    optimizer = torch.optim.AdamW(_groups(network, settings), weight_decay=settings.weight_decay)
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    path, log = out / STATE, TrainingLog(out)
    step = _resume(path, network, average, optimizer, settings) if path.is_file() else 0
    processes.check_step(step, str(out))
    writes = processes.is_first
    if writes:
        log.cut(step)
    network.train()
    with _bar(step, settings.steps, hidden=not writes) as bar:
        for batch in batches(step) if step < settings.steps else ():
            values = take_gradient(network, batch, settings, step, teacher, processes)
            if not math.isfinite(values["loss"]):
                kept = f"The last checkpoint is {path}" if path.is_file() else "Nothing has been saved yet"
                hint = (
                    f"{kept}; inspect the batch, or train again in another folder with a lower learning rate."
                )
                raise CSLError("loss", f"{values['loss']} at step {step}", "a finite number", hint)
            values |= _update(network, optimizer, settings, step)
            _average(average, network, settings.average, step)
            step += 1
            if writes and validation is not None and (validation.is_due(step) or step == settings.steps):
                measured = validation.measure(network, average)
                values |= measured
                bar.set_postfix_str(" ".join(f"{name} {value:.3f}" for name, value in measured.items()))
            bar.set_description(f"train, loss {values['loss']:.2f}", refresh=False)
            bar.update()
            if writes:
                log.add(step, values)
            if writes and (step % settings.save_every == 0 or step == settings.steps):
                facts = {"step": step, "settings": settings.to_json()}
                save_state(path, network, average, optimizer, facts)
                log.draw()
            if step == settings.steps:
                break
    network.eval()
    return average


def _update(
    network: CSLNetwork, optimizer: torch.optim.Optimizer, settings: TrainingSettings, step: int
) -> dict[str, float]:
    """Take the optimizer step; returns the gradient's norm and the learning rate."""
    rate = _rate(step, settings)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * rate
    norm = float(torch.nn.utils.clip_grad_norm_(network.parameters(), settings.clip))
    if math.isfinite(norm):
        optimizer.step()
    return {"gradient": norm, "rate": settings.learning_rate * rate}


def _groups(network: CSLNetwork, settings: TrainingSettings) -> list[dict[str, object]]:
    """Parameter groups by learning rate and weight decay."""
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
        hint = "Continue with the settings of the job, or use another folder."
        raise FileError(str(path), got, f"{expected}, as the job was started with", hint)
    return int(facts["step"])


def _bar(step: int, steps: int, hidden: bool):  # type: ignore[no-untyped-def]  # noqa: ANN202
    from tqdm import tqdm

    return tqdm(total=steps, initial=step, desc="train", unit="step", disable=hidden or None, file=sys.stderr)

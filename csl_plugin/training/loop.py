"""The training loop: steps, moving average of the weights, checkpoints, exact continuation."""

from __future__ import annotations

import math
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from csl_plugin._version import __version__
from csl_plugin.distributed import SINGLE, Processes
from csl_plugin.errors import CSLError, FileError, OptionError
from csl_plugin.models import CSLNetwork
from csl_plugin.training.identity import check_continued
from csl_plugin.training.job_folder import STATE, TRAINING_FILES, job_folder
from csl_plugin.training.log import TrainingLog
from csl_plugin.training.settings import TrainingSettings
from csl_plugin.training.state import Facts, load_state, read_facts, save_state
from csl_plugin.training.step import Batch, Teacher, take_gradient
from csl_plugin.training.validation import Validation


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
    job: Mapping[str, Any] | None = None,
    processes: Processes = SINGLE,
) -> dict[str, Tensor]:
    """Train a network, or continue the job in `out` if it was interrupted.

    Writes OUT/state.safetensors every `save_every` steps, a line of losses and metrics per step to
    OUT/log.jsonl, and with every checkpoint a picture of the log, OUT/log.svg. Of several processes, only the
    first writes.

    The folder is new, empty, or of a training, and held while this one is at work in it. A job is continued
    with the settings and the network that it was started with; `save_every` may differ.

    Args:
        network: Trained in place.
        batches: Gives the batches from a step on; where processes share a batch, the slice of this process.
        settings: Length, batch size and optimizer.
        out: The job's folder.
        teacher: The target of the network's distribution (scheme 1): a function, called without gradients on
            the images of every batch, or "saved", where batches hold the target. The network needs as many
            classes as the teacher.
        validation: Measures the moving average at regular steps; None for no validation.
        job: What else the result depends on, such as the data: JSON values, which are stored with every
            checkpoint, and have to be the same where it continues.
        processes: Those that share every batch.

    Returns:
        The moving average of the weights by name.

    Raises:
        OptionError: The network has no distribution of as many classes as the teacher, or the processes
            cannot share a batch evenly; `batches` ends too early; or `out` holds what no training made, or
            another one is at work in it.
        FileError: `out` holds a job with other settings, of another network or by another `job`; its
            checkpoint is damaged; or a file cannot be written: then the last checkpoint is as it was.
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
    taken = job_folder(out, TRAINING_FILES, writes=processes.is_first)
    with taken as folder, folder.writing("training", TRAINING_FILES):
        return take_steps(network, batches, settings, out, teacher, validation, job, processes)


def take_steps(
    network: CSLNetwork,
    batches: Batches,
    settings: TrainingSettings,
    out: Path,
    teacher: Teacher | None,
    validation: Validation | None,
    job: Mapping[str, Any] | None,
    processes: Processes,
) -> dict[str, Tensor]:
    """`train`, in a folder that is taken."""
    processes.batch_slice(settings.batch_size)
    optimizer = torch.optim.AdamW(_groups(network, settings), weight_decay=settings.weight_decay)
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    path, log = out / STATE, TrainingLog(out)
    step = _resume(path, network, average, optimizer, settings, job, processes)
    processes.check_step(step, str(out))
    writes = processes.is_first
    if writes:
        log.cut(step)
        log.draw()
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
                facts = Facts(step, settings.to_json(), network.config.to_json(), job, __version__)
                save_state(path, network, average, optimizer, facts)
                log.draw()
            if step == settings.steps:
                break
    if step < settings.steps:
        hint = "Give batches without end; those after the last step are not drawn."
        raise OptionError("batches", f"the last at step {step}", f"batches up to {settings.steps}", hint)
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
        if not parameter.requires_grad:
            continue
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
    job: Mapping[str, Any] | None,
    processes: Processes,
) -> int:
    """Read the checkpoint, if there is one; returns the step it was saved after."""
    if not os.path.lexists(path):
        return 0
    before = read_facts(path)
    # Other processes may have copies of the data, whose times differ.
    check_continued(path, before, settings, network, job if processes.is_first else before.job)
    if before.step > settings.steps:
        hint = "Use an earlier copy of this file, or another folder."
        raise FileError(str(path), f"the step {before.step}", f"at most {settings.steps}", hint)
    if job is not None and before.job is None and processes.is_first:
        text = f"{path} was saved before checkpoints held the recipe, the data and the first weights"
        warnings.warn(f"{text}: only the settings are compared", stacklevel=3)
    if before.version not in (None, __version__) and processes.is_first:
        text = f"{path} was saved by version {before.version}, and is continued by {__version__}"
        warnings.warn(f"{text}: no single version gives the result", stacklevel=3)
    return load_state(path, network, average, optimizer).step


def _bar(step: int, steps: int, hidden: bool):  # type: ignore[no-untyped-def]  # noqa: ANN202
    from tqdm import tqdm

    return tqdm(total=steps, initial=step, desc="train", unit="step", disable=hidden or None, file=sys.stderr)

"""A checkpoint of a job: weights, their average and the optimizer's state as safetensors; no pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from csl_plugin.errors import FileError
from csl_plugin.io import atomic_path
from csl_plugin.io.limits import as_file_error, check_file
from csl_plugin.models.former_names import current_name

# Prefixes in the file, spelled as in every checkpoint since the first.
_WEIGHTS, _AVERAGE, _MOMENTS = "weights.", "average.", "optimiser."


def save_state(
    path: Path,
    network: nn.Module,
    average: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    facts: dict[str, Any],
) -> None:
    """Write a checkpoint, as a whole or not at all.

    Args:
        path: A safetensors file.
        network: Whose weights to save.
        average: Their moving average by name.
        optimizer: Over parameters that `network` names.
        facts: JSON values, such as the step.
    """
    from safetensors.torch import save_file

    tensors = {_WEIGHTS + name: value for name, value in network.state_dict().items()}
    tensors |= {_AVERAGE + name: value for name, value in average.items()}
    moments = 0
    for name, parameter in network.named_parameters():
        state = optimizer.state.get(parameter, {})
        moments += bool(state)
        for kind, value in state.items():
            tensors[f"{_MOMENTS}{kind}.{name}"] = torch.as_tensor(value)
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, {"facts": json.dumps(facts), "moments": str(moments)})


def load_state(
    path: Path, network: nn.Module, average: dict[str, Tensor], optimizer: torch.optim.Optimizer
) -> dict[str, Any]:
    """Read a checkpoint into all three; returns the facts.

    Raises:
        FileError: The file is damaged or incomplete, or of another network.
    """
    from safetensors import safe_open

    check_file(path)
    with as_file_error(path, "a training state"), safe_open(path, "pt") as stored:
        metadata = stored.metadata() or {}
        facts: dict[str, Any] = json.loads(metadata["facts"])
        expected = (
            int(metadata["moments"]) if "moments" in metadata else None
        )  # older files do not count them
        tensors = {current_name(name): stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    _check_facts(path, facts)
    _check_finite(path, tensors)
    weights = {name[len(_WEIGHTS) :]: value for name, value in tensors.items() if name.startswith(_WEIGHTS)}
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        hint = "Continue with the configuration that the job was started with, or use another folder."
        raise FileError(str(path), "the state of another network", "this one's", hint) from error
    with torch.no_grad():
        for name, value in average.items():
            value.copy_(_stored(path, tensors, _AVERAGE + name, value))
    found = 0
    for name, parameter in network.named_parameters():
        kinds = {}
        if f"{_MOMENTS}step.{name}" in tensors:  # a parameter without a gradient so far has no moments
            kinds["step"] = tensors[f"{_MOMENTS}step.{name}"]
            for kind in ("exp_avg", "exp_avg_sq"):
                moment = _stored(path, tensors, f"{_MOMENTS}{kind}.{name}", parameter)
                kinds[kind] = moment.to(parameter.device)
            optimizer.state[parameter] = kinds
            found += 1
    if expected is not None and found != expected:
        raise _damaged(path, f"the optimizer's moments of {found} weights", f"those of {expected}")
    return facts


def _stored(path: Path, tensors: dict[str, Tensor], name: str, like: Tensor) -> Tensor:
    """A tensor of the file.

    Raises:
        FileError: It is missing, or of another shape than `like`.
    """
    found = tensors.get(name)
    if found is None or found.shape != like.shape:
        got = f"no {name}" if found is None else f"{name} of shape {tuple(found.shape)}"
        raise _damaged(path, got, f"one of shape {tuple(like.shape)}")
    return found


def _check_facts(path: Path, facts: object) -> None:
    if not isinstance(facts, dict) or not isinstance(facts.get("settings"), dict):
        raise _damaged(path, "no settings", "those that the job was started with")
    step = facts.get("step")
    if not isinstance(step, int) or isinstance(step, bool) or step < 0:
        raise _damaged(path, f"the step {step!r}", "an integer of at least 0")


def _check_finite(path: Path, tensors: dict[str, Tensor]) -> None:
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise _damaged(path, f"{name} with nan or infinite values", "finite values")


def _damaged(path: Path, got: str, expected: str) -> FileError:
    return FileError(str(path), got, expected, "Use an earlier copy of this file, or another folder.")

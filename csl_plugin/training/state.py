"""A checkpoint of a job: weights, their average and the optimizer's state as safetensors; no pickle."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from csl_plugin.errors import FileError
from csl_plugin.io import atomic_path
from csl_plugin.io.json_files import LARGEST_JSON, parse_json
from csl_plugin.io.json_schema import Place, integer, record, table, text
from csl_plugin.io.limits import as_file_error, check_file
from csl_plugin.models.former_names import current_name

# Prefixes in the file, spelled as in every checkpoint since the first.
_WEIGHTS, _AVERAGE, _MOMENTS = "weights.", "average.", "optimiser."
_NEVER_NEGATIVE = (f"{_MOMENTS}step.", f"{_MOMENTS}exp_avg_sq.")
_COUNTS = (".running_var", ".num_batches_tracked")  # of batch norms
_KINDS = {torch.float32: "F32", torch.float64: "F64", torch.int64: "I64"}
_HINT = "Use an earlier copy of this file, or remove it: then the training starts from its first step."
_LONGEST_FACTS = 4 * LARGEST_JSON


@dataclass(frozen=True)
class Facts:
    """What a checkpoint says of its job.

    Attributes:
        step: Steps that were taken.
        settings: Of the training, as JSON values.
        network: The network's configuration; None in checkpoints of before it was stored, as below.
        job: What else the result depends on; see `csl_plugin.training.train`.
        version: Of the package.
    """

    step: int
    settings: Mapping[str, Any]
    network: Mapping[str, Any] | None = None
    job: Mapping[str, Any] | None = None
    version: str | None = None


_ANY = table(lambda value, _: value)
_FACTS = record(
    Facts,
    {"step": integer(0, 10**9), "settings": _ANY, "network": _ANY, "job": _ANY, "version": text},
    "step",
    "settings",
)


def save_state(
    path: Path,
    network: nn.Module,
    average: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    facts: Facts,
) -> None:
    """Write a checkpoint, as a whole or not at all.

    Args:
        path: A safetensors file; its folder is created.
        network: Whose weights to save.
        average: Their moving average by name.
        optimizer: Over parameters that `network` names.
        facts: Of the job.

    Raises:
        FileError: The file cannot be written; the one before is left as it was.
    """
    from safetensors import SafetensorError
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
    known = {name: value for name, value in asdict(facts).items() if value is not None}
    with atomic_path(path) as temporary:
        try:
            save_file(tensors, temporary, {"facts": json.dumps(known), "moments": str(moments)})
        except SafetensorError as error:  # such as of a full disk
            raise OSError(str(error)) from error


def load_state(
    path: Path, network: nn.Module, average: dict[str, Tensor], optimizer: torch.optim.Optimizer
) -> Facts:
    """Read a checkpoint into all three; returns the facts.

    Names, shapes and types are compared before a value is read, and all values are checked before one of the
    three is changed.

    Raises:
        FileError: The file is damaged or incomplete, or of another network.
    """
    from safetensors import safe_open

    check_file(path)
    with as_file_error(path, "a training state", _HINT), safe_open(path, "pt") as stored:
        metadata = stored.metadata() or {}
        facts = _facts(path, metadata)
        names = {current_name(name): name for name in stored.keys()}  # noqa: SIM118
        expected = _expected(names.keys(), network)
        _check_names(path, names.keys(), expected)
        for name, like in expected.items():
            part = stored.get_slice(names[name])
            shape, kind = tuple(part.get_shape()), part.get_dtype()
            if shape != tuple(like.shape) or kind != _KINDS.get(like.dtype):
                got = f"{name} of {kind} {shape}"
                raise _damaged(path, got, f"{like.dtype} {tuple(like.shape)}")
        tensors = {name: stored.get_tensor(names[name]) for name in expected}
    _check_values(path, tensors, facts)
    _check_moments(path, metadata, tensors)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            value.copy_(tensors[_WEIGHTS + name])
        for name, value in average.items():
            value.copy_(tensors[_AVERAGE + name])
    for name, parameter in network.named_parameters():
        if f"{_MOMENTS}step.{name}" in tensors:
            moments = {kind: tensors[f"{_MOMENTS}{kind}.{name}"] for kind in ("exp_avg", "exp_avg_sq")}
            optimizer.state[parameter] = {
                "step": tensors[f"{_MOMENTS}step.{name}"],
                **{kind: value.to(parameter.device, parameter.dtype) for kind, value in moments.items()},
            }
    return facts


def read_facts(path: Path) -> Facts:
    """What a checkpoint says of its job, without its values.

    Raises:
        FileError: The file is damaged, or no checkpoint.
    """
    from safetensors import safe_open

    check_file(path)
    with as_file_error(path, "a training state", _HINT), safe_open(path, "pt") as stored:
        return _facts(path, stored.metadata() or {})


def _facts(path: Path, metadata: Mapping[str, str]) -> Facts:
    if "facts" not in metadata or len(metadata["facts"]) > _LONGEST_FACTS:
        raise _damaged(path, "no facts of a job", "the step and the settings")
    return _FACTS(parse_json(metadata["facts"], str(path), "a training state"), Place(str(path)))


def _expected(found: Collection[str], network: nn.Module) -> dict[str, Tensor]:
    """A tensor of the shape and type of each that the file should hold.

    A parameter without a gradient so far has no moments.
    """
    expected: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        expected |= {_WEIGHTS + name: value, _AVERAGE + name: value}
    for name, value in network.named_parameters():
        kinds: dict[str, Tensor] = {f"{_MOMENTS}{kind}.{name}": value for kind in ("exp_avg", "exp_avg_sq")}
        kinds[f"{_MOMENTS}step.{name}"] = torch.zeros((), device="cpu", dtype=torch.float32)
        if any(kind in found for kind in kinds):
            expected |= kinds
    return expected


def _check_names(path: Path, found: Collection[str], expected: Collection[str]) -> None:
    weights = {name for name in expected if name.startswith(_WEIGHTS)}
    if weights != {name for name in found if name.startswith(_WEIGHTS)}:
        hint = "Continue with the configuration that the job was started with, or use another folder."
        raise FileError(str(path), "the state of another network", "this one's", hint)
    for name in expected:
        if name not in found:
            raise _damaged(path, f"no {name}", "all of the network's and the optimizer's values")
    for name in found:
        if name not in expected:
            raise _damaged(
                path, f"{name[:200]!r}, which is unknown", "the network's and the optimizer's values"
            )


def _check_values(path: Path, tensors: Mapping[str, Tensor], facts: Facts) -> None:
    for name, value in tensors.items():
        if not value.numel():
            continue
        low, high = (float(end) for end in value.aminmax())
        if not math.isfinite(low + high):
            raise _damaged(path, f"{name} with nan or infinite values", "finite values")
        if low < 0 and (name.startswith(_NEVER_NEGATIVE) or name.endswith(_COUNTS)):
            raise _damaged(path, f"{name} with the value {low:g}", "0 or more")
        if name.startswith(f"{_MOMENTS}step.") and high > facts.step:
            raise _damaged(path, f"{name} of {high:g}", f"at most the job's step, {facts.step}")


def _check_moments(path: Path, metadata: Mapping[str, str], tensors: Collection[str]) -> None:
    """Compare the number of weights that have moments with the one that was saved."""
    if "moments" not in metadata:  # older files do not count them
        return
    count = sum(name.startswith(f"{_MOMENTS}step.") for name in tensors)
    if metadata["moments"] != str(count):
        got = f"the optimizer's moments of {count} weights"
        raise _damaged(path, got, f"those of {metadata['moments'][:20]}")


def _damaged(path: Path, got: str, expected: str) -> FileError:
    return FileError(str(path), got, expected, _HINT)

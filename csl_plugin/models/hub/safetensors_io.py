"""The files of a network, config.json and model.safetensors: read strictly, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from csl_plugin.errors import FileError
from csl_plugin.io.atomic import atomic_path
from csl_plugin.io.json_files import LARGEST_JSON, read_json
from csl_plugin.io.json_schema import Place, in_json
from csl_plugin.io.limits import as_file_error
from csl_plugin.models.config import NetworkConfig, read_network_config
from csl_plugin.models.former_names import former_name
from csl_plugin.models.hub.weight_files import WEIGHTS, WeightFiles, read_parts

CONFIG = "config.json"
LARGEST_CONFIG = LARGEST_JSON
_LARGEST_ELEMENT, _ROOM = 8, 32 << 20  # room for the header, and for a classifier that is not read
_FLOATS = ("F64", "F32", "F16", "BF16")


def read_config(path: Path) -> NetworkConfig:
    """The configuration of a network.

    Raises:
        FileError: Missing, too large, or no configuration.
    """
    return read_network_config(read_json(path, "a network's configuration"), Place(str(path)))


def largest_weights(expected: Mapping[str, Tensor]) -> int:
    """More bytes than a file of these weights can have."""
    return _LARGEST_ELEMENT * sum(value.numel() for value in expected.values()) + _ROOM


def read_weights(
    files: WeightFiles,
    expected: Mapping[str, Tensor],
    *,
    optional: frozenset[str] = frozenset(),
    ignored: frozenset[str] = frozenset(),
) -> dict[str, Tensor]:
    """Read exactly the expected weights from safetensors files, in the expected types.

    A weight may be stored under its former name (`csl_plugin.models.former_names`). No weight is read before
    all names, shapes and types have been compared.

    Args:
        files: Of the weights.
        expected: Names, shapes and types, such as a network's `state_dict()`.
        optional: Names that may be missing in the file; they are then missing in the result.
        ignored: Further names that the file may hold; they are not read.

    Raises:
        FileError: Missing or damaged, not finite, or a name, a shape or a type is missing, wrong or unknown.
    """
    parts = read_parts(files)
    aliases = {name: name if name in parts else former_name(name) for name in expected}
    sources = {name: alias for name, alias in aliases.items() if alias in parts}
    wrong = [f"no {name}" for name in expected if name not in sources.keys() | optional]
    unknown = parts.keys() - frozenset(sources.values()) - ignored
    wrong += [f"{_quoted(name)}, which is unknown" for name in sorted(unknown)]
    for name, source in sources.items():
        part, value = parts[source], expected[name]
        if part.shape != tuple(value.shape):
            wrong.append(f"{name} of {part.shape} for {tuple(value.shape)}")
        elif (part.kind in _FLOATS) != value.is_floating_point():
            wrong.append(f"{name} of {part.kind} for {value.dtype}")
    if wrong:
        got = ", ".join(wrong[:4]) + (f" and {len(wrong) - 4} more" if len(wrong) > 4 else "")
        hint = "Take the weights that were saved with this configuration."
        raise FileError(files.argument, got, "exactly the weights of the network", hint)
    stored = read_tensors(files, {source: expected[name].dtype for name, source in sources.items()})
    weights = {name: stored[source] for name, source in sources.items()}  # in the order of what is expected
    check_finite(files.argument, weights)
    return weights


def read_tensors(files: WeightFiles, kinds: Mapping[str, torch.dtype | None]) -> dict[str, Tensor]:
    """The values of weights by name, in memory of their own.

    Args:
        files: Of the weights.
        kinds: The names to read, and the type of each; None for the type in which it is stored.

    Raises:
        FileError: A file is damaged.
    """
    from safetensors import safe_open

    found = {}
    for path in files.paths:
        with as_file_error(path, "a safetensors file"), safe_open(path, "pt") as stored:
            for name in stored.keys():  # noqa: SIM118  # no mapping
                if name in kinds:
                    # Copied, because the address of a memory-mapped tensor can change how kernels round.
                    value = stored.get_tensor(name)
                    found[name] = value.to(kinds[name] or value.dtype, copy=True)
    return found


def check_finite(argument: str, weights: Mapping[str, Tensor]) -> None:
    """Refuse weights that hold nan or infinities.

    Raises:
        FileError: One does.
    """
    for name, value in weights.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise FileError(argument, f"{name} with nan or inf", "finite weights", "Take another copy.")


def _quoted(name: str) -> str:
    """A name from a file; in quotes unless it is plain."""
    return name if re.fullmatch(r"[\w.]{1,120}", name, re.ASCII) else in_json(name)


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of the names, types, shapes and values of all weights, independent of order and device."""
    digest = hashlib.sha256()
    for name, value in sorted(weights.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def write_network(
    folder: Path, config: NetworkConfig, weights: dict[str, Tensor], facts: dict[str, str] | None = None
) -> None:
    """Write a network's folder; each file whole or not at all.

    Args:
        folder: Created if need be.
        config: Its configuration.
        weights: By name; floating-point ones are stored as they are.
        facts: Texts to store in the header of the weights.
    """
    from safetensors.torch import save

    stored: dict[str, Any] = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    with atomic_path(folder / WEIGHTS) as temporary:
        temporary.write_bytes(save(stored, {"format": "pt", **(facts or {})}))
    with atomic_path(folder / CONFIG) as temporary:
        temporary.write_text(json.dumps(config.to_json(), indent=2) + "\n", encoding="utf-8")

"""The files of a network, config.json and model.safetensors: read strictly, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from csl_plugin.errors import FileError
from csl_plugin.io.atomic import atomic_path
from csl_plugin.io.json_files import LARGEST_JSON, read_json
from csl_plugin.io.json_schema import Place
from csl_plugin.io.limits import as_file_error, check_file
from csl_plugin.models.config import NetworkConfig, read_network_config
from csl_plugin.models.former_names import former_name

CONFIG, WEIGHTS = "config.json", "model.safetensors"
LARGEST_CONFIG = LARGEST_JSON
_LARGEST_ELEMENT, _ROOM = 8, 32 << 20  # room for the header, and for a classifier that is not read
_FLOATS = ("F64", "F32", "F16", "BF16")
PICKLES = (".bin", ".pth", ".pt", ".ckpt")
_ADVICE = "Pickles are never read. Convert it once: {command}"
_CONVERSION = (
    'python -c \'import torch, safetensors.torch as s; w = torch.load("{name}", weights_only=True); '
    's.save_file({{k: v.clone() for k, v in w.items()}}, "model.safetensors")\''
)


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
    path: Path,
    expected: Mapping[str, Tensor],
    *,
    optional: frozenset[str] = frozenset(),
    ignored: frozenset[str] = frozenset(),
) -> dict[str, Tensor]:
    """Read exactly the expected weights from a safetensors file, in the expected types.

    A weight may be stored under its former name (`csl_plugin.models.former_names`). No weight is read before
    all names, shapes and types have been compared.

    Args:
        path: A safetensors file.
        expected: Names, shapes and types, such as a network's `state_dict()`.
        optional: Names that may be missing in the file; they are then missing in the result.
        ignored: Further names that the file may hold; they are not read.

    Raises:
        FileError: Missing or damaged, not finite, or a name, a shape or a type is missing, wrong or unknown.
    """
    from safetensors import safe_open

    check_weights(path)
    with as_file_error(path, "a safetensors file"), safe_open(path, "pt") as stored:
        names = frozenset(stored.keys())
        aliases = {name: name if name in names else former_name(name) for name in expected}
        sources = {name: alias for name, alias in aliases.items() if alias in names}
        wrong = [f"no {name}" for name in expected if name not in sources.keys() | optional]
        unknown = names - frozenset(sources.values()) - ignored
        wrong += [f"{name}, which is unknown" for name in sorted(unknown)]
        for name, source in sources.items():
            part, value = stored.get_slice(source), expected[name]
            shape, kind = tuple(part.get_shape()), part.get_dtype()
            if shape != tuple(value.shape):
                wrong.append(f"{name} of {shape} for {tuple(value.shape)}")
            elif (kind in _FLOATS) != value.is_floating_point():
                wrong.append(f"{name} of {kind} for {value.dtype}")
        if wrong:
            got = ", ".join(wrong[:4]) + (f" and {len(wrong) - 4} more" if len(wrong) > 4 else "")
            hint = "Take the weights that were saved with this configuration."
            raise FileError(str(path), got, "exactly the weights of the network", hint)
        # Copied, because the address of a memory-mapped tensor can change how kernels round.
        weights = {
            name: stored.get_tensor(source).to(expected[name].dtype, copy=True)
            for name, source in sources.items()
        }
    for name, value in weights.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise FileError(str(path), f"{name} with nan or inf", "finite weights", "Take another copy.")
    return weights


def check_weights(path: Path) -> None:
    """Refuse a missing or too large file of weights; where there is a pickle, say how to convert it.

    Raises:
        FileError: No such file, or it is too large.
    """
    if not path.exists():
        found = only_pickles(str(path), [file.name for file in path.parent.glob("*")])
        if found is not None:
            raise found
    check_file(path)


def only_pickles(argument: str, names: Iterable[str]) -> FileError | None:
    """The error for weights that exist only as a pickle; None where no name is a pickle's."""
    pickles = sorted(name for name in names if Path(name).suffix in PICKLES)
    if not pickles:
        return None
    hint = _ADVICE.format(command=_CONVERSION.format(name=pickles[0]))
    return FileError(argument, f"only {', '.join(pickles[:4])}", "weights as safetensors", hint)


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

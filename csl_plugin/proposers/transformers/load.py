"""Segmentation models of transformers as proposers, from a folder or from the Hub."""

from __future__ import annotations

import importlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from csl_plugin.errors import CSLError, FileError, MissingExtraError
from csl_plugin.io.limits import MAX_BYTES
from csl_plugin.models.hub.safetensors_io import CONFIG, LARGEST_CONFIG, WEIGHTS, check_weights
from csl_plugin.models.hub.source import Origin, optional, origin
from csl_plugin.proposers.transformers import mask2former, sam
from csl_plugin.proposers.transformers.from_model import proposer_from_model
from csl_plugin.proposers.transformers.preprocessing import Normalization, read_normalization

if TYPE_CHECKING:
    from csl_plugin.proposers.base import Proposer

_PROCESSORS = ("preprocessor_config.json", "processor_config.json")
_LARGEST_NUMBER = 1 << 20
_MOST_LAYERS = 1000
_REPEATED = re.compile(r"(layers|depths?|blocks|blocks_per_stage)$")
_ROOM = 1 << 24  # parameters beyond one per byte of the file, for weights that it need not hold


class Published(NamedTuple):
    """A model in a folder or a repository, by its `config.json`.

    Attributes:
        kind: Its `model_type` in transformers; None if it is not a model of transformers.
        revision: The commit of the configuration; None for a folder.
        config: The path of `config.json`.
        files: The other files of the same commit.
    """

    kind: str | None
    revision: str | None
    config: Path
    files: Origin


def published(source: str | os.PathLike[str], revision: str | None) -> Published:
    """The model in a folder or in a repository on the Hub.

    Raises:
        FileError: Nothing is there, the Hub does not answer, or it denies access.
        OptionError: A revision of a folder.
    """
    files = origin(source, revision=revision)
    config = files(CONFIG, LARGEST_CONFIG)
    commit = None if Path(source).is_dir() else config.parent.name
    return Published(_model_type(config), commit, config, files)


def load_transformers(found: Published, device: torch.device | str | None) -> Proposer:
    """The proposer of a segmentation model that `save_pretrained` of transformers wrote.

    Only `config.json`, `model.safetensors` and the image processor's JSON are read; no remote code is run.

    Raises:
        FileError: Another model, a damaged file, weights that are missing or not finite, or implausible
            sizes.
        MissingExtraError: transformers, or a package that it needs for this model, is not installed.
    """
    if found.kind in mask2former.MODEL_TYPES:
        maker = "AutoModelForUniversalSegmentation"
    elif found.kind in sam.MODEL_TYPES:
        maker = "AutoModelForMaskGeneration"
    else:
        known = ", ".join(mask2former.MODEL_TYPES + sam.MODEL_TYPES)
        got, expected = f"a model of type {found.kind!r}", f"a CSL network, or one of {known}"
        hint = "Load it yourself and pass a function from images to RegionProposals."
        raise FileError(str(found.config), got, expected, hint)
    _check_numbers(found.config)
    weights = found.files(WEIGHTS, MAX_BYTES)
    check_weights(weights)
    processors = (optional(found.files, name, LARGEST_CONFIG) for name in _PROCESSORS)
    processor = next((path for path in processors if path is not None), None)
    normalization = read_normalization(processor) if processor else Normalization()
    model = _load(found.config, weights, maker)
    return proposer_from_model(model.to(device or "cpu").eval(), normalization=normalization)


def _model_type(path: Path) -> str | None:
    """The `model_type` of a configuration; None if it has none."""
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None  # the reader of the CSL network's configuration raises the error
    kind = values.get("model_type") if isinstance(values, dict) else None
    return str(kind) if kind is not None else None


def _load(config: Path, weights: Path, maker: str) -> Any:
    try:
        transformers = importlib.import_module("transformers")
    except ImportError as error:
        hint = "Install it with: pip install transformers"
        raise MissingExtraError(str(config), "no module transformers", "the package", hint) from error
    auto = getattr(transformers, maker)
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        values = transformers.AutoConfig.from_pretrained(config.parent, **local)
        if getattr(values, "use_pretrained_backbone", False):
            values.use_pretrained_backbone = False  # older versions would download weights and overwrite them
        with torch.device("meta"):
            skeleton = auto.from_config(values, trust_remote_code=False)
        _check_extent(sum(value.numel() for value in skeleton.parameters()), config, weights)
        model, loaded = auto.from_pretrained(
            config.parent,
            config=values,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            **local,
        )
    except (CSLError, MemoryError):
        raise
    except ImportError as error:
        reason = " ".join(str(error).split())[:200]
        hint = "Install what the message names."
        raise MissingExtraError(str(config), reason, "the packages of this model", hint) from error
    except Exception as error:  # the type depends on the model and the version of transformers
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        hint = "Take config.json and model.safetensors of the same model."
        raise FileError(
            str(config.parent), f"a model that cannot be built ({reason})", maker, hint
        ) from error
    parameters = dict(model.named_parameters())
    missing = sorted(name for name in loaded["missing_keys"] if name in parameters)
    if missing:
        got = ", ".join(f"no {name}" for name in missing[:4])
        got += f" and {len(missing) - 4} more" if len(missing) > 4 else ""
        hint = "Take the weights of a model with its segmentation head."
        raise FileError(str(weights), got, "all weights of the model", hint)
    for name, value in parameters.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise FileError(str(weights), f"{name} with nan or inf", "finite weights", "Take another copy.")
    return model


def _check_extent(parameters: int, config: Path, weights: Path) -> None:
    """Refuse to allocate more parameters than the file can hold at any precision."""
    size = weights.stat().st_size
    if parameters > size + _ROOM:
        got = f"a model of {parameters} parameters for {size} bytes of weights"
        hint = "Take config.json and model.safetensors of the same model."
        raise FileError(str(config), got, "a model that fits its weights", hint)


def _check_numbers(path: Path) -> None:
    """Refuse implausible sizes before a model is built from them, and backbones of other repositories."""
    for name, value in _leaves(json.loads(path.read_text(encoding="utf-8")), ""):
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            most = _MOST_LAYERS if _REPEATED.search(name) else _LARGEST_NUMBER
            if not abs(value) <= most:
                hint = "Take the file that was saved with the model."
                raise FileError(f"{path}, {name}", repr(value), f"at most {most}", hint)
        if name.endswith("backbone") and isinstance(value, str) and not re.fullmatch(r"[\w.-]+", value):
            hint = "Save the model with its backbone's own configuration."
            raise FileError(f"{path}, {name}", repr(value), "the name of an architecture", hint)


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in ("id2label", "label2id"):
                yield from _leaves(inner, str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, name)
    else:
        yield name, value

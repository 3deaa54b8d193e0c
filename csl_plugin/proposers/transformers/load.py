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
from csl_plugin.proposers.transformers import mask2former as mask_classification
from csl_plugin.proposers.transformers import sam as prompted_points
from csl_plugin.proposers.transformers.from_model import proposer_from_model
from csl_plugin.proposers.transformers.preprocessing import Normalization, read_normalization

if TYPE_CHECKING:
    from csl_plugin.proposers import Proposer

_PROCESSORS = ("preprocessor_config.json", "processor_config.json")
_LARGEST_NUMBER = 1 << 20
_MOST_LAYERS = 1000
_REPEATED = re.compile(r"(layers|depths?|blocks|blocks_per_stage)$")
_ROOM = 1 << 24  # parameters that a file may lack, beside what its bytes can hold


class Published(NamedTuple):
    """What lies in a folder or a repository, by its `config.json`.

    Attributes:
        kind: What transformers calls the model; None where it is not one of its models.
        revision: The commit that the configuration came from; None in a folder.
        config: Where `config.json` lies.
        files: The other files of the same commit.
    """

    kind: str | None
    revision: str | None
    config: Path
    files: Origin


def published(source: str | os.PathLike[str], revision: str | None) -> Published:
    """Look into a folder or a repository on the Hub.

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

    Only `config.json`, `model.safetensors` and the image processor's JSON are read; no code comes with them.

    Raises:
        FileError: Another model, a damaged file, weights that are missing or not finite, or sizes beyond
            reason.
        MissingExtraError: transformers is not installed, or what it needs for this model.
    """
    if found.kind in mask_classification.MODEL_TYPES:
        maker = "AutoModelForUniversalSegmentation"
    elif found.kind in prompted_points.MODEL_TYPES:
        maker = "AutoModelForMaskGeneration"
    else:
        known = ", ".join(mask_classification.MODEL_TYPES + prompted_points.MODEL_TYPES)
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
    """What transformers calls the model; None where it is not one of its configurations."""
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None  # said by the reader of the CSL network's configuration
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
            values.use_pretrained_backbone = False  # older versions would download it, to overwrite it then
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
    except Exception as error:  # what transformers raises differs from model to model and by version
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        hint = "Take config.json and model.safetensors of one and the same model."
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
    """Refuse to allocate what the file, whatever its precision, cannot hold."""
    size = weights.stat().st_size
    if parameters > size + _ROOM:
        got = f"a model of {parameters} parameters for {size} bytes of weights"
        hint = "Take config.json and model.safetensors of one and the same model."
        raise FileError(str(config), got, "a model that fits its weights", hint)


def _check_numbers(path: Path) -> None:
    """Refuse sizes of no known model before anything is built from them, and backbones from elsewhere."""
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

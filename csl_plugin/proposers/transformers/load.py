"""Segmentation models of transformers as proposers, from a folder or from the Hub."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from csl_plugin._devices import checked_device
from csl_plugin.errors import CSLError, FileError, MissingExtraError, reason_of
from csl_plugin.io.limits import MAX_BYTES
from csl_plugin.models.hub.safetensors_io import CONFIG, LARGEST_CONFIG, check_finite, read_tensors
from csl_plugin.models.hub.source import Origin, optional, origin
from csl_plugin.models.hub.weight_files import WeightFiles, find_weights, read_parts
from csl_plugin.proposers.transformers.building import ImplausibleModelError, skeleton
from csl_plugin.proposers.transformers.configuration import read_model_type, read_model_values
from csl_plugin.proposers.transformers.families import MODEL_TYPES, Family
from csl_plugin.proposers.transformers.from_model import proposer_from_model
from csl_plugin.proposers.transformers.preprocessing import read_normalization

if TYPE_CHECKING:
    from csl_plugin.proposers.base import ImageProposer

_PROCESSORS = ("preprocessor_config.json", "video_preprocessor_config.json", "processor_config.json")
_HINT = "Take the configuration and the weights of the same model."


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


def published(
    source: str | os.PathLike[str], revision: str | None, subfolder: str | None = None
) -> Published:
    """The model in a folder or in a repository on the Hub.

    Raises:
        FileError: Nothing is there, the Hub does not answer, or it denies access; or the configuration is no
            strict JSON.
        OptionError: A revision of a folder, or a subfolder that is no path inside.
    """
    files = origin(source, revision=revision, subfolder=subfolder)
    config = files(CONFIG, LARGEST_CONFIG)
    return Published(read_model_type(config), files.commit, config, files)


def load_transformers(
    found: Published, device: torch.device | str | None, variant: str | None = None
) -> ImageProposer:
    """The proposer of a segmentation model that `save_pretrained` of transformers wrote.

    Only `config.json`, the weights and the image processor's JSON are read, by this package: transformers
    builds the model from what is taken of the configuration, and reads no file. No remote code is run, no
    kernel loaded and no other repository asked, whatever the configuration says.

    Raises:
        FileError: Another model, a damaged file, weights that are missing or not finite, or implausible
            sizes.
        MissingExtraError: transformers, or a package that it needs for this model, is not installed.
        OptionError: A device that is not there, or a variant that is no word.
    """
    target = checked_device(device)
    family = MODEL_TYPES.get(found.kind or "")
    if family is None:
        known = ", ".join(MODEL_TYPES)
        got, expected = f"a model of type {found.kind!r:.80}", f"a CSL network, or one of {known}"
        hint = "Load it yourself and pass a function from images to RegionProposals."
        raise FileError(str(found.config), got, expected, hint)
    values = read_model_values(found.config)
    weights = find_weights(found.files, MAX_BYTES, variant)
    processors = (optional(found.files, name, LARGEST_CONFIG) for name in _PROCESSORS)
    processor = next((path for path in processors if path is not None), None)
    normalization = read_normalization(processor, family.normalization) if processor else None
    try:
        model = _load(values, weights, family)
        return proposer_from_model(model.to(target).eval(), normalization=normalization)
    except (CSLError, MemoryError):
        raise
    except ImplausibleModelError as error:
        raise FileError(str(found.config), str(error), "a model that fits its weights", _HINT) from error
    except ImportError as error:
        hint = "Install what the message names."
        raise MissingExtraError(
            str(found.config), reason_of(error), "the packages of this model", hint
        ) from error
    except Exception as error:  # the type depends on the model and the version of transformers
        got = f"a model that cannot be built ({reason_of(error)})"
        raise FileError(str(found.config.parent), got, f"a {family.model}", _HINT) from error


def _load(values: dict[str, Any], weights: WeightFiles, family: Family) -> Any:
    try:
        transformers = importlib.import_module("transformers")
    except ImportError as error:
        hint = "Install it with: pip install transformers"
        raise MissingExtraError("source", "no module transformers", "the package", hint) from error
    model_class = getattr(transformers, family.model, None)
    if model_class is None or family.model_type not in transformers.CONFIG_MAPPING:
        got = f"transformers {transformers.__version__}, which has no {family.title}"
        hint = "Install a newer one with: pip install --upgrade transformers"
        raise MissingExtraError("source", got, f"a version with {family.model}", hint)
    parts = read_parts(weights)
    config = transformers.CONFIG_MAPPING[family.model_type].from_dict(values)
    skeleton(model_class, config, parts)
    stored = read_tensors(weights, dict.fromkeys(parts))
    model, loaded = model_class.from_pretrained(
        None,
        config=config,
        state_dict=stored,
        dtype=torch.float32,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    for wrong in loaded["mismatched_keys"]:  # a name, before transformers 5; with its two shapes since
        described = wrong if isinstance(wrong, str) else f"{wrong[0]} of {wrong[1]} for {wrong[2]}"
        raise ImplausibleModelError(f"a model that cannot be built (another shape: {described})")
    parameters = dict(model.named_parameters())
    missing = sorted(name for name in loaded["missing_keys"] if name in parameters)
    if missing:
        got = ", ".join(f"no {name}" for name in missing[:4])
        got += f" and {len(missing) - 4} more" if len(missing) > 4 else ""
        hint = "Take the weights of a model with its segmentation head."
        raise FileError(weights.argument, got, "all weights of the model", hint)
    check_finite(weights.argument, parameters)
    return model

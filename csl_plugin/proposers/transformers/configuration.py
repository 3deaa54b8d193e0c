"""The `config.json` of a model of transformers: what of it is taken, and within which bounds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from csl_plugin.io.json_files import read_json
from csl_plugin.io.json_schema import Place, in_json

# Never taken, at any level: what names code, kernels, files or other repositories, or how to load.
_IGNORED = re.compile(
    r"_.*|.*(_implementation|_map|_plan|dtype|_hash|_version)|.*(name_or|file|checkpoint|cache)_path"
    r"|kernel_config|use_kernels?|kernels|(tokenizer|processor)_class"
    r"|trust_remote_code|code_revision|custom_.*|.*quantiz.*|compression_config|.*adapter.*|peft.*|lora.*"
    r"|transformers_weights|extra_files|fusion_config|distributed.*|gguf.*|torchscript|pruned_heads"
    r"|use_pretrained_backbone|model_args|pretrained_cfg|return_dict|use_return_dict"
    r"|output_attentions|output_hidden_states|architectures|auto_.*|task_specific_params"
)
_LABELS = ("id2label", "label2id")
_TIMM = ("detr", "conditional_detr")  # their older configurations name an architecture of timm
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_BACKBONE_OPTIONS = {"out_indices", "out_features", "in_chans", "output_stride", "features_only"}

_LARGEST = 1 << 20
_MOST_LAYERS, _LONGEST_LIST = 1000, 4096
_REPEATED = re.compile(r".*(layers?|depths?|blocks|blocks_per_stage|stages|levels|multimask_outputs)")
_BOUNDS = (
    (_REPEATED, _MOST_LAYERS),
    (re.compile(r"(image|img|input)_size"), 1 << 13),
    (re.compile(r"num_(labels|classes)"), 1 << 16),
    (re.compile(r".*(padding|strides?|kernel_size|patch_size|pool_?size|pool_stride)"), 1 << 8),
)


def read_model_type(path: Path) -> str | None:
    """The `model_type` in a configuration; None if it has none.

    Raises:
        FileError: No strict JSON.
    """
    values = read_json(path, "a network's configuration")
    kind = values.get("model_type") if isinstance(values, dict) else None
    return kind if isinstance(kind, str) else None


def read_model_values(path: Path) -> dict[str, Any]:
    """What is taken of a model's configuration; nothing in it names code, files or other repositories.

    Raises:
        FileError: No strict JSON, a number out of its bounds, or a backbone that only the Hub describes.
    """
    values, place = read_json(path, "a model's configuration"), Place(str(path))
    if not isinstance(values, dict):
        raise place.error(in_json(values), "an object", _HINT)
    taken = _taken(values, place)
    layers = 0
    for name, value, inner in _numbers(taken, place, ""):
        repeated = _REPEATED.fullmatch(name) is not None
        layers += int(abs(value)) if repeated and abs(value) < _LARGEST else 0
        most = next((bound for pattern, bound in _BOUNDS if pattern.fullmatch(name)), _LARGEST)
        if not abs(value) <= most:
            raise inner.error(in_json(value), f"at most {most}", _HINT)
        if layers > 2 * _MOST_LAYERS:
            raise inner.error(f"{layers} layers up to here", f"at most {2 * _MOST_LAYERS}", _HINT)
    return taken


_HINT = "Take the file that was saved with the model."


def _taken(values: dict[str, Any], place: Place) -> dict[str, Any]:
    """An object without what is never taken, at every level."""
    found = {}
    for name, value in values.items():
        if name in _LABELS:
            found[name] = value
        elif not _IGNORED.fullmatch(name):
            found[name] = _inner(value, place[name])
    if isinstance(values.get("backbone"), str) or "backbone_kwargs" in values:
        found = _with_local_backbone(found, place)
    if str(found.get("model_type", "")).startswith("timm_"):
        found["use_pretrained_backbone"] = False
        if "architecture" in found:
            _check_architecture(found["architecture"], place["architecture"])
        if options := values.get("model_args"):  # EdgeTAM asks for the maps of several stages
            _check_options(options, place["model_args"])
            found["model_args"] = _inner(options, place["model_args"])
    elif "backbone" in values or "use_pretrained_backbone" in values:
        found["use_pretrained_backbone"] = False
    return found


def _inner(value: Any, place: Place) -> Any:
    if isinstance(value, dict):
        return _taken(value, place)
    if isinstance(value, list):
        if len(value) > _LONGEST_LIST:
            raise place.error(in_json(value), f"at most {_LONGEST_LIST} items", _HINT)
        return [_inner(item, place[index]) for index, item in enumerate(value)]
    return value


def _with_local_backbone(values: dict[str, Any], place: Place) -> dict[str, Any]:
    """A backbone that needs no other repository: its own configuration, or an architecture of timm.

    Raises:
        FileError: It is neither.
    """
    _check_options(values.pop("backbone_kwargs", None), place["backbone_kwargs"])
    backbone = values.get("backbone")
    if not isinstance(backbone, str):
        return values
    _check_architecture(backbone, place["backbone"])
    kind = values.get("model_type")
    if isinstance(values.get("backbone_config"), dict):
        del values["backbone"]
    elif kind != "timm_backbone" and (kind not in _TIMM or values.get("use_timm_backbone", True) is not True):
        hint = "Load the model with transformers and save it again: then its backbone_config is in the file."
        raise place["backbone"].error(in_json(backbone), "a backbone_config, no name on the Hub", hint)
    return values


def _check_options(options: Any, place: Place) -> None:
    """Refuse options of timm but those that say which maps of features a backbone gives."""
    is_object = isinstance(options, dict)
    if options and not (is_object and options.keys() <= _BACKBONE_OPTIONS):
        got = ", ".join(map(in_json, sorted(options)[:4])) if is_object else in_json(options)
        raise place.error(got, "only " + ", ".join(sorted(_BACKBONE_OPTIONS)), _HINT)


def _check_architecture(name: Any, place: Place) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        hint = "Save the model with its backbone's own configuration."
        raise place.error(in_json(name), "the name of an architecture", hint)


def _numbers(value: Any, place: Place, name: str) -> Iterator[tuple[str, int | float, Place]]:
    """The numbers at every level, by the name of the field that they are in."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in _LABELS:
                yield from _numbers(inner, place[key], key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _numbers(inner, place[index], name)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield name, value, place

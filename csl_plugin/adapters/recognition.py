"""The adapter of an output whose structure names its scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

import torch
from torch import Tensor

from csl_plugin.adapters.inputs import ImageInput
from csl_plugin.adapters.output import OutputAdapter
from csl_plugin.adapters.output_path import contents
from csl_plugin.adapters.presets.anomalib import AnomalyMap, Predictions, is_prediction
from csl_plugin.adapters.presets.transformers_outputs import (
    PROMPTED,
    QUERIES,
    QUERY_SUMS,
    SEMANTIC,
    TransformersItems,
    class_hint,
    output_class,
)
from csl_plugin.adapters.registry import PRESETS
from csl_plugin.errors import CSLError, OptionError, OutputError

_LOGIT_KEYS = ("logits", "out")
_OF_OTHER_TASKS = (
    "boxes", "pred_boxes", "masks", "pred_masks", "pred_logits", "iou_scores", "segmentation",
    "segments_info", "instances", "panoptic_seg", "predicted_depth", "depth",
)  # fmt: skip
_EXPECTED = (
    'logits (B, C, h, w) under "logits" or "out" of a mapping without boxes, masks or depth, or an output '
    "class of transformers for semantic or universal segmentation, or predictions of anomalib, when no "
    "adapter is given"
)
_TOLERANCE = 1e-3
_END = 0.01


def recognize(output: Any, image_input: ImageInput | None = None) -> OutputAdapter:
    """The adapter for an output whose names say what it holds.

    An output class of transformers decides by itself: SemanticSegmenterOutput holds logits; the outputs of
    Mask2Former, MaskFormer, OneFormer, EoMT, VidEoMT, DETR, Conditional DETR and RF-DETR hold masks and class
    logits of queries, which are summed over queries; CLIPSeg's holds one logit per prompt. Classes decide,
    because the same names mean different things: the class logits of DETR are a softmax with a class "no
    object", those of Conditional DETR one without it, those of RF-DETR sigmoids. Any other class of
    transformers is refused.

    Predictions of anomalib 2, by the class and all four of their fields, hold an anomaly map.

    Another mapping is recognized by its keys: floating-point logits (B, C, h, w) under "logits" or "out"
    (torchvision), softmax over C, or a sigmoid where C = 1; or "masks_queries_logits" with
    "class_queries_logits". It is refused if it also holds what another task returns, or if the values cannot
    be logits: all in [0, 1], and summing to 1 over C (softmax) or reaching both ends (sigmoid).

    Any other output may hold logits, probabilities or raw scores of either direction, which their values
    cannot show.

    Args:
        output: What the model returned.
        image_input: The model's preprocessing, such as `published_input(model)`; None for RGB in [0, 1].

    Raises:
        OutputError: The output is not one of these; the message lists the presets that can read it.
    """
    if is_prediction(output) and output.anomaly_map is not None:
        return OutputAdapter(AnomalyMap(), Predictions())
    kind = output_class(output)
    adapter = _of_mapping(output) if kind is None else _of_class(output, kind)
    if adapter is not None:
        adapter.image_input = image_input or adapter.image_input
        return adapter
    fitting = candidates(output)
    raise OutputError(
        "model output",
        contents(output),
        _EXPECTED,
        ("" if kind is None else f"{kind} is not read by itself. {class_hint(kind)} ")
        + "Declare it with adapter=OutputAdapter(score, item=...) from csl_plugin.adapters, where score is "
        '"logits", "binary_logits", "probabilities" or a Calibration, and item the index or key'
        + (f"; or with adapter=preset(name), of which these fit: {', '.join(fitting)}." if fitting else "."),
    )


def candidates(output: Any) -> list[str]:
    """The names of the presets that can read an output, by its structure and its axes."""
    return [name for name, known in PRESETS.items() if _fits(known.adapter(), output)]


def preprocessing_hint(model: Any, output: Any) -> str:
    """What to pass where a recognized model takes images that are not RGB in [0, 1], a sentence."""
    kind = getattr(getattr(model, "config", None), "model_type", None)  # of a model of transformers
    fitting = [kind] if isinstance(kind, str) and kind in PRESETS else candidates(output)
    named = (
        f'adapter="{fitting[0]}"' if len(fitting) == 1 else f"one of adapter={', '.join(map(repr, fitting))}"
    )
    known = f"{named}, which undoes the model's own preprocessing, or " if fitting else ""
    return f"Pass {known}an OutputAdapter with the mean, std, order and peak of the preprocessing."


def _of_class(output: Any, kind: str) -> OutputAdapter | None:
    """The adapter of an output class of transformers."""
    for path in QUERY_SUMS:
        if kind in path.types:
            return _of_queries(output, path)
    if kind in PROMPTED.types:
        return OutputAdapter("binary_logits", PROMPTED) if _has_axes(output.get("logits"), 3) else None
    logits = output.get("logits") if kind in SEMANTIC.types else None
    if not _has_axes(logits, 4):
        return None
    return OutputAdapter("logits" if logits.shape[1] > 1 else "binary_logits", SEMANTIC)


def _of_mapping(output: Any) -> OutputAdapter | None:
    """The adapter of another mapping, by all that it holds."""
    if not isinstance(output, Mapping):
        return None
    if "masks_queries_logits" in output:
        return _of_queries(output, QUERIES)
    keys = [key for key in _LOGIT_KEYS if _has_axes(output.get(key), 4)]
    others = [key for key in _OF_OTHER_TASKS if output.get(key) is not None]
    if len(keys) != 1 or others or _are_shares(output[keys[0]]):
        return None
    return OutputAdapter("logits" if output[keys[0]].shape[1] > 1 else "binary_logits", keys[0])


def _of_queries(output: Mapping[str, Any], path: TransformersItems) -> OutputAdapter | None:
    masks, classes = (output.get(str(steps[0])) for steps in path.paths)
    if not _has_axes(masks, 4) or not _has_axes(classes, 3):
        return None
    score_kind = QUERY_SUMS[path]
    if masks.shape[:2] != classes.shape[:2] or classes.shape[2] < score_kind.head.least:
        return None
    return OutputAdapter(score_kind, path)


def _are_shares(logits: Tensor) -> bool:
    """Whether all values are in [0, 1], and sum to 1 over the channels or reach both ends."""
    if torch.compiler.is_compiling() or logits.is_meta or 0 in logits.shape:
        return False
    values = logits.detach()
    for part in (values[..., ::16, ::16], values):  # most logits are refuted by a few values
        low, high = float(part.amin()), float(part.amax())
        if not (low >= 0 and high <= 1):
            return False
    if low < _END and high > 1 - _END:
        return True
    return values.shape[1] > 1 and bool((values.float().sum(1) - 1).abs().amax() < _TOLERANCE)


def _fits(adapter: OutputAdapter, output: Any) -> bool:
    try:
        adapter.read(output)
    except OptionError:  # the output fits; only an option is missing
        return True
    except CSLError:
        return False
    return True


def _has_axes(value: Any, axes: int) -> TypeGuard[Tensor]:
    return isinstance(value, Tensor) and value.ndim == axes and value.is_floating_point()

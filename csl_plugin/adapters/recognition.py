"""The adapter of an output whose structure names its scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from csl_plugin.adapters.output import OutputAdapter
from csl_plugin.adapters.output_path import contents
from csl_plugin.adapters.presets.frameworks import DETR_QUERIES, QUERIES
from csl_plugin.adapters.presets.queries import QuerySum
from csl_plugin.adapters.registry import PRESETS
from csl_plugin.errors import CSLError, OptionError, OutputError

_LOGIT_KEYS = ("logits", "out")
_PROMPTED = "CLIPSegImageSegmentationOutput"


def recognize(output: Any) -> OutputAdapter:
    """The adapter for an output whose names say what it holds, of a model that takes RGB in [0, 1].

    A mapping with a tensor (B, C, h, w) under "logits" (transformers) or "out" (torchvision) holds logits:
    softmax over C, or a sigmoid where C = 1. Masks and class logits of queries under the names of
    transformers (Mask2Former, MaskFormer, OneFormer, EoMT, DETR) are summed over queries. CLIPSeg's output
    holds one logit per prompt. Any other output may hold logits, probabilities or raw scores of either
    direction, which their values cannot show.

    Raises:
        OutputError: The output is not one of these; the message lists the presets that can read it.
    """
    if isinstance(output, Mapping):
        for queries in (QUERIES, DETR_QUERIES):
            masks, classes = (output.get(path[0]) for path in queries.paths)
            if _has_axes(masks, 4) and _has_axes(classes, 3):
                return OutputAdapter(QuerySum(), queries)
        keys = [key for key in _LOGIT_KEYS if _has_axes(output.get(key), 4)]
        if len(keys) == 1:
            return OutputAdapter("logits" if output[keys[0]].shape[1] > 1 else "binary_logits", keys[0])
        if type(output).__name__ == _PROMPTED and _has_axes(output.get("logits"), 3):
            return OutputAdapter("binary_logits", "logits")
    fitting = candidates(output)
    raise OutputError(
        "model output",
        contents(output),
        'a mapping with logits (B, C, h, w) under "logits" or "out", or with the masks and class logits of '
        "queries, when no adapter is given",
        "Declare it with adapter=OutputAdapter(score, item=...) from csl_plugin.adapters, where score is "
        '"logits", "binary_logits", "probabilities" or a Calibration, and item the index or key'
        + (f"; or with adapter=preset(name), of which these fit: {', '.join(fitting)}." if fitting else "."),
    )


def candidates(output: Any) -> list[str]:
    """The names of the presets that can read an output, by its structure and its axes."""
    return [name for name, known in PRESETS.items() if _fits(known.adapter(), output)]


def _fits(adapter: OutputAdapter, output: Any) -> bool:
    try:
        adapter.read(output)
    except OptionError:  # the output fits; only an option is missing
        return True
    except CSLError:
        return False
    return True


def _has_axes(value: Any, axes: int) -> bool:
    return isinstance(value, Tensor) and value.ndim == axes

"""Which adapter fits an output, where that is certain from its container alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from csl_plugin.adapters.output import OutputAdapter, contents
from csl_plugin.errors import OutputError

_LOGIT_KEYS = ("logits", "out")


def recognise(output: Any) -> OutputAdapter:
    """The adapter for an output that names its logits.

    A mapping with a tensor (B, C, h, w) under "logits" (transformers) or "out" (torchvision) holds logits:
    softmax over C, or a sigmoid where C = 1. Everything else could be logits, probabilities or raw scores of
    either direction, and values cannot tell them apart.

    Raises:
        OutputError: The output cannot be told apart; the message says what to pass.
    """
    if isinstance(output, Mapping):
        keys = [key for key in _LOGIT_KEYS if isinstance(output.get(key), Tensor) and output[key].ndim == 4]
        if len(keys) == 1:
            return OutputAdapter("logits" if output[keys[0]].shape[1] > 1 else "binary_logits", keys[0])
    raise OutputError(
        "model output",
        contents(output),
        'a mapping with logits (B, C, h, w) under "logits" or "out" when no adapter is given',
        "Declare it with adapter=OutputAdapter(score, item=...) from csl_plugin.adapters, where score is "
        '"logits", "binary_logits", "probabilities" or a Calibration, and item the index or key.',
    )

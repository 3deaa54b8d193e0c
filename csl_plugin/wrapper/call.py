"""What the signature of the wrapped model says of a call."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from csl_plugin.adapters.padding import MASK_NAMES


def signature_of(model: nn.Module | Callable[..., Any]) -> inspect.Signature | None:
    """The signature of a model's call; None where Python cannot tell it."""
    try:
        return inspect.signature(model.forward if isinstance(model, nn.Module) else model)
    except (TypeError, ValueError):
        return None


def named_masks(model: nn.Module | Callable[..., Any], args: tuple[Any, ...]) -> dict[str, Any]:
    """The masks of the padding among the positional arguments, by the names of the model's parameters."""
    signature = signature_of(model) if len(args) > 1 else None
    if signature is None:
        return {}
    return {
        name: value for name, value in zip(signature.parameters, args, strict=False) if name in MASK_NAMES
    }

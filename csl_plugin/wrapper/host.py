"""What a host library asks of a model besides calling it: its arguments, its configuration, its device."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import torch

from csl_plugin.wrapper.call import signature_of

# Methods that return no prediction. Any other method of the model would return scores without fusion.
_METHODS = (
    "can_generate",
    "create_model_card",
    "disable_input_require_grads",
    "enable_input_require_grads",
    "floating_point_ops",
    "get_memory_footprint",
    "gradient_checkpointing_disable",
    "gradient_checkpointing_enable",
    "num_parameters",
    "push_to_hub",
    "save_pretrained",
    "tie_weights",
)


def attribute_of(model: Any, name: str, wrapper: str) -> Any:
    """A public attribute of the wrapped model: data, or a method that returns no prediction.

    Raises:
        AttributeError: It has none, or one that would go around the fusion.
    """
    if name.startswith("_") or model is None:
        raise AttributeError(f"{wrapper!r} object has no attribute {name!r}")
    try:
        value = getattr(model, name)
    except AttributeError:
        got = f"{wrapper!r} object has no attribute {name!r}, nor has its model"
        raise AttributeError(f"{got}, a {type(model).__name__}") from None
    if callable(value) and not isinstance(value, type) and name not in _METHODS:
        raise AttributeError(
            f"{wrapper!r} object has no attribute {name!r}. That of its model knows nothing of the fusion: "
            f"call the wrapper, or use .eject().{name}."
        )
    return value


class ForwardOfModel:
    """A `forward` whose signature is that of the wrapped model, for libraries that pass what a model takes.

    Of the class, where no model is known, it has `labels` beside any others: transformers' Trainer asks the
    class which arguments are labels.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        assert isinstance(function, FunctionType)  # noqa: S101 - the decorated one
        self._function = function
        self.__doc__ = function.__doc__
        kinds = inspect.Parameter
        function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                kinds("self", kinds.POSITIONAL_OR_KEYWORD),
                kinds("args", kinds.VAR_POSITIONAL),
                kinds("labels", kinds.KEYWORD_ONLY, default=None),
                kinds("kwargs", kinds.VAR_KEYWORD),
            ]
        )

    def __get__(self, wrapper: Any, owner: type) -> Callable[..., Any]:
        function = self._function
        if wrapper is None:
            return function
        if torch.compiler.is_dynamo_compiling():
            return partial(function, wrapper)  # which torch.compile can read
        signature = signature_of(wrapper.model)
        if signature is None:
            return MethodType(function, wrapper)
        named = FunctionType(function.__code__, function.__globals__, function.__name__)
        named.__doc__, named.__module__, named.__qualname__ = (
            self.__doc__,
            function.__module__,
            function.__qualname__,
        )
        own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
        named.__signature__ = signature.replace(parameters=[own, *_without_self(signature)])  # type: ignore[attr-defined]
        return MethodType(named, wrapper)


def _without_self(signature: inspect.Signature) -> list[inspect.Parameter]:
    return [parameter for name, parameter in signature.parameters.items() if name != "self"]

"""A model of transformers, built without memory first and no larger than its weights."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.modules import module as registration

from csl_plugin.models.hub.weight_files import Part

_ROOM = 1 << 24  # parameters beyond those of the file, so that a missing weight is named
_ROOM_FOR_BUFFERS = 64 << 20  # bytes beyond those of the file
_MORE = 1024  # tensors beyond those of the file
_MODULES = 8  # for each tensor
_ATTENTION = (None, "eager", "sdpa")


class ImplausibleModelError(Exception):
    """The model does not fit the weights, or is of a kind that is never loaded."""


def skeleton(model_class: Any, config: Any, parts: Mapping[str, Part]) -> Any:
    """The model without its weights, on the device "meta": it takes no memory, however large it is.

    Args:
        model_class: The model's own class.
        config: The model's configuration.
        parts: The weights in its files.

    Raises:
        ImplausibleModelError: It has more parameters than its files, or buffers out of proportion to them.
        Exception: Whatever transformers raises.
    """
    with torch.device("meta"), _counted(parts):
        model = model_class(config)
    stored = sum(part.count for part in parts.values())
    buffers = sum(value.numel() * value.element_size() for value in model.buffers())
    if buffers > 4 * stored + _ROOM_FOR_BUFFERS:
        raise ImplausibleModelError(f"a model with {buffers} bytes of buffers for {stored} weights")
    for part in model.modules():
        kind = getattr(getattr(part, "config", None), "_attn_implementation", None)
        if kind not in _ATTENTION:
            raise ImplausibleModelError(f"a model with the attention {kind!r}")
    return model


@contextmanager
def _counted(parts: Mapping[str, Part]) -> Iterator[None]:
    """Stop a construction in this thread as soon as it makes more than the files hold."""
    own = threading.get_ident()
    most, stored = len(parts) + _MORE, sum(part.count for part in parts.values())
    tensors, modules, values = 0, 0, 0

    def count_parameter(*given: Any) -> None:
        nonlocal tensors, values
        value = given[2]  # after the module and the name
        if threading.get_ident() != own or value is None:
            return
        tensors, values = tensors + 1, values + value.numel()
        if tensors > most or values > stored + _ROOM:
            got = f"a model of at least {tensors} tensors for {len(parts)} in its weights"
            if values > stored + _ROOM:
                got = f"a model of at least {values} parameters for {stored} in its weights"
            raise ImplausibleModelError(got)

    def count_module(*_: Any) -> None:
        nonlocal modules
        modules += threading.get_ident() == own
        if modules > _MODULES * most:
            raise ImplausibleModelError(f"a model of {modules} modules or more for {len(parts)} weights")

    hooks = (
        registration.register_module_parameter_registration_hook(count_parameter),
        registration.register_module_module_registration_hook(count_module),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()

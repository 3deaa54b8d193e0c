"""The calls at which a graph of torch.compile ends; imported while one is being made."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch

_FUSION = (
    "csl_plugin finds regions, checks scores and fuses them outside of the graph. Compile with "
    "fullgraph=False, or compile the model by itself: CSLWrapper(torch.compile(model), ...)."
)
_VALUES = (
    "csl_plugin reads values of tensors here, which torch.export does not have. Pass check=False and "
    "split=False, RegionMap(labels, num_regions), and regions that were proposed outside of the call."
)


def _called(call: Callable[..., Any], *args: Any) -> Any:
    return call(*args)


def _values_are_read() -> None:
    pass


def _outside(function: Callable[..., Any], reason: str) -> Callable[..., Any]:
    options: dict[str, Any] = {}
    if "reason" in inspect.signature(torch.compiler.disable).parameters:  # from torch 2.7 on
        options["reason"] = reason
    return torch.compiler.disable(function, **options)  # type: ignore[no-any-return,no-untyped-call]


called_outside = _outside(_called, _FUSION)
values_are_read = _outside(_values_are_read, _VALUES)

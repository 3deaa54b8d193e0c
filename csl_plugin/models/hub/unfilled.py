"""Modules that are built to be loaded into: no values are drawn for their parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch.overrides import TorchFunctionMode

_FILLS = frozenset(
    {"normal_", "uniform_", "kaiming_normal_", "kaiming_uniform_", "trunc_normal_", "xavier_uniform_"}
)


class Unfilled(TorchFunctionMode):
    """In the block nothing is drawn at random: a parameter on the device "meta" has no values.

    There torch would import its compiler to draw them, which takes longer than all else that a network needs.

    Example:
        >>> import torch
        >>> with torch.device("meta"), Unfilled():
        ...     torch.nn.Linear(3, 2).weight.shape
        torch.Size([2, 3])
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """What torch calls for each of its functions."""
        del types
        named = dict(kwargs or {})
        if getattr(func, "__name__", "") in _FILLS:
            return args[0] if args else named["tensor"]
        return func(*args, **named)

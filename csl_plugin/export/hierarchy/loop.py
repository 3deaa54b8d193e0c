"""A loop of a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from csl_plugin.errors import OptionError


def looped(
    more: Callable[..., Tensor], body: Callable[..., tuple[Tensor, ...]], state: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """The state after as many steps as `more`, (), says; each gives tensors of the same shapes.

    Raises:
        OptionError: This torch has no such operation.
    """
    loop = getattr(torch, "while_loop", None)
    if loop is None:
        hint = "Install a newer torch, or export the fusion or the network alone."
        raise OptionError("graph", f"loops in torch {torch.__version__}", "torch.while_loop", hint)
    found: tuple[Tensor, ...] = loop(more, body, tuple(state))
    return found

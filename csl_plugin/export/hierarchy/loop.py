"""A loop of a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def looped(
    more: Callable[..., Tensor], body: Callable[..., tuple[Tensor, ...]], state: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """The state after as many steps as `more`, (), says; each gives tensors of the same shapes."""
    found: tuple[Tensor, ...] = torch.while_loop(more, body, tuple(state))  # type: ignore[no-untyped-call]
    return found

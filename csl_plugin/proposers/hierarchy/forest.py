"""Trees as an array of parents."""

from __future__ import annotations

import torch
from torch import Tensor


def roots(parents: Tensor) -> Tensor:
    """The root above each node: parents, (n,) integer, followed to a fixed point (pointer jumping)."""
    while True:
        above = parents.index_select(0, parents)
        if torch.equal(above, parents):
            return parents
        parents = above

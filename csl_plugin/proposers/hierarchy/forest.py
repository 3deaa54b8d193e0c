"""Trees as an array of parents."""

from __future__ import annotations

import torch
from torch import Tensor

from csl_plugin.proposers.hierarchy.bands import bands

_BAND = 1 << 19


def roots(parents: Tensor) -> Tensor:
    """The root above each node: parents, (n,) integer, followed to a fixed point (pointer jumping).

    It is written over the parents. Other places may have moved up already when a place reads them; they still
    hold one of its ancestors.
    """
    parts = [parents[part] for part in bands(parents, _BAND)]
    settled = False
    while not settled:
        settled = True
        for nodes in parts:
            above = parents.index_select(0, nodes)
            if not torch.equal(above, nodes):
                nodes.copy_(above)
                settled = False
    return parents

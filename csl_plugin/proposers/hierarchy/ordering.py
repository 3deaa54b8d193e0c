"""Sorting and selecting positions: on the CPU by numpy, which does both several times faster there."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def sorted_order(keys: Tensor) -> Tensor:
    """The positions of integer keys, (n,), in rising order; equal ones in any order."""
    if keys.device.type != "cpu":
        return torch.argsort(keys)
    return torch.from_numpy(np.argsort(keys.numpy()))


def positions(chosen: Tensor) -> Tensor:
    """Where a bool tensor is true, as positions in its flat view, rising."""
    if chosen.device.type != "cpu":
        return chosen.flatten().nonzero()[:, 0]
    return torch.from_numpy(np.flatnonzero(chosen.numpy()))

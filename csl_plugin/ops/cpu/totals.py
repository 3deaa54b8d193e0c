"""Sums over the regions of one partition, to which the bands of an image add in order."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Totals(NamedTuple):
    """What D sums to over each region, and how many pixels it has; one more for unassigned pixels.

    Values are added one by one in their order, so that it does not matter where one band ends and the next
    begins.

    Attributes:
        sums: (B, C, R + 1) float64.
        sizes: (B, R + 1) float64.
    """

    sums: Tensor
    sizes: Tensor

    @staticmethod
    def of(batch: int, rows: int, count: int) -> Totals:
        """Zeros for `count` regions and so many rows."""
        sums = torch.zeros(batch, rows, count + 1, dtype=torch.float64, device="cpu")
        return Totals(sums, torch.zeros(batch, count + 1, dtype=torch.float64, device="cpu"))

    def add(self, values: Tensor, sizes: Tensor, slots: Tensor) -> None:
        """Add the values (B, C, A) and the pixels (B, A) of runs to the regions in their slots, (B, A)."""
        self.sums.scatter_add_(-1, slots[:, None].expand(-1, values.shape[1], -1), values)
        self.sizes.scatter_add_(-1, slots, sizes)

    def means(self) -> Tensor:
        """The means, (B, C, R) float64; 0 for regions without a pixel."""
        return self.sums[..., :-1] / self.sizes[:, None, :-1].clamp(min=1)

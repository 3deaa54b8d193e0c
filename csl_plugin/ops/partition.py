"""The partition that means and fusion work with: labels, and on the CPU their runs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from csl_plugin.ops.cpu.runs import Runs


@dataclass(frozen=True)
class Partition:
    """Labels (B, H, W) below `count`, negative for unassigned, painted or as runs.

    Attributes:
        count: K, a bound of the labels.
        painted: The labels as a tensor, or None.
        runs: The labels as runs, one entry per image, or None.
    """

    count: int
    painted: Tensor | None = None
    runs: tuple[Runs, ...] | None = None

    @property
    def labels(self) -> Tensor:
        """The labels, (B, H, W); painted now where only runs are known."""
        if self.painted is not None:
            return self.painted
        painted = [torch.from_numpy(image.paint())[None] for image in self.runs or ()]
        return painted[0] if len(painted) == 1 else torch.cat(painted)

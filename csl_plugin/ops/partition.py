"""The partition that means and fusion work with: region ids as a map, and on the CPU as runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from csl_plugin._tracing import outside_graph
from csl_plugin.ops.cpu.runs import Runs


@dataclass(frozen=True)
class Partition:
    """Region ids (B, H, W) below `count`, negative for unassigned.

    Attributes:
        count: An upper bound of the ids.
        id_map: The ids as a tensor, or None.
        runs: The ids as runs, one entry per image, or None.
        gapless: Whether every pixel is known to be in a region; False where nobody looked.
    """

    count: int
    id_map: Tensor | None = None
    runs: tuple[Runs, ...] | None = None
    gapless: bool = False

    @classmethod
    def of_runs(cls, count: int, runs: Sequence[Runs], id_map: Tensor | None = None) -> Partition:
        """From the runs of each image."""
        gapless = all(bool((image.ids >= 0).all()) for image in runs)
        return cls(count, id_map, tuple(runs), gapless)

    @property
    def ids(self) -> Tensor:
        """The ids, (B, H, W); painted now where only runs are known."""
        if self.id_map is not None:
            return self.id_map
        return outside_graph(self._painted)

    def _painted(self) -> Tensor:
        painted = [torch.from_numpy(image.paint())[None] for image in self.runs or ()]
        return painted[0] if len(painted) == 1 else torch.cat(painted)


def finest(partitions: Sequence[Partition]) -> Sequence[Partition]:
    """Those that may be the last to assign a pixel: none before the last one without a gap."""
    gapless = [k for k, part in enumerate(partitions) if part.gapless]
    return partitions[gapless[-1] :] if gapless else partitions

"""A small residual backbone for CPUs."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from csl_plugin.models.layers import Extents, NormalizedConvolution


class CompactBackbone(nn.Module):
    """Features at strides 2, 4, 8, 16 and 32, from three million parameters."""

    widths: ClassVar = {2: 32, 4: 48, 8: 96, 16: 144, 32: 192}

    def __init__(self) -> None:
        super().__init__()
        self.stem = NormalizedConvolution(3, self.widths[2], 3, 2)
        strides = list(self.widths)
        self.stages = nn.ModuleList(
            _Stage(self.widths[before], self.widths[after], after) for before, after in pairwise(strides)
        )

    def forward(self, images: Tensor, extents: Extents) -> dict[int, Tensor]:
        """(B, 3, H, W), normalized, to features by stride."""
        values = extents.clear(F.relu(self.stem(images)), 2)
        features = {2: values}
        for stride, stage in zip(list(self.widths)[1:], self.stages, strict=True):
            values = stage(values, extents)
            features[stride] = values
        return features


class _Stage(nn.Module):
    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.down = NormalizedConvolution(before, after, 3, 2)
        self.blocks = nn.ModuleList(_Block(after) for _ in range(2))

    def forward(self, values: Tensor, extents: Extents) -> Tensor:
        values = extents.clear(F.relu(self.down(values)), self.stride)
        for block in self.blocks:
            values = block(values, extents, self.stride)
        return values


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = NormalizedConvolution(width, width, 3)
        self.second = NormalizedConvolution(width, width, 3)

    def forward(self, values: Tensor, extents: Extents, stride: int) -> Tensor:
        inner = extents.clear(F.relu(self.first(values)), stride)
        return extents.clear(F.relu(values + self.second(inner)), stride)

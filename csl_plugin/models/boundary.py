"""Boundaries between regions, from the features of an image and from a view of it twice as large."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from csl_plugin.models.layers import Extents, NormalizedConvolution

_WIDTH = 32


class BoundaryLogits(NamedTuple):
    """Where a network sees boundaries between regions, in images (B, 3, H, W).

    Attributes:
        boundary: (B, 1, ceil(H / 2), ceil(W / 2)) logits.
        finer_boundary: (B, 1, H, W) logits, from the images at twice their size; None without those.
    """

    boundary: Tensor
    finer_boundary: Tensor | None


class BoundaryHead(nn.Module):
    """Boundaries at stride 2, from the features of strides 2 and 4."""

    def __init__(self, fine: int, coarse: int) -> None:
        super().__init__()
        self.fine = NormalizedConvolution(fine, _WIDTH, 3)
        self.coarse = nn.Conv2d(coarse, _WIDTH, 1)
        self.merge = NormalizedConvolution(_WIDTH, _WIDTH, 3)
        self.out = nn.Conv2d(_WIDTH, 1, 1)

    def forward(self, fine: Tensor, coarse: Tensor, extents: Extents) -> tuple[Tensor, Tensor]:
        """Features (B, 32, H / 2, W / 2) of boundaries, and logits (B, 1, H / 2, W / 2)."""
        wide = F.interpolate(self.coarse(coarse), scale_factor=2.0, mode="nearest")
        features = F.relu(self.merge(extents.clear(F.relu(self.fine(fine) + wide), 2)))
        return features, self.out(features)


class FinerBoundaryHead(nn.Module):
    """Boundaries at the resolution of the images, from the images at twice their size.

    What is around a pixel is known from the smaller images; the larger ones are only looked at closely, by
    few layers without normalization. So it costs a fraction of the network at twice the resolution, whose
    boundaries it learns. No gradient goes from here into the rest of the network.

    Args:
        embedding_width: Channels of the per-pixel embeddings.
    """

    def __init__(self, embedding_width: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, _WIDTH // 2, 3, 2, 1)
        self.down = nn.Conv2d(_WIDTH // 2, _WIDTH, 3, 2, 1)
        self.coarse = nn.Conv2d(_WIDTH + 1, _WIDTH, 1)
        self.further_down = nn.Conv2d(_WIDTH, 2 * _WIDTH, 3, 2, 1)
        self.embedding = nn.Conv2d(embedding_width, 2 * _WIDTH, 1)
        self.around = nn.ModuleList(_Block(2 * _WIDTH, 8) for _ in range(3))
        self.up = nn.Conv2d(2 * _WIDTH, _WIDTH, 1)
        self.near = _Block(_WIDTH, 4)
        self.out = nn.Conv2d(_WIDTH, 4, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(
        self, finer: Tensor, features: Tensor, logits: Tensor, embedding: Tensor, extents: Extents
    ) -> Tensor:
        """Logits (B, 1, H, W).

        Args:
            finer: (B, 3, 2 H, 2 W), normalized.
            features: (B, 32, H / 2, W / 2) of the boundary head.
            logits: (B, 1, H / 2, W / 2) of the boundary head.
            embedding: (B, D, H / 4, W / 4), per pixel.
            extents: Of the finer images.
        """
        features, logits, embedding = features.detach(), logits.detach(), embedding.detach()
        near = F.relu(self.down(extents.clear(F.relu(self.stem(finer)), 2)))
        near = extents.clear(near + self.coarse(torch.cat([features, logits], 1)), 4)
        around = extents.clear(F.relu(self.further_down(near) + self.embedding(embedding)), 8)
        for block in self.around:
            around = block(around, extents)
        wide = F.interpolate(self.up(around), scale_factor=2.0, mode="nearest")
        values = self.near(extents.clear(F.relu(near + wide), 4), extents)
        # One logit for each of the four cells in one of the boundary head's, relative to that one's.
        return F.pixel_shuffle(self.out(values) + logits, 2)


class _Block(nn.Module):
    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.first = nn.Conv2d(width, width, 3, 1, 1)
        self.second = nn.Conv2d(width, width, 3, 1, 1)

    def forward(self, values: Tensor, extents: Extents) -> Tensor:
        inner = extents.clear(F.relu(self.first(values)), self.stride)
        return extents.clear(F.relu(values + self.second(inner)), self.stride)

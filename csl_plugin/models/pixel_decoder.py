"""From backbone features to per-pixel embeddings: a feature pyramid."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from csl_plugin.models.layers import Extents, NormalizedConvolution

STRIDES = (32, 16, 8, 4)


class PixelDecoder(nn.Module):
    """A feature pyramid (Lin et al. 2017) whose top knows the mean of the whole image."""

    def __init__(self, widths: dict[int, int], width: int) -> None:
        super().__init__()
        self.sides = nn.ModuleList(NormalizedConvolution(widths[stride], width, 1) for stride in STRIDES)
        self.merges = nn.ModuleList(NormalizedConvolution(width, width, 3) for _ in STRIDES)
        self.whole = nn.Linear(width, width)

    def forward(self, features: dict[int, Tensor], extents: Extents) -> dict[int, Tensor]:
        """Features by stride to embeddings (B, D, H / s, W / s) by stride s, 32 to 4."""
        embeddings: dict[int, Tensor] = {}
        above: Tensor | None = None
        for stride, side, merge in zip(STRIDES, self.sides, self.merges, strict=True):
            values = side(features[stride])
            if above is None:
                mean = self.whole(extents.mean(values, stride).flatten(1))
                values = values + mean[:, :, None, None]
            else:  # nearest, so that nothing from beyond an image's edge is mixed in
                values = values + F.interpolate(above, scale_factor=2.0, mode="nearest")
            above = extents.clear(F.relu(merge(extents.clear(values, stride))), stride)
            embeddings[stride] = above
        return embeddings

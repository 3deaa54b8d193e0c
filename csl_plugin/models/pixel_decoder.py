"""From backbone features to per-pixel embeddings: a feature pyramid."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from csl_plugin.models.layers import Extents, NormalizedConvolution

STRIDES = (32, 16, 8, 4)


class PixelDecoder(nn.Module):
    """A feature pyramid (Lin et al. 2017) with global context: the image's mean is added to its top."""

    def __init__(self, widths: dict[int, int], width: int) -> None:
        super().__init__()
        self.lateral_convolutions = nn.ModuleList(
            NormalizedConvolution(widths[stride], width, 1) for stride in STRIDES
        )
        self.output_convolutions = nn.ModuleList(NormalizedConvolution(width, width, 3) for _ in STRIDES)
        self.global_context = nn.Linear(width, width)

    def forward(self, features: dict[int, Tensor], extents: Extents) -> dict[int, Tensor]:
        """Features by stride to embeddings (B, D, H / s, W / s) by stride s, 32 to 4."""
        embeddings: dict[int, Tensor] = {}
        above: Tensor | None = None
        layers = zip(STRIDES, self.lateral_convolutions, self.output_convolutions, strict=True)
        for stride, lateral, output in layers:
            values = lateral(features[stride])
            if above is None:
                mean = self.global_context(extents.mean(values, stride).flatten(1))
                values = values + mean[:, :, None, None]
            else:  # nearest, so that no padding is mixed in
                values = values + F.interpolate(above, scale_factor=2.0, mode="nearest")
            above = extents.clear(F.relu(output(extents.clear(values, stride))), stride)
            embeddings[stride] = above
        return embeddings

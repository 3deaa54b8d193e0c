"""Layers whose results do not depend on the padding of a batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from csl_plugin._tracing import is_exporting


class Extents:
    """Which part of each padded image is the image. The rest is zero in every layer, as zero padding is.

    Args:
        sizes: (B, 2) height and width of each image in pixels; None where no image is padded.
        padded: (H, W) of the batch.
        common: Height and width of all images, where they have the same and are padded.
    """

    def __init__(
        self, sizes: Tensor | None, padded: tuple[int, int], common: tuple[int, int] | None = None
    ) -> None:
        self.sizes, self.padded, self._common = sizes, padded, common
        self._masks: dict[int, Tensor] = {}

    def inside(self, stride: int) -> Tensor | None:
        """(B, 1, H / stride, W / stride) bool; None where no image is padded."""
        if self.sizes is None:
            return None
        if stride not in self._masks:
            cells = (self.sizes + stride - 1) // stride
            rows = torch.arange(self.padded[0] // stride, device=cells.device) < cells[:, :1]
            columns = torch.arange(self.padded[1] // stride, device=cells.device) < cells[:, 1:]
            self._masks[stride] = (rows[:, :, None] & columns[:, None, :])[:, None]
        return self._masks[stride]

    def clear(self, values: Tensor, stride: int) -> Tensor:
        """(B, C, H / stride, W / stride), set to zero outside the images; may overwrite what it gets."""
        if self._common is not None and not torch.is_grad_enabled() and not is_exporting():
            values[:, :, -(-self._common[0] // stride) :] = 0
            values[:, :, :, -(-self._common[1] // stride) :] = 0
            return values
        inside = self.inside(stride)
        return values if inside is None else values * inside

    def doubled(self) -> Extents:
        """Those of the same images at twice their size."""
        sizes = None if self.sizes is None else 2 * self.sizes
        common = None if self._common is None else (2 * self._common[0], 2 * self._common[1])
        return Extents(sizes, (2 * self.padded[0], 2 * self.padded[1]), common)

    def mean(self, values: Tensor, stride: int) -> Tensor:
        """(B, C, 1, 1) means over the images' own cells."""
        inside = self.inside(stride)
        if inside is None:
            return values.mean((2, 3), keepdim=True)
        total = (values * inside).float().sum((2, 3), keepdim=True)
        return (total / inside.sum((2, 3), keepdim=True)).to(values.dtype)


class ChannelNorm(nn.Module):
    """Layer normalization over the channels of each pixel: no other pixel, image or padding matters."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, values: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        channels_last = values.permute(0, 2, 3, 1)
        normal = F.layer_norm(channels_last, self.weight.shape, self.weight, self.bias)
        return normal.permute(0, 3, 1, 2)


class NormalizedConvolution(nn.Module):
    """A convolution and its normalization."""

    def __init__(self, before: int, after: int, kernel: int, step: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(before, after, kernel, step, kernel // 2, bias=False)
        self.norm = ChannelNorm(after)

    def forward(self, values: Tensor) -> Tensor:
        """(B, C, H, W) to (B, D, H / step, W / step)."""
        return self.norm(self.convolution(values))  # type: ignore[no-any-return]

"""Sine position encodings, relative to the image without its padding."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from csl_plugin.models.layers import Extents

_TEMPERATURE = 10_000.0


def grid_positions(extents: Extents, stride: int, batch: int, like: Tensor) -> Tensor:
    """Cell centers as fractions of their image's size, (B, H W / stride^2, 2) as (y, x)."""
    height, width = extents.padded
    if extents.sizes is None:
        sizes = torch.tensor([[height, width]], device=like.device).expand(batch, 2)
    else:
        sizes = extents.sizes
    y = (torch.arange(height // stride, dtype=torch.float32, device=like.device) + 0.5) * stride
    x = (torch.arange(width // stride, dtype=torch.float32, device=like.device) + 0.5) * stride
    y, x = y / sizes[:, :1], x / sizes[:, 1:]
    rows, columns = y.shape[1], x.shape[1]
    both = torch.stack([y[:, :, None].expand(-1, -1, columns), x[:, None, :].expand(-1, rows, -1)], -1)
    return both.flatten(1, 2)


def encode(positions: Tensor, width: int) -> Tensor:
    """(..., 2) positions in [0, 1] to (..., width) sines and cosines (Vaswani et al. 2017, two axes)."""
    quarter = width // 4
    steps = torch.arange(quarter, device=positions.device, dtype=torch.float32) / quarter
    phases = 2 * math.pi * positions.float()[..., None] / _TEMPERATURE**steps
    return torch.cat([phases.sin(), phases.cos()], -1).flatten(-2)

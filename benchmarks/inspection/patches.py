"""A score as PatchCore's, without trained weights: the distance of a patch to the nearest patch seen."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

STRIDE, SIGMA = 4, 4.0


class PatchMemory:
    """Distances of the patches of a picture to those of pictures without defects.

    The features are two layers of fixed random filters, averaged over 3 x 3 cells of 4 pixels, as PatchCore
    averages those of its backbone; the map is brought to the picture's size and blurred, as PatchCore's is.

    Args:
        seed: Of the filters and of the patches that are kept.
        kept: Patches in the memory.
    """

    def __init__(self, seed: int = 0, kept: int = 4000) -> None:
        draw = torch.Generator().manual_seed(seed)
        self._filters = [
            torch.randn(24, 3, 5, 5, generator=draw) / 75**0.5,
            torch.randn(48, 24, 3, 3, generator=draw) / 216**0.5,
        ]
        self._draw, self._kept = draw, kept
        self._memory = torch.empty(0)
        self._spread = torch.ones(1)

    def fit(self, pictures: Sequence[Tensor]) -> None:
        """Remember the patches of pictures (3, H, W) in [0, 1]."""
        patches = torch.cat([self._features(one[None])[0].flatten(1).T for one in pictures])
        self._spread = patches.std(0).clamp(min=1e-4)
        chosen = torch.randperm(len(patches), generator=self._draw)[: self._kept]
        self._memory = patches[chosen] / self._spread

    def __call__(self, pictures: Tensor) -> Tensor:
        """The anomaly maps (B, 1, H, W) of pictures (B, 3, H, W), >= 0."""
        features = self._features(pictures)
        flat = features.movedim(1, -1).flatten(1, 2) / self._spread
        nearest = torch.stack([torch.cdist(one, self._memory).amin(1) for one in flat])
        maps = nearest.view(len(pictures), 1, *features.shape[2:])
        return _blurred(F.interpolate(maps, pictures.shape[-2:], mode="bilinear"))

    def _features(self, pictures: Tensor) -> Tensor:
        first = F.conv2d(F.pad(pictures - 0.5, (2,) * 4, mode="reflect"), self._filters[0], stride=2).relu()
        second = F.conv2d(F.pad(first, (1,) * 4, mode="reflect"), self._filters[1], stride=2).relu()
        both = torch.cat([F.avg_pool2d(first, 2), second], 1)
        return F.avg_pool2d(both, 3, 1, 1)


def _blurred(maps: Tensor) -> Tensor:
    reach = int(3 * SIGMA)
    steps = torch.arange(-reach, reach + 1.0)
    line = torch.exp(-(steps**2) / (2 * SIGMA**2))
    line = line / line.sum()
    padded = F.pad(maps, (reach,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, line.view(1, 1, 1, -1)), line.view(1, 1, -1, 1))

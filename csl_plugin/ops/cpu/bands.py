"""A distribution read in bands of rows, at its own resolution or upsampled on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from csl_plugin.ops.cpu.bilinear import axis
from csl_plugin.ops.dtypes import compute_dtype, to_probabilities, to_scores


class Bands(Protocol):
    """Where the engine reads D from."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(B, C, H, W) at which D is read."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the arithmetic."""
        ...

    @property
    def free(self) -> bool:
        """Whether a band of any height takes no memory of its own."""
        ...

    def band(self, image: int, rows: slice) -> Tensor:
        """Scores of all classes in some rows of one image, (C, rows, W)."""
        ...


@dataclass(frozen=True)
class AsStored:
    """D at its own resolution: bands are views where its dtype is that of the arithmetic."""

    values: Tensor

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(B, C, H, W)."""
        return tuple(self.values.shape)  # type: ignore[return-value]

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the arithmetic."""
        return compute_dtype(self.values.dtype)

    @property
    def free(self) -> bool:
        """Whether bands are views whose planes are contiguous."""
        return self.values.dtype == self.dtype and self.values[0, 0].is_contiguous()

    def band(self, image: int, rows: slice) -> Tensor:
        """Scores (C, rows, W)."""
        return to_scores(self.values[image, :, rows])


@dataclass(frozen=True)
class Upsampled:
    """D or its logits (B, C, h, w), brought to `size` band by band; C x H x W is never held."""

    values: Tensor
    size: tuple[int, int]
    logits: bool

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(B, C, H, W)."""
        return (self.values.shape[0], self.values.shape[1], *self.size)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the arithmetic."""
        return compute_dtype(self.values.dtype)

    @property
    def free(self) -> bool:
        """No: a band is computed."""
        return False

    def band(self, image: int, rows: slice) -> Tensor:
        """Scores (C, rows, W): columns first, then rows, as torch interpolates."""
        lines = axis(self.size[0], self.values.shape[2])
        before, after, weight = lines.before[rows], lines.after[rows], lines.weight[rows]
        first, last = int(before[0]), int(after[-1]) + 1
        source = to_scores(self.values[image, :, first:last])
        wide = F.interpolate(
            source[None], (last - first, self.size[1]), mode="bilinear", align_corners=False
        )[0]
        share = torch.from_numpy(weight.copy()).to(wide.dtype)[:, None]
        above = wide.index_select(1, torch.from_numpy(before - first)).mul_(1 - share)
        below = wide.index_select(1, torch.from_numpy(after - first)).mul_(share)
        return to_probabilities(above.add_(below), dim=0) if self.logits else above.add_(below)

    def materialized(self) -> Tensor:
        """The whole of D, (B, C, H, W), for paths that read it at once."""
        whole = F.interpolate(self.values, self.size, mode="bilinear", align_corners=False)
        return to_probabilities(whole, dim=1) if self.logits else whole


@dataclass(frozen=True)
class WithRoot:
    """A source of one class, and its square root as a second."""

    source: Bands

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(B, 2, H, W)."""
        batch, _, height, width = self.source.shape
        return (batch, 2, height, width)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the arithmetic."""
        return self.source.dtype

    @property
    def free(self) -> bool:
        """No: a band is computed."""
        return False

    def band(self, image: int, rows: slice) -> Tensor:
        """D and its root, (2, rows, W)."""
        scores = self.source.band(image, rows)
        return torch.cat([scores, scores.sqrt()])

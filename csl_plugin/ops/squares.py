"""Exact soft assignment at any size, from the winners of the low-resolution samples.

Inside the square between four samples, bilinear interpolation gives every region the same convex
combination of its four corner values. So a region that wins at all four corners wins at every pixel of
the square, and one that wins at none stays below the interpolated runner-up. Most squares are settled by
the first sentence, most pixels of the others by the second; what is left is evaluated in full. With the
sigmoid after the interpolation the corners bound the inside without deciding it: both sentences then
compare smallest and largest corners.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from csl_plugin.ops import streamed
from csl_plugin.ops.arithmetic import Sigmoid
from csl_plugin.ops.sampling import Axis, axis
from csl_plugin.ops.winners import Winners, winners

Ints: TypeAlias = "NDArray[np.integer[Any]]"
Floats: TypeAlias = "NDArray[np.float32]"

_PIXELS = 32_768
_CORNER_VALUES = 1 << 20
_CONTENDERS = 16
_SLACK = np.float32(1 + 1e-6)


@dataclass(frozen=True)
class _Image:
    """One image's proposals, and how its pixels lie between their samples."""

    values: Tensor
    validity: Floats
    sigmoid: Sigmoid
    rows: Axis
    columns: Axis

    @property
    def width(self) -> int:
        return len(self.columns.before)

    def squares(self, pixels: Ints) -> Ints:
        """The flat index of the sample before each pixel."""
        y, x = np.divmod(pixels, self.width)
        return self.rows.before[y] * self.values.shape[2] + self.columns.before[x]

    def corners(self, squares: Ints) -> Ints:
        """(Q, 4) flat indices of the samples around each square."""
        height, width = self.values.shape[1:]
        y, x = np.divmod(squares, width)
        below, right = np.minimum(y + 1, height - 1), np.minimum(x + 1, width - 1)
        return np.stack([y * width + x, y * width + right, below * width + x, below * width + right], 1)

    def at_corners(self, regions: Ints, squares: Ints) -> Floats:
        """What is interpolated, of (Q, K) regions at their squares' corners, (Q, K, 4)."""
        y, x = np.divmod(self.corners(squares), self.values.shape[2])
        picked = self.values[
            torch.from_numpy(regions)[:, :, None],
            torch.from_numpy(y)[:, None],
            torch.from_numpy(x)[:, None],
        ].float()
        return (picked.sigmoid_() if self.sigmoid == "before" else picked).numpy()

    def interpolate(self, corner_values: Floats, pixels: Ints) -> Floats:
        """(P, ..., 4) corner values at P pixels, (P, ...)."""
        y, x = np.divmod(pixels, self.width)
        shape = (-1,) + (1,) * (corner_values.ndim - 2)
        v, u = self.rows.weight[y].reshape(shape), self.columns.weight[x].reshape(shape)
        top = corner_values[..., 0] * (1 - u) + corner_values[..., 1] * u
        bottom = corner_values[..., 2] * (1 - u) + corner_values[..., 3] * u
        return np.asarray(top * (1 - v) + bottom * v, np.float32)


def assign(values: Tensor, validity: Tensor, size: tuple[int, int], sigmoid: Sigmoid) -> Tensor:
    """Equation 2 for one image: (N, h, w) and (N) to labels (H, W) int32."""
    count, height, width = values.shape
    lowres = winners(values, validity, logits=sigmoid != "none")
    if size == (height, width):
        return torch.from_numpy(lowres.labels)
    image = _Image(values, validity.float().numpy(), sigmoid, axis(size[0], height), axis(size[1], width))
    is_open = ~_settled(lowres, sigmoid)
    labels = _spread(lowres.labels, image)
    pixels: Ints = np.flatnonzero(_spread(is_open, image))
    flat = labels.reshape(-1)
    open_squares = np.flatnonzero(is_open)
    corners = image.corners(open_squares)
    regions = np.sort(lowres.labels.reshape(-1)[corners], axis=1)
    runners_up = lowres.second.reshape(-1)[corners]
    pixels = _settle(flat, image, pixels, open_squares, regions, runners_up)
    for contenders in (_CONTENDERS, count):
        if not len(pixels):
            break
        squares = np.unique(image.squares(pixels))
        if len(squares) * 8 > height * width:
            return streamed.assign(values[None], validity[None], size, sigmoid)[0]
        pixels = _settle_among(flat, image, pixels, squares, min(contenders, count))
    return torch.from_numpy(labels)


def _settle(labels: Ints, image: _Image, pixels: Ints, squares: Ints, regions: Ints, bounds: Floats) -> Ints:
    """Label pixels with the best of their square's regions; return those another region might still win.

    `squares` (Q) rise and hold every pixel; `regions` (Q, K) rise along K, for ties; `bounds` (Q, 4) are what
    no other region exceeds at the corners.
    """
    corner_values = image.at_corners(regions, squares)
    doubtful = []
    for start in range(0, len(pixels), _PIXELS):
        part = pixels[start : start + _PIXELS]
        own = np.searchsorted(squares, image.squares(part))
        values = image.interpolate(corner_values[own], part)
        if image.sigmoid == "after":
            values = torch.from_numpy(values).sigmoid_().numpy()
        values *= image.validity[regions[own]]
        best = values.argmax(1)
        labels[part] = regions[own, best]
        bound = bounds.max(1)[own] if image.sigmoid == "after" else image.interpolate(bounds[own], part)
        doubtful.append(part[values[np.arange(len(part)), best] <= bound * _SLACK])
    return np.concatenate(doubtful) if doubtful else pixels


def _settle_among(labels: Ints, image: _Image, pixels: Ints, squares: Ints, contenders: int) -> Ints:
    """As `_settle`, among the regions with the highest corner values of each square."""
    count = len(image.validity)
    home = np.searchsorted(squares, image.squares(pixels))
    doubtful = []
    step = max(1, _CORNER_VALUES // (4 * count))
    everyone = np.arange(count)[None]
    for start in range(0, len(squares), step):
        part = squares[start : start + step]
        inside = pixels[(home >= start) & (home < start + step)]
        if contenders == count:
            regions = np.repeat(everyone, len(part), 0)
            bounds = np.full((len(part), 4), -1, np.float32)
        else:
            corner_values = image.at_corners(np.repeat(everyone, len(part), 0), part).max(2)
            if image.sigmoid == "after":
                corner_values = torch.from_numpy(corner_values).sigmoid_().numpy()
            peaks = corner_values * image.validity
            ranked = np.argpartition(-peaks, contenders, axis=1)
            regions = np.sort(ranked[:, :contenders], axis=1)
            excluded = np.take_along_axis(peaks, ranked[:, contenders : contenders + 1], 1)
            bounds = np.repeat(excluded, 4, 1)
        doubtful.append(_settle(labels, image, inside, part, regions, bounds))
    return np.concatenate(doubtful)


def _settled(lowres: Winners, sigmoid: Sigmoid) -> NDArray[Any]:
    """(h, w): whether one region wins throughout the square that begins at each sample."""
    labels = lowres.labels
    same = (labels == _right(labels)) & (labels == _below(labels))
    same = same & (labels == _below(_right(labels)))
    if sigmoid == "after":
        lowest = np.minimum(lowres.best, _right(lowres.best))
        highest = np.maximum(lowres.second, _right(lowres.second))
        clear = np.minimum(lowest, _below(lowest)) > np.maximum(highest, _below(highest)) * _SLACK
        same = same & clear
    return np.asarray(same)


def _right(plane: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([plane[:, 1:], plane[:, -1:]], 1)


def _below(plane: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([plane[1:], plane[-1:]], 0)


def _spread(plane: NDArray[Any], image: _Image) -> NDArray[Any]:
    """The value of its square at every pixel."""
    return np.take(np.take(plane, image.columns.before, axis=1), image.rows.before, axis=0)

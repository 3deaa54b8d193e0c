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
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from csl_plugin.ops import streamed
from csl_plugin.ops.arithmetic import SERIAL, Sigmoid
from csl_plugin.ops.samples import Floats, Ints, Samples, squash
from csl_plugin.ops.sampling import Axis, axis
from csl_plugin.ops.winners import Winners, winners

_PIXELS = SERIAL
_CORNER_VALUES = 1 << 20
_CONTENDERS = 16
_SLACK = np.float32(1 + 1e-6)


@dataclass(frozen=True)
class _Image:
    """One image's samples, and how its pixels lie between them."""

    samples: Samples
    sigmoid: Sigmoid
    rows: Axis
    columns: Axis

    def squares(self, pixels: Ints) -> Ints:
        """The flat index of the sample before each pixel."""
        y, x = np.divmod(pixels, len(self.columns.before))
        return self.rows.before[y] * self.samples.width + self.columns.before[x]

    def corners(self, squares: Ints) -> Ints:
        """(4, Q) flat indices of the samples around each square."""
        height, width = self.samples.height, self.samples.width
        y, x = np.divmod(squares, width)
        below, right = np.minimum(y + 1, height - 1), np.minimum(x + 1, width - 1)
        return np.stack([y * width + x, y * width + right, below * width + x, below * width + right])

    def at_corners(self, regions: Ints, squares: Ints) -> Floats:
        """What is interpolated, of (Q, K) regions at their squares' corners, (Q, K, 4)."""
        places = regions[:, :, None] * (self.samples.height * self.samples.width)
        places = places + self.corners(squares).T[:, None]
        return self.samples.read(self.samples.bits.reshape(-1)[places], logits=self.sigmoid == "before")

    def all_at_corners(self, squares: Ints) -> Floats:
        """What is interpolated, of every region at the corners of some squares, (N, 4, Q)."""
        bits = np.take(self.samples.bits.reshape(self.samples.count, -1), self.corners(squares), axis=1)
        return self.samples.read(bits, logits=self.sigmoid == "before")

    def interpolate(self, corner_values: Floats, pixels: Ints) -> Floats:
        """(P, ..., 4) corner values at P pixels, (P, ...)."""
        y, x = np.divmod(pixels, len(self.columns.before))
        shape = (-1,) + (1,) * (corner_values.ndim - 2)
        v, u = self.rows.weight[y].reshape(shape), self.columns.weight[x].reshape(shape)
        top = corner_values[..., 0] * (1 - u) + corner_values[..., 1] * u
        bottom = corner_values[..., 2] * (1 - u) + corner_values[..., 3] * u
        return np.asarray(top * (1 - v) + bottom * v, np.float32)


def assign(values: Tensor, validity: Tensor, sigmoid: Sigmoid, out: NDArray[np.int32]) -> None:
    """Equation 2 for one image: (N, h, w) and (N) to labels, written into `out`, (H, W) contiguous."""
    samples = Samples(values, validity)
    grid = (samples.height, samples.width)
    lowres = winners(samples, logits=sigmoid != "none")
    if out.shape == grid:
        out[...] = lowres.labels
        return
    image = _Image(samples, sigmoid, axis(out.shape[0], grid[0]), axis(out.shape[1], grid[1]))
    is_open = ~_settled(lowres, sigmoid)
    _spread(lowres.labels, image, out)
    flat = out.reshape(-1)
    pixels: Ints = np.flatnonzero(_spread(is_open, image, np.empty(out.shape, bool)))
    pixels = _settle_among_winners(flat, image, pixels, np.flatnonzero(is_open), lowres)
    for contenders in (_CONTENDERS, samples.count):
        if not len(pixels):
            break
        squares = np.unique(image.squares(pixels))
        if len(squares) * 8 > is_open.size:
            size = out.shape[0], out.shape[1]
            out[...] = streamed.assign(values[None], validity[None], size, sigmoid)[0].numpy()
            return
        pixels = _settle_among(flat, image, pixels, squares, min(contenders, samples.count))


def _settle_among_winners(labels: Ints, image: _Image, pixels: Ints, squares: Ints, lowres: Winners) -> Ints:
    """Label pixels with the best of their corners' winners; return those another region might still win."""
    corners = image.corners(squares)
    regions = np.sort(lowres.labels.reshape(-1)[corners.T], axis=1)
    runners_up = lowres.second.reshape(-1)[corners.T]
    return _settle(labels, image, pixels, squares, regions, image.at_corners(regions, squares), runners_up)


def _settle_among(labels: Ints, image: _Image, pixels: Ints, squares: Ints, contenders: int) -> Ints:
    """Likewise, among the regions with the highest corner values of each square."""
    count = image.samples.count
    home = np.searchsorted(squares, image.squares(pixels))
    doubtful = []
    step = max(1, _CORNER_VALUES // (4 * count))
    for start in range(0, len(squares), step):
        part = squares[start : start + step]
        inside = pixels[(home >= start) & (home < start + step)]
        values = image.all_at_corners(part)
        if contenders == count:
            regions = np.broadcast_to(np.arange(count), (len(part), count))
            bounds = np.full((len(part), 4), -1, np.float32)
        else:
            peaks = values.max(1).T
            peaks = (squash(peaks.copy()) if image.sigmoid == "after" else peaks) * image.samples.validity
            ranked = np.argpartition(-peaks, contenders, axis=1)
            regions = np.sort(ranked[:, :contenders], axis=1)
            excluded = np.take_along_axis(peaks, ranked[:, contenders : contenders + 1], 1)
            bounds = np.repeat(excluded, 4, 1)
        corner_values = values[regions, :, np.arange(len(part))[:, None]]
        doubtful.append(_settle(labels, image, inside, part, regions, corner_values, bounds))
    return np.concatenate(doubtful)


def _settle(
    labels: Ints,
    image: _Image,
    pixels: Ints,
    squares: Ints,
    regions: Ints,
    corner_values: Floats,
    bounds: Floats,
) -> Ints:
    """Label pixels with the best of their square's regions; return those another region might still win.

    `squares` (Q) rise and hold every pixel; `regions` (Q, K) rise along K, for ties; `corner_values` are
    theirs, (Q, K, 4), and `bounds` what no other region exceeds at the corners, (Q, 4).
    """
    doubtful = [pixels[:0]]
    for start in range(0, len(pixels), _PIXELS):
        part = pixels[start : start + _PIXELS]
        own = np.searchsorted(squares, image.squares(part))
        values = image.interpolate(corner_values[own], part)
        values = squash(values) if image.sigmoid == "after" else values
        values *= image.samples.validity[regions[own]]
        best = values.argmax(1)
        labels[part] = regions[own, best]
        bound = bounds.max(1)[own] if image.sigmoid == "after" else image.interpolate(bounds[own], part)
        doubtful.append(part[values[np.arange(len(part)), best] <= bound * _SLACK])
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


def _spread(plane: NDArray[Any], image: _Image, out: NDArray[Any]) -> NDArray[Any]:
    """Write the value of its square at every pixel into `out`, and return it."""
    wide = np.take(plane, image.columns.before, axis=1)
    # "clip" writes straight into `out`; the indices are in range.
    return np.take(wide, image.rows.before, axis=0, out=out, mode="clip")

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

from csl_plugin.ops import planewise
from csl_plugin.ops.cpu.bilinear import Axis, Floats, Ints, Samples, axis, squash
from csl_plugin.ops.cpu.memory import quiet
from csl_plugin.ops.cpu.top2 import Winners, winners
from csl_plugin.ops.dtypes import SERIAL, Sigmoid

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
        y, x = self._split(pixels)
        return self.rows.before[y] * self.samples.width + self.columns.before[x]

    def corners(self, squares: Ints) -> Ints:
        """(4, Q) flat indices of the samples around each square."""
        height, width = self.samples.height, self.samples.width
        y, x = np.divmod(squares, width)
        below, right = np.minimum(y + 1, height - 1), np.minimum(x + 1, width - 1)
        return np.stack([y * width + x, y * width + right, below * width + x, below * width + right])

    def at_corners(self, regions: Ints, squares: Ints) -> Floats:
        """What is interpolated, of (K, Q) regions at their squares' corners, (K, 4, Q)."""
        places = regions[:, None] * (self.samples.height * self.samples.width) + self.corners(squares)
        return self.samples.read(self.samples.bits.reshape(-1)[places], logits=self.sigmoid == "before")

    def all_at_corners(self, squares: Ints) -> Floats:
        """What is interpolated, of every region at the corners of some squares, (N, 4, Q)."""
        bits = np.take(self.samples.bits.reshape(self.samples.count, -1), self.corners(squares), axis=1)
        return self.samples.read(bits, logits=self.sigmoid == "before")

    def weights(self, pixels: Ints) -> Floats:
        """(2, P) how far each pixel lies from the sample before it, down and to the right, in [0, 1)."""
        y, x = self._split(pixels)
        return np.stack([self.rows.weight[y], self.columns.weight[x]])

    def _split(self, pixels: Ints) -> tuple[Ints, Ints]:
        y = pixels // len(self.columns.before)  # several times faster than divmod
        return y, pixels - y * len(self.columns.before)


@quiet
def assign(values: Tensor, validity: Tensor, sigmoid: Sigmoid, out: NDArray[np.int32]) -> None:
    """Equation 2 for one image: (N, h, w) and (N) to region ids, written into `out`, (H, W) contiguous."""
    samples = Samples(values, validity)
    grid = (samples.height, samples.width)
    lowres = winners(samples, logits=sigmoid != "none")
    if out.shape == grid:
        out[...] = lowres.ids
        return
    image = _Image(samples, sigmoid, axis(out.shape[0], grid[0]), axis(out.shape[1], grid[1]))
    is_open = ~_settled(lowres, sigmoid)
    _spread(lowres.ids, image, out)
    flat = out.reshape(-1)
    pixels: Ints = np.flatnonzero(_spread(is_open, image, np.empty(out.shape, bool)))
    pixels = _settle_among_winners(flat, image, pixels, np.flatnonzero(is_open), lowres)
    for contenders in (_CONTENDERS, samples.count):
        if not len(pixels):
            break
        squares = np.unique(image.squares(pixels))
        if len(squares) * 8 > is_open.size:
            size = out.shape[0], out.shape[1]
            out[...] = planewise.assign(values[None], validity[None], size, sigmoid)[0].numpy()
            return
        pixels = _settle_among(flat, image, pixels, squares, min(contenders, samples.count))


def _settle_among_winners(ids: Ints, image: _Image, pixels: Ints, squares: Ints, lowres: Winners) -> Ints:
    """Assign pixels to the best of their corners' winners; return those another region might still win."""
    corners = image.corners(squares)
    regions = np.sort(lowres.ids.reshape(-1)[corners], axis=0)
    bounds = lowres.second.reshape(-1)[corners]
    # Along an outline most squares have two regions at their corners: the lowest and the highest.
    many = (regions[1:] != regions[:-1]).sum(0) > 1
    home = _Home.of(image, squares)
    own_many = many[home.squares_of(image, pixels)]
    doubtful = []
    for chosen, inside, rows in ((~many, ~own_many, [0, 3]), (many, own_many, [0, 1, 2, 3])):
        part, candidates = squares[chosen], np.ascontiguousarray(regions[:, chosen][rows])
        values = image.at_corners(candidates, part)
        doubtful.append(_settle(ids, image, pixels[inside], part, candidates, values, bounds[:, chosen]))
    return np.concatenate(doubtful)


def _settle_among(ids: Ints, image: _Image, pixels: Ints, squares: Ints, contenders: int) -> Ints:
    """Likewise, among the regions with the highest corner values of each square."""
    count = image.samples.count
    home = _Home.of(image, squares).squares_of(image, pixels)
    doubtful = []
    step = max(1, _CORNER_VALUES // (4 * count))
    for start in range(0, len(squares), step):
        part = squares[start : start + step]
        inside = pixels[(home >= start) & (home < start + step)]
        values = image.all_at_corners(part)
        if contenders == count:
            regions = np.broadcast_to(np.arange(count)[:, None], (count, len(part)))
            bounds = np.full((4, len(part)), -1, np.float32)
        else:
            peaks = values.max(1)
            peaks = squash(peaks) if image.sigmoid == "after" else peaks
            ranked = np.argpartition(-(peaks.T * image.samples.validity), contenders, axis=1).T
            regions = np.sort(ranked[:contenders], axis=0)
            excluded = ranked[contenders]
            bounds = peaks[excluded, np.arange(len(part))] * image.samples.validity[excluded]
            bounds = np.broadcast_to(bounds, (4, len(part)))
            values = np.take_along_axis(values, regions[:, None], 0)
        doubtful.append(_settle(ids, image, inside, part, regions, values, bounds))
    return np.concatenate(doubtful)


def _settle(
    ids: Ints,
    image: _Image,
    pixels: Ints,
    squares: Ints,
    regions: Ints,
    corner_values: Floats,
    bounds: Floats,
) -> Ints:
    """Assign pixels to the best of their square's regions; return those another region might still win.

    `squares` (Q) hold every pixel; `regions` (K, Q) rise along K, for ties; `corner_values` are theirs,
    (K, 4, Q), and `bounds` what no other region exceeds at the corners, (4, Q).
    """
    after = image.sigmoid == "after"
    validity = image.samples.validity[regions]
    if not after:
        corner_values = corner_values * validity[:, None]
    home = _Home.of(image, squares)
    doubtful = [pixels[:0]]
    for start in range(0, len(pixels), _PIXELS):
        part = pixels[start : start + _PIXELS]
        own, weights = home.squares_of(image, part), image.weights(part)
        best, winner = np.full(len(part), -1, np.float32), np.zeros(len(part), np.int32)
        for region, values, valid in zip(regions, corner_values, validity, strict=True):
            score = _interpolate(values, own, weights)
            score = squash(score) * valid[own] if after else score
            better = score > best
            np.copyto(winner, region[own], where=better, casting="same_kind")
            np.maximum(best, score, out=best)
        ids[part] = winner
        bound = bounds.max(0)[own] if after else _interpolate(bounds, own, weights)
        doubtful.append(part[best <= bound * _SLACK])
    return np.concatenate(doubtful)


@dataclass(frozen=True)
class _Home:
    """Where each square stands in a list of squares."""

    position: Ints

    @staticmethod
    def of(image: _Image, squares: Ints) -> _Home:
        position = np.zeros(image.samples.height * image.samples.width, np.int32)
        position[squares] = np.arange(len(squares), dtype=np.int32)
        return _Home(position)

    def squares_of(self, image: _Image, pixels: Ints) -> Ints:
        """The place in the list of the square that holds each pixel."""
        return self.position[image.squares(pixels)]


def _interpolate(corner_values: Floats, own: Ints, weights: Floats) -> Floats:
    """(4, Q) corner values at P pixels, each in the square `own`, (P)."""
    v, u = weights
    top = corner_values[0][own] * (1 - u) + corner_values[1][own] * u
    bottom = corner_values[2][own] * (1 - u) + corner_values[3][own] * u
    return np.asarray(top * (1 - v) + bottom * v, np.float32)


def _settled(lowres: Winners, sigmoid: Sigmoid) -> NDArray[Any]:
    """(h, w): whether one region wins throughout the square that begins at each sample."""
    ids = lowres.ids
    same = (ids == _right(ids)) & (ids == _below(ids))
    same = same & (ids == _below(_right(ids)))
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

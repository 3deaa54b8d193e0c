"""Region means, fusion and class labels on the CPU: runs in place of pixels, tiles that stay in the cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from csl_plugin.ops.cpu.bands import Bands
from csl_plugin.ops.cpu.memory import empty, quiet
from csl_plugin.ops.cpu.runs import Ints, Runs
from csl_plugin.ops.dtypes import SERIAL, to_stored
from csl_plugin.ops.partition import Partition
from csl_plugin.ops.rules import PlainRule

Floats = NDArray[np.floating[Any]]

_TILE_PIXELS = SERIAL


@quiet
def means(scores: Bands, regions: Partition) -> Tensor:
    """Region means of D, (B, C, K) in the dtype of the arithmetic; 0 for regions without a pixel.

    Within a run numpy adds pairwise in the dtype of the arithmetic, across runs in float64.
    """
    batch, classes, _, _ = scores.shape
    count = regions.count
    table = torch.empty(batch, classes, count, dtype=scores.dtype, device="cpu")
    for b, image in enumerate(regions.runs or ()):
        sums = np.empty((classes, len(image.ids)))
        for rows, part in tiles(image, image.shape[0] if scores.free else None):
            starts = image.starts[part] - rows.start * image.shape[1]
            for c, plane in enumerate(scores.band(b, rows)):
                sums[c, part] = _sum_runs(plane.reshape(-1).numpy(), starts)
        slots = np.where(image.ids < 0, count, image.ids)
        sizes = np.maximum(np.bincount(slots, image.lengths, count + 1), 1)
        for c in range(classes):
            quotients = np.bincount(slots, sums[c], count + 1) / sizes
            table[b, c] = torch.from_numpy(quotients[:count])
    return table


@quiet
def apply(scores: Bands, regions: Partition, table: Tensor, rule: PlainRule, out: Tensor) -> None:
    """Write the fused maps into `out`, which may be the distribution itself."""
    for b, image in enumerate(regions.runs or ()):
        for rows, part in tiles(image):
            tile = _Tile.of(image, part, table[b].numpy(), rule)
            for c, plane in enumerate(scores.band(b, rows)):
                target = out[b, c, rows]
                if target.dtype == plane.dtype:
                    tile.fuse(c, plane.numpy(), target.numpy())
                else:
                    fused = torch.empty_like(plane, memory_format=torch.contiguous_format)
                    tile.fuse(c, plane.numpy(), fused.numpy())
                    target.copy_(to_stored(fused, out.dtype))


@quiet
def labels(scores: Bands, regions: Partition, table: Tensor, rule: PlainRule) -> Tensor:
    """Arg max over classes of the fused maps, (B, H, W) int64, one tile of one class at a time."""
    batch, _, height, width = scores.shape
    winners = empty((batch, height, width), torch.int64)
    # The square root keeps the order, so the product decides for it.
    rule = "product" if rule == "geometric" else rule
    for b, image in enumerate(regions.runs or ()):
        for rows, part in tiles(image):
            tile = _Tile.of(image, part, table[b].numpy(), rule)
            band = scores.band(b, rows)
            best, fused = np.empty((2, *band.shape[1:]), table.numpy().dtype)
            tile.fuse(0, band[0].numpy(), best)
            winner = np.zeros(best.shape, np.min_scalar_type(len(band)))
            for c in range(1, len(band)):
                tile.fuse(c, band[c].numpy(), fused)
                _take_larger(best, winner, fused, c)
            winners[b, rows] = torch.from_numpy(winner.astype(np.int32, copy=False))
    return winners


@quiet
def first_largest(fused: Floats) -> Ints:
    """Arg max over the classes of (C, rows, W), int32; ties go to the lowest class."""
    best, winner = fused[0].copy(), np.zeros(fused.shape[1:], np.min_scalar_type(len(fused)))
    for c in range(1, len(fused)):
        _take_larger(best, winner, fused[c], c)
    return winner.astype(np.int32, copy=False)


def _take_larger(best: Floats, winner: Ints, fused: Floats, c: int) -> None:
    """Take class `c` where it exceeds the best so far; classes come in ascending order."""
    # The largest index that ever led is the last that did; a masked copy takes twenty times as long.
    np.maximum(winner, (fused > best) * winner.dtype.type(c), out=winner)
    np.maximum(best, fused, out=best)


@dataclass(frozen=True)
class _Tile:
    """The runs of some rows of an image: what each is multiplied with, and which pixels are unassigned."""

    factors: Floats
    lengths: Ints
    unassigned: NDArray[np.bool_] | None
    rule: PlainRule

    @staticmethod
    def of(image: Runs, part: slice, means_of_image: Floats, rule: PlainRule) -> _Tile:
        """With the (C, K) means of the image's regions."""
        ids, lengths = image.ids[part], image.lengths[part]
        without = ids < 0
        if means_of_image.shape[1]:
            factors = means_of_image[:, ids]
        else:
            factors = np.zeros((len(means_of_image), len(ids)), means_of_image.dtype)
        factors = np.sqrt(factors) if rule == "geometric" else factors
        return _Tile(factors, lengths, np.repeat(without, lengths) if without.any() else None, rule)

    def fuse(self, c: int, scores: Floats, out: Floats) -> None:
        """Write one class, (rows, W), into `out`, which may be `scores`.

        An unassigned pixel's mean is its own score.
        """
        factors = np.repeat(self.factors[c], self.lengths).reshape(scores.shape)
        scores = np.sqrt(scores) if self.rule == "geometric" else scores
        if self.unassigned is not None:
            np.copyto(factors, scores, where=self.unassigned.reshape(scores.shape))
        if self.rule == "mean":
            np.copyto(out, factors)
        else:
            np.multiply(factors, scores, out=out)


def tiles(image: Runs, step: int | None = None, planes: int = 1) -> Iterator[tuple[slice, slice]]:
    """Bands of `step` whole rows, and which runs they hold; no run crosses a row.

    Left out, it is what the cache holds of so many planes at once.
    """
    height, width = image.shape
    step = step or max(1, _TILE_PIXELS // (width * planes))
    for top in range(0, height, step):
        bottom = min(top + step, height)
        first, last = np.searchsorted(image.starts, [top * width, bottom * width])
        yield slice(top, bottom), slice(int(first), int(last))


def _sum_runs(plane: Floats, starts: Any) -> Floats:
    sums: Floats = np.add.reduceat(plane, starts)
    fits = np.isfinite(sums)
    if fits.all():
        return sums
    # Scores near the largest number of the dtype overflow within a run; float64 holds them.
    return np.where(fits, sums, np.add.reduceat(plane, starts, dtype=np.float64))

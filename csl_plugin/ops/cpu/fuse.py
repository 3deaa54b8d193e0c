"""Region means, fusion and class labels on the CPU: runs in place of pixels, tiles that stay in the cache."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from csl_plugin.ops.cpu.bands import Bands
from csl_plugin.ops.cpu.memory import empty, quiet
from csl_plugin.ops.cpu.runs import Ints, Runs
from csl_plugin.ops.cpu.tiles import Floats, tile_of, tiles
from csl_plugin.ops.dtypes import to_stored
from csl_plugin.ops.partition import Partition
from csl_plugin.ops.rules import Rule


@quiet
def means(scores: Bands, regions: Partition) -> Tensor:
    """Region means of D, (B, C, K) in the dtype of the arithmetic; 0 for regions without a pixel.

    Within a run numpy adds pairwise in the dtype of the arithmetic, across runs in float64.
    """
    batch, classes, _, _ = scores.shape
    count = regions.count
    table = torch.empty(batch, classes, count, dtype=scores.dtype, device="cpu")
    for b, image in enumerate(regions.runs or ()):
        sums = run_sums(scores, b, image)
        slots = np.where(image.ids < 0, count, image.ids)
        sizes = np.maximum(np.bincount(slots, image.lengths, count + 1), 1)
        for c in range(classes):
            quotients = np.bincount(slots, sums[c], count + 1) / sizes
            table[b, c] = torch.from_numpy(quotients[:count])
    return table


def run_sums(scores: Bands, b: int, image: Runs) -> NDArray[np.float64]:
    """The sum of D over each run of one image, (C, runs)."""
    sums = np.empty((scores.shape[1], len(image.ids)))
    for rows, part in tiles(image, image.shape[0] if scores.free else None):
        starts = image.starts[part] - rows.start * image.shape[1]
        for c, plane in enumerate(scores.band(b, rows)):
            sums[c, part] = _sum_runs(plane.reshape(-1).numpy(), starts)
    return sums


@quiet
def apply(scores: Bands, regions: Partition, table: Tensor, rule: Rule, out: Tensor) -> None:
    """Write the fused maps into `out`, which may be the distribution itself."""
    for b, image in enumerate(regions.runs or ()):
        for rows, part in tiles(image):
            tile = tile_of(image, part, table[b].numpy(), rule)
            for c, plane in enumerate(scores.band(b, rows)):
                target = out[b, c, rows]
                if target.dtype == plane.dtype:
                    tile.fuse(c, plane.numpy(), target.numpy())
                else:
                    fused = torch.empty_like(plane, memory_format=torch.contiguous_format)
                    tile.fuse(c, plane.numpy(), fused.numpy())
                    target.copy_(to_stored(fused, out.dtype))


@quiet
def labels(scores: Bands, regions: Partition, table: Tensor, rule: Rule) -> Tensor:
    """Arg max over classes of the fused maps, (B, H, W) int64, one tile of one class at a time."""
    batch, _, height, width = scores.shape
    winners = empty((batch, height, width), torch.int64)
    # The square root keeps the order, so the product decides for it.
    rule = "product" if rule == "geometric" else rule
    for b, image in enumerate(regions.runs or ()):
        for rows, part in tiles(image):
            tile = tile_of(image, part, table[b].numpy(), rule)
            band = scores.band(b, rows)
            best, fused = np.empty((2, *band.shape[1:]), table.numpy().dtype)
            tile.fuse(0, band[0].numpy(), best)
            winner = np.zeros(best.shape, np.min_scalar_type(len(band)))
            for c in range(1, len(band)):
                tile.fuse(c, band[c].numpy(), fused)
                _take_larger(best, winner, fused, c)
            winners[b, rows] = torch.from_numpy(winner.astype(np.int32, copy=False))
    return winners


def _take_larger(best: Floats, winner: Ints, fused: Floats, c: int) -> None:
    """Take class `c` where it exceeds the best so far; classes come in ascending order."""
    # The largest index that ever led is the last that did; a masked copy takes twenty times as long.
    np.maximum(winner, (fused > best) * winner.dtype.type(c), out=winner)
    np.maximum(best, fused, out=best)


def _sum_runs(plane: Floats, starts: Any) -> Floats:
    sums: Floats = np.add.reduceat(plane, starts)
    fits = np.isfinite(sums)
    if fits.all():
        return sums
    # Scores near the largest number of the dtype overflow within a run; float64 holds them.
    return np.where(fits, sums, np.add.reduceat(plane, starts, dtype=np.float64))

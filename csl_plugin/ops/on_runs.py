"""Means, fusion and labels on the CPU: runs in place of pixels, tiles of rows that stay in the cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from csl_plugin.ops.arithmetic import Rule, compute_dtype, to_scores, to_stored
from csl_plugin.ops.runs import Runs

Floats = NDArray[np.floating[Any]]

_TILE_PIXELS = 32_768

# Pixels that do not count may hold anything; what is computed from them is not worth a warning.
_quiet = np.errstate(all="ignore")


@_quiet
def means(distribution: Tensor, runs: tuple[Runs, ...], num_regions: int) -> Tensor:
    """Region means of D, (B, C, K) in the dtype of the arithmetic; 0 for regions without a pixel.

    Within a run numpy adds pairwise in the dtype of the arithmetic, across runs in float64.
    """
    batch, classes = distribution.shape[:2]
    table = torch.empty(batch, classes, num_regions, dtype=compute_dtype(distribution.dtype))
    for b, image in enumerate(runs):
        slots = np.where(image.ids < 0, num_regions, image.ids)
        counts = np.bincount(slots, image.lengths, num_regions + 1)
        for c in range(classes):
            plane = to_scores(distribution[b, c]).reshape(-1).numpy()
            sums = np.bincount(slots, _sum_runs(plane, image.starts), num_regions + 1)
            table[b, c] = torch.from_numpy((sums / np.maximum(counts, 1))[:num_regions])
    return table


@_quiet
def apply(distribution: Tensor, runs: tuple[Runs, ...], table: Tensor, rule: Rule, out: Tensor) -> None:
    """Write the fused maps into `out`, which may be the distribution itself."""
    for b, image in enumerate(runs):
        for rows, tile in _tiles(image):
            for c in range(distribution.shape[1]):
                scores = to_scores(distribution[b, c, rows]).numpy()
                fused = torch.from_numpy(_fused(scores, tile, table[b, c].numpy(), rule))
                out[b, c, rows] = to_stored(fused, out.dtype)


@_quiet
def labels(distribution: Tensor, runs: tuple[Runs, ...], table: Tensor, rule: Rule) -> Tensor:
    """Arg max over classes of the fused maps, (B, H, W) int64, one tile of one class at a time."""
    batch, classes, height, width = distribution.shape
    winners = torch.empty(batch, height, width, dtype=torch.int64)
    # The square root keeps the order, so the product decides for it.
    rule = "product" if rule == "geometric" else rule
    for b, image in enumerate(runs):
        for rows, tile in _tiles(image):
            best = _fused(to_scores(distribution[b, 0, rows]).numpy(), tile, table[b, 0].numpy(), rule)
            winner = np.zeros(best.shape, np.int32)
            for c in range(1, classes):
                scores = to_scores(distribution[b, c, rows]).numpy()
                fused = _fused(scores, tile, table[b, c].numpy(), rule)
                np.copyto(winner, c, where=fused > best)
                np.maximum(best, fused, out=best)
            winners[b, rows] = torch.from_numpy(winner)
    return winners


def _sum_runs(plane: Floats, starts: Any) -> Floats:
    sums: Floats = np.add.reduceat(plane, starts)
    fits = np.isfinite(sums)
    if fits.all():
        return sums
    # Scores near the largest number of the dtype overflow within a run; float64 holds them.
    return np.where(fits, sums, np.add.reduceat(plane, starts, dtype=np.float64))


def _tiles(image: Runs) -> Iterator[tuple[slice, Runs]]:
    """Bands of whole rows with their runs; no run crosses a row."""
    height, width = image.shape
    step = max(1, _TILE_PIXELS // width)
    for top in range(0, height, step):
        bottom = min(top + step, height)
        first, last = np.searchsorted(image.starts, [top * width, bottom * width])
        part = slice(first, last)
        band = Runs(image.starts[part], image.lengths[part], image.ids[part], (bottom - top, width))
        yield slice(top, bottom), band


def _fused(scores: Floats, tile: Runs, means_of_class: Floats, rule: Rule) -> Floats:
    """One class of one tile, freshly allocated; an unassigned pixel's mean is its own score."""
    unassigned = tile.ids < 0
    factors = means_of_class[tile.ids] if means_of_class.size else np.zeros(len(tile.ids), scores.dtype)
    factors = np.sqrt(factors) if rule == "geometric" else factors
    scores = np.sqrt(scores) if rule == "geometric" else scores
    fused: Floats = np.repeat(factors, tile.lengths).reshape(tile.shape)
    if unassigned.any():
        np.copyto(fused, scores, where=np.repeat(unassigned, tile.lengths).reshape(tile.shape))
    if rule != "mean":
        np.multiply(fused, scores, out=fused)
    return fused

"""The most probable region of every low-resolution sample, without evaluating most regions anywhere.

A region enters a tile only if the best value it has there could still matter: what lies below half of the
tile's smallest winning value can neither win nor come close. On real proposals two to four per cent of the
pairs of region and tile survive, and the cost is that of reading R once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from csl_plugin.ops.cpu.bilinear import Samples, squash
from csl_plugin.ops.dtypes import SERIAL

_SIDE = 32
_KEEP = 0.5


class Winners(NamedTuple):
    """Equation 2 at the samples of one image.

    Attributes:
        ids: The winning region, (h, w) int32, the lowest on ties.
        best: Its r * v, (h, w) float32.
        second: What no other region exceeds, (h, w) float32.
    """

    ids: NDArray[np.int32]
    best: NDArray[np.float32]
    second: NDArray[np.float32]


def winners(samples: Samples, *, logits: bool) -> Winners:
    """The winners of one image; `logits` says what the samples hold."""
    size = samples.height, samples.width
    found = Winners(np.empty(size, np.int32), np.empty(size, np.float32), np.empty(size, np.float32))
    for rows in _strips(size[0]):
        for columns in _strips(size[1]):
            part = _winners_in_tiles(samples, rows, columns, logits)
            for whole, piece in zip(found, part, strict=True):
                whole[rows, columns] = piece
    return found


def _strips(length: int) -> list[slice]:
    """Whole tiles, and what is left."""
    whole = length // _SIDE * _SIDE
    return [strip for strip in (slice(0, whole), slice(whole, length)) if strip.stop > strip.start]


def _winners_in_tiles(samples: Samples, rows: slice, columns: slice, logits: bool) -> Winners:
    height, width = rows.stop - rows.start, columns.stop - columns.start
    side_y, side_x = min(_SIDE, height), min(_SIDE, width)
    down, across = height // side_y, width // side_x
    tiled = (samples.count, down, side_y, across, side_x)
    bits = samples.bits[:, rows, columns].reshape(tiled)
    validity = samples.validity

    def probability(regions: NDArray[Any], tiles: NDArray[Any]) -> NDArray[np.float32]:
        scores = samples.read(bits[regions, tiles // across, :, tiles % across], logits=logits)
        scores *= validity[regions, None, None]
        return scores

    peaks = _peaks(samples.tensor[:, rows, columns].view(tiled)).float().numpy()
    peaks = (squash(peaks) if logits else peaks) * validity[:, None]  # (N, T)
    enters = peaks >= _floors(peaks, probability)
    counts = enters.sum(0)
    # Tiles with many regions come first: those still open after n rounds are then the first few.
    order = np.argsort(-counts, kind="stable")
    counts = counts[order]
    regions_in_order = np.nonzero(enters.T[order])[1]
    begins = np.cumsum(counts) - counts
    shape = (len(order), side_y, side_x)
    ids, best = np.zeros(shape, np.int32), np.full(shape, -1, np.float32)
    left_out = np.where(enters, 0, peaks).max(0)[order]
    second = np.broadcast_to(left_out[:, None, None], shape).astype(np.float32)
    for turn in range(counts[0]):
        still_open = int(np.searchsorted(-counts, -turn))
        regions = regions_in_order[begins[:still_open] + turn]
        value = probability(regions, order[:still_open])
        top, runner_up = best[:still_open], second[:still_open]
        np.copyto(ids[:still_open], regions[:, None, None].astype(np.int32), where=value > top)
        np.maximum(runner_up, np.minimum(top, value), out=runner_up)
        np.maximum(top, value, out=top)
    place = np.argsort(order)

    def untiled(tiles: NDArray[Any]) -> NDArray[Any]:
        blocks = tiles[place].reshape(down, across, side_y, side_x)
        plane: NDArray[Any] = blocks.swapaxes(1, 2).reshape(height, width)
        return plane

    return Winners(untiled(ids), untiled(best), untiled(second))


def _peaks(tiled: Tensor) -> Tensor:
    """The largest value of each region in each tile, (N, T), of (N, down, y, across, x)."""
    count, down, side_y, across, side_x = tiled.shape
    values = tiled.flatten(3)
    if values.dtype in (torch.float32, torch.float64):
        rows = values.numpy()
        columns = rows[:, :, 0].copy()
        for y in range(1, side_y):
            np.maximum(columns, rows[:, :, y], out=columns)
        return torch.from_numpy(columns.reshape(count, down * across, side_x).max(2))
    peaks = torch.empty(count, down, across, dtype=values.dtype, device=values.device)
    few = max(1, SERIAL // (down * side_y * across * side_x))
    some = max(1, SERIAL // (side_y * across * side_x))
    for n in range(0, count, few):
        for d in range(0, down, some):
            part = slice(n, n + few), slice(d, d + some)
            highest = values[part].amax(2)
            torch.amax(highest.view(*highest.shape[:2], across, side_x), 3, out=peaks[part])
    return peaks.flatten(1)


def _floors(peaks: NDArray[np.float32], probability: Any) -> NDArray[np.float32]:
    """What a region must reach to matter in a tile, (T,), by the two regions of the highest peaks."""
    tiles = np.arange(peaks.shape[1])
    leader = peaks.argmax(0)
    value = probability(leader, tiles)
    if len(peaks) > 1:
        others = peaks.copy()
        others[leader, tiles] = -1
        np.maximum(value, probability(others.argmax(0), tiles), out=value)
    floors: NDArray[np.float32] = value.min((1, 2)) * np.float32(_KEEP)
    return floors

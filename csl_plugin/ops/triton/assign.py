"""Exact soft assignment in two launches, from the winners of the low-resolution samples.

`csl_plugin.ops.cpu.assign` derives the bounds. The first kernel finds winner and runner-up of every sample,
reading R once. The second settles a pixel by its corners, else among the (at most four) corner winners, else,
where the runner-up might still win, among all regions.
"""

from __future__ import annotations

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from csl_plugin.ops.dtypes import Sigmoid
from csl_plugin.ops.triton.launch import cdiv, on_device_of, pixels_of_tile, power_of_two

# One warp holds (regions, samples): 16 bytes of a row per lane and load, all regions of a sample in one lane.
_WINNERS_OF_WORDS = {"regions": 16, "samples": 128, "num_warps": 1}
_WINNERS_OF_HALVES = {"regions": 8, "samples": 256, "num_warps": 1}
_PIXELS = 256
_REGIONS_OF_A_PATCH = 32


def assign(values: Tensor, validity: Tensor, size: tuple[int, int], sigmoid: Sigmoid) -> Tensor:
    """Equation 2: (B, N, h, w) and (B, N) to region ids (B, H, W) int32; -1 everywhere where N = 0.

    Any floating dtype and strides; arithmetic in float32. Two launches, one where (H, W) is (h, w).
    """
    batch, count, rows, columns = values.shape
    height, width = size
    if count == 0:
        return torch.full((batch, height, width), -1, dtype=torch.int32, device=values.device)
    raised = size != (rows, columns)
    winners = torch.empty(batch, rows, columns, dtype=torch.int32, device=values.device)
    second = torch.empty_like(winners, dtype=torch.float32) if raised else winners
    best = torch.empty_like(second) if raised and sigmoid == "after" else second
    shape = _WINNERS_OF_HALVES if values.itemsize == 2 else _WINNERS_OF_WORDS
    blocks = cdiv(rows * columns, shape["samples"])
    with on_device_of(values):
        _find_winners[(batch * blocks,)](
            values,
            validity,
            winners,
            best,
            second,
            count,
            rows * columns,
            columns,
            blocks,
            *values.stride(),
            *validity.stride(),
            sigmoid != "none",
            values.stride(2) == columns * values.stride(3),
            raised,
            raised and sigmoid == "after",
            **shape,
            enable_fp_fusion=True,
        )
        if not raised:
            return winners
        ids = torch.empty(batch, height, width, dtype=torch.int32, device=values.device)
        tile_width = max(16, min(64, power_of_two(width)))
        across, down = cdiv(width, tile_width), cdiv(height, _PIXELS // tile_width)
        _assign_pixels[(batch * across * down,)](
            values,
            validity,
            winners,
            best,
            second,
            ids,
            count,
            rows,
            columns,
            height,
            width,
            # The factor torch uses, in its precision.
            float(np.float32(rows) / np.float32(height)),
            float(np.float32(columns) / np.float32(width)),
            across,
            across * down,
            *values.stride(),
            *validity.stride(),
            sigmoid,
            max(8, min(_REGIONS_OF_A_PATCH, power_of_two(count))),
            _PIXELS // tile_width,
            tile_width,
            num_warps=4,
            enable_fp_fusion=True,
        )
    return ids


@triton.jit
def _sigmoid(x: tl.tensor) -> tl.tensor:
    """1 / (1 + exp(-x)) to a few units in the last place; 0 where that is below the normal numbers.

    The device's own exponential loses a digit at large x, enough to swap the order of two regions.
    """
    x = tl.minimum(tl.maximum(x, -100.0), 87.0)
    kept = tl.maximum(x, -87.0)
    twos = tl.floor(0.5 - kept * 1.4426950408889634)
    rest = (-kept - twos * 0.693359375) + twos * 2.12194440e-4  # ln 2 in two parts, the first one exact
    power = ((twos.to(tl.int32) + 127) << 23).to(tl.float32, bitcast=True)
    score = 1.0 / (1.0 + power * tl.exp2(rest * 1.4426950408889634))
    return tl.where(x < -87.0, 0.0, score)


@triton.jit(do_not_specialize=["count"])
def _find_winners(
    values: tl.tensor,
    validity: tl.tensor,
    winners: tl.tensor,
    best: tl.tensor,
    second: tl.tensor,
    count: tl.tensor,
    area: tl.tensor,
    width: tl.tensor,
    blocks: tl.tensor,
    values_b: tl.tensor,
    values_n: tl.tensor,
    values_y: tl.tensor,
    values_x: tl.tensor,
    validity_b: tl.tensor,
    validity_n: tl.tensor,
    logits: tl.constexpr,
    flat: tl.constexpr,
    keep_second: tl.constexpr,
    keep_best: tl.constexpr,
    regions: tl.constexpr,
    samples: tl.constexpr,
) -> None:
    """Winner, its r * v and the runner-up's at `samples` samples of one image, each (B, h, w)."""
    program = tl.program_id(0).to(tl.int64)
    image = program // blocks
    sample = (program % blocks) * samples + tl.arange(0, samples)
    inside = sample < area
    place = sample * values_x if flat else (sample // width) * values_y + (sample % width) * values_x
    first = values + image * values_b + place
    winner = tl.zeros([samples], tl.int32)
    top = tl.full([samples], -1.0, tl.float32)
    runner_up = tl.full([samples], -1.0, tl.float32)
    turn = tl.arange(0, regions)
    for start in range(0, count, regions):
        n = (start + turn).to(tl.int64)
        known = n < count
        valid = tl.load(validity + image * validity_b + n * validity_n, mask=known, other=0.0)
        wanted = known[:, None] & inside[None, :]
        value = tl.load(first[None, :] + (n * values_n)[:, None], mask=wanted, other=0.0).to(tl.float32)
        if logits:
            value = _sigmoid(value)
        value = tl.where(known[:, None], value * valid.to(tl.float32)[:, None], -1.0)
        here, who = tl.max(value, 0, return_indices=True)
        others = tl.max(tl.where(turn[:, None] == who[None, :], -1.0, value), 0)
        runner_up = tl.maximum(tl.maximum(runner_up, others), tl.minimum(top, here))
        # Strictly greater, so that ties stay with the lowest index.
        winner = tl.where(here > top, start + who, winner)
        top = tl.maximum(top, here)
    place = image * area + sample
    tl.store(winners + place, winner, mask=inside)
    if keep_second:
        tl.store(second + place, runner_up, mask=inside)
    if keep_best:
        tl.store(best + place, top, mask=inside)


@triton.jit
def _between(
    pixel: tl.tensor, scale: tl.tensor, samples: tl.tensor
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """The samples before and after each pixel of an axis, and the weight of the latter.

    In float64, rounded once: what torch's fused multiply-add gives. A sample of weight 0 is not looked at.
    """
    position = ((pixel.to(tl.float64) + 0.5) * scale - 0.5).to(tl.float32)
    position = tl.maximum(position, 0.0)
    before = tl.minimum(position.to(tl.int32), samples - 1)
    weight = position - before.to(tl.float32)
    after = tl.minimum(before + (weight > 0).to(tl.int32), samples - 1)
    return before.to(tl.int64), after.to(tl.int64), weight


@triton.jit
def _interpolated(
    a: tl.tensor, b: tl.tensor, c: tl.tensor, d: tl.tensor, u: tl.tensor, v: tl.tensor
) -> tl.tensor:
    return (a * (1 - u) + b * u) * (1 - v) + (c * (1 - u) + d * u) * v


@triton.jit
def _corner(place: tl.tensor, wanted: tl.tensor, sigmoid: tl.constexpr) -> tl.tensor:
    value = tl.load(place, mask=wanted, other=0.0).to(tl.float32)
    if sigmoid == "before":
        value = _sigmoid(value)
    return value


@triton.jit
def _raised(
    plane: tl.tensor,
    a: tl.tensor,
    b: tl.tensor,
    c: tl.tensor,
    d: tl.tensor,
    u: tl.tensor,
    v: tl.tensor,
    wanted: tl.tensor,
    sigmoid: tl.constexpr,
) -> tl.tensor:
    """The score of a region's plane at pixels whose corners lie at a, b, c, d in it."""
    score = _interpolated(
        _corner(plane + a, wanted, sigmoid),
        _corner(plane + b, wanted, sigmoid),
        _corner(plane + c, wanted, sigmoid),
        _corner(plane + d, wanted, sigmoid),
        u,
        v,
    )
    if sigmoid == "after":
        score = _sigmoid(score)
    return score


@triton.jit
def _assign_patch(
    planes: tl.tensor,
    validities: tl.tensor,
    ids: tl.tensor,
    count: tl.tensor,
    samples_y: tl.tensor,
    samples_x: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    scale_y: tl.tensor,
    scale_x: tl.tensor,
    top_y: tl.tensor,
    left_x: tl.tensor,
    values_n: tl.tensor,
    values_y: tl.tensor,
    values_x: tl.tensor,
    validity_n: tl.tensor,
    sigmoid: tl.constexpr,
    regions: tl.constexpr,
    rows: tl.constexpr,
) -> None:
    """Labels of a patch of sixteen pixels, by all regions of its image."""
    pixel = tl.arange(0, 16)
    y = top_y + pixel // (16 // rows)
    x = left_x + pixel % (16 // rows)
    inside = (y < height) & (x < width)
    y0, y1, v = _between(y, scale_y, samples_y)
    x0, x1, u = _between(x, scale_x, samples_x)
    leader = tl.zeros([16], tl.int32)
    top = tl.full([16], -1.0, tl.float32)
    turn = tl.arange(0, regions)
    for start in range(0, count, regions):
        n = (start + turn).to(tl.int64)
        known = n < count
        valid = tl.load(validities + n * validity_n, mask=known, other=0.0).to(tl.float32)
        wanted = known[:, None] & inside[None, :]
        value = _raised(
            planes + (n * values_n)[:, None],
            (y0 * values_y + x0 * values_x)[None, :],
            (y0 * values_y + x1 * values_x)[None, :],
            (y1 * values_y + x0 * values_x)[None, :],
            (y1 * values_y + x1 * values_x)[None, :],
            u[None, :],
            v[None, :],
            wanted,
            sigmoid,
        )
        value = tl.where(known[:, None], value * valid[:, None], -1.0)
        here, who = tl.max(value, 0, return_indices=True)
        leader = tl.where(here > top, start + who, leader)
        top = tl.maximum(top, here)
    tl.store(ids + y.to(tl.int64) * width + x, leader, mask=inside)


@triton.jit(do_not_specialize=["count"])
def _assign_pixels(
    values: tl.tensor,
    validity: tl.tensor,
    winners: tl.tensor,
    best: tl.tensor,
    second: tl.tensor,
    ids: tl.tensor,
    count: tl.tensor,
    samples_y: tl.tensor,
    samples_x: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    scale_y: tl.tensor,
    scale_x: tl.tensor,
    across: tl.tensor,
    tiles: tl.tensor,
    values_b: tl.tensor,
    values_n: tl.tensor,
    values_y: tl.tensor,
    values_x: tl.tensor,
    validity_b: tl.tensor,
    validity_n: tl.tensor,
    sigmoid: tl.constexpr,
    regions: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
) -> None:
    """Region ids of one tile of pixels."""
    # Twenty times the rounding of an interpolation, and of a sigmoid of an interpolated logit.
    slack: tl.constexpr = 1.00002
    program = tl.program_id(0)
    image = (program // tiles).to(tl.int64)
    tile = program % tiles
    y, x, inside = pixels_of_tile(tile, across, height, width, rows, columns)
    y0, y1, v = _between(y, scale_y, samples_y)
    x0, x1, u = _between(x, scale_x, samples_x)
    grid = image * samples_y * samples_x
    a, b = grid + y0 * samples_x + x0, grid + y0 * samples_x + x1
    c, d = grid + y1 * samples_x + x0, grid + y1 * samples_x + x1
    label = tl.load(winners + a, mask=inside, other=0)
    winner_b = tl.load(winners + b, mask=inside, other=0)
    winner_c = tl.load(winners + c, mask=inside, other=0)
    winner_d = tl.load(winners + d, mask=inside, other=0)
    is_open = (label != winner_b) | (label != winner_c) | (label != winner_d)
    if sigmoid == "after":
        best_a = tl.load(best + a, mask=inside, other=0.0)
        best_b = tl.load(best + b, mask=inside, other=0.0)
        best_c = tl.load(best + c, mask=inside, other=0.0)
        best_d = tl.load(best + d, mask=inside, other=0.0)
        lowest = tl.minimum(tl.minimum(best_a, best_b), tl.minimum(best_c, best_d))
        highest = tl.maximum(tl.maximum(best_a, best_b), tl.maximum(best_c, best_d))
        rival = tl.maximum(
            tl.maximum(
                tl.load(second + a, mask=inside, other=0.0), tl.load(second + b, mask=inside, other=0.0)
            ),
            tl.maximum(
                tl.load(second + c, mask=inside, other=0.0), tl.load(second + d, mask=inside, other=0.0)
            ),
        )
        # Where no region has any score at the corners none has inside: all tie there too.
        is_open = is_open | ((lowest <= rival * slack) & (highest > 0))
    is_open = is_open & inside
    if tl.max(is_open.to(tl.int32), 0) > 0:
        if sigmoid == "after":
            bound = rival
        else:
            bound = _interpolated(
                tl.load(second + a, mask=is_open, other=0.0),
                tl.load(second + b, mask=is_open, other=0.0),
                tl.load(second + c, mask=is_open, other=0.0),
                tl.load(second + d, mask=is_open, other=0.0),
                u,
                v,
            )
        a, b = y0 * values_y + x0 * values_x, y0 * values_y + x1 * values_x
        c, d = y1 * values_y + x0 * values_x, y1 * values_y + x1 * values_x
        planes = values + image * values_b
        validities = validity + image * validity_b
        winner_a = label
        top = tl.full([rows * columns], -1.0, tl.float32)
        for corner in tl.static_range(4):
            if corner == 0:
                n, fresh = winner_a, is_open
            elif corner == 1:
                n, fresh = winner_b, is_open & (winner_b != winner_a)
            elif corner == 2:
                n, fresh = winner_c, is_open & (winner_c != winner_a) & (winner_c != winner_b)
            else:
                n = winner_d
                fresh = is_open & (winner_d != winner_a) & (winner_d != winner_b) & (winner_d != winner_c)
            plane = planes + n.to(tl.int64) * values_n
            valid = tl.load(validities + n.to(tl.int64) * validity_n, mask=fresh, other=0.0).to(tl.float32)
            value = _raised(plane, a, b, c, d, u, v, fresh, sigmoid) * valid
            better = fresh & ((value > top) | ((value == top) & (n < label)))
            label = tl.where(better, n, label)
            top = tl.where(better, value, top)
        doubtful = is_open & (top <= bound * slack)
        place = (image * height + y.to(tl.int64)) * width + x
        tl.store(ids + place, label, mask=inside)
        # Few pixels need all regions: they are taken by patches of sixteen, so that the regions of a patch,
        # not its pixels, keep the threads busy.
        patch = (tl.arange(0, rows * columns) % columns) // (16 // rows)
        last: tl.constexpr = rows * columns // 16
        current = tl.min(tl.where(doubtful, patch, last), 0)
        if current < last:
            # The ids above are written by other threads than those that write over them.
            tl.debug_barrier()
        while current < last:
            _assign_patch(
                planes,
                validities,
                ids + image * height * width,
                count,
                samples_y,
                samples_x,
                height,
                width,
                scale_y,
                scale_x,
                (tile // across) * rows,
                (tile % across) * columns + current * (16 // rows),
                values_n,
                values_y,
                values_x,
                validity_n,
                sigmoid,
                regions,
                rows,
            )
            current = tl.min(tl.where(doubtful & (patch > current), patch, last), 0)
    else:
        place = (image * height + y.to(tl.int64)) * width + x
        tl.store(ids + place, label, mask=inside)

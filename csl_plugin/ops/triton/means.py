"""Region means of several partitions: the distribution is read once, tile by tile.

Means are reproducible to the last bit whatever order tiles run in. Within a tile the scores of a region are
added in float64 in a fixed order. Across tiles no floating-point number is added at all: a tile's sum is
split over the words of one long fixed-point number per region and class, wide enough for every sum of
float32 numbers, and integers may be added atomically in any order. No scale has to be known beforehand.
Within a tile groups of four are added in float32, a tile's sum is rounded to 31 bits, the mean to float32:
for scores >= 0 the relative error stays below 3e-7, or the absolute one at 2**-148.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from csl_plugin.ops.partition import Partition
from csl_plugin.ops.triton.launch import cdiv, on_device_of, pixels_of_tile
from csl_plugin.ops.triton.tiling import Maps, Tiling, region_of

# The means a program divides at once.
_MEANS = 256
# Eleven words of 32 bits, with 32 bits more to count in, hold 2**-181 to 2**171; the last marks inf and nan.
_WORDS = 12
# Up to so many means of an image its last tile divides; more are divided in a launch of their own.
_FEW = 2048


def means(distribution: Tensor, partitions: Sequence[Partition], *, roots: bool) -> Tensor:
    """Region means of D (B, C, H, W), (B, C, K) float32 for K regions in all; 0 for regions without a pixel.

    float32, float16, bfloat16 or uint8; ids of any integer type, those out of range are unassigned. With
    `roots` also those of the square root of D, as further rows. Two launches, a fill and the kernel; three
    where there are more than 2048 means.
    """
    batch, classes, height, width = distribution.shape
    maps, rows = Maps.of(partitions), 2 * classes if roots else classes
    table = torch.empty(batch, rows, maps.total, dtype=torch.float32, device=distribution.device)
    if maps.total == 0:
        return table
    tile = Tiling.of(distribution, rows)
    after_words = batch * rows * maps.total * _WORDS
    # Even, for kernels are compiled anew for pointers that are not multiples of 16 bytes.
    after_counts = after_words + cdiv(batch * maps.total, 2) * 2
    words = torch.zeros(after_counts + batch, dtype=torch.int64, device=distribution.device)
    counts, tickets = words[after_words:], words[after_counts:]
    few = rows * maps.total <= _FEW
    divisor = 255.0 if distribution.dtype == torch.uint8 else 1.0
    with on_device_of(distribution):
        _add_up[(batch * tile.number,)](
            distribution,
            maps.ids,
            words,
            counts,
            tickets,
            table,
            divisor,
            classes,
            rows,
            height,
            width,
            maps.total,
            tile.across,
            tile.number,
            *distribution.stride(),
            maps.strides,
            maps.bounds,
            roots,
            few,
            tile.together,
            _MEANS,
            tile.rows,
            tile.columns,
            num_warps=4,
            enable_fp_fusion=False,
        )
        if not few:
            blocks = cdiv(rows * maps.total, _MEANS)
            _divide[(batch * blocks,)](
                words,
                counts,
                table,
                divisor,
                classes,
                rows,
                maps.total,
                blocks,
                _MEANS,
                enable_fp_fusion=False,
            )
    return table


@triton.jit
def _scores_of(
    image: tl.tensor,
    place: tl.tensor,
    inside: tl.tensor,
    row: tl.tensor,
    classes: tl.tensor,
    rows: tl.tensor,
    step: tl.tensor,
    divisor: tl.tensor,
    roots: tl.constexpr,
) -> tl.tensor:
    """(rows, pixels) as stored, 0 outside; those after the classes are square roots of scores.

    Not masked by region: a mask read from memory would split the load into single numbers.
    """
    wanted = (row < rows)[:, None] & inside[None, :]
    c = row % classes if roots else row
    value = tl.load(image + (c * step)[:, None] + place[None, :], mask=wanted, other=0)
    if roots:
        value = value.to(tl.float32)
        value = tl.where((row < classes)[:, None], value, tl.sqrt_rn(tl.div_rn(value, divisor)))
    return value


@triton.jit(do_not_specialize=["num_regions"])
def _add_up(
    distribution: tl.tensor,
    ids: tl.tuple,
    words: tl.tensor,
    counts: tl.tensor,
    tickets: tl.tensor,
    table: tl.tensor,
    divisor: tl.tensor,
    classes: tl.tensor,
    rows: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    num_regions: tl.tensor,
    across: tl.tensor,
    tiles: tl.tensor,
    distribution_b: tl.tensor,
    distribution_c: tl.tensor,
    distribution_y: tl.tensor,
    distribution_x: tl.tensor,
    strides: tl.tuple,
    bounds: tl.tuple,
    roots: tl.constexpr,
    few: tl.constexpr,
    together: tl.constexpr,
    block: tl.constexpr,
    tile_rows: tl.constexpr,
    tile_columns: tl.constexpr,
) -> None:
    """Add the sums and counts of one tile to the words (B, rows, K, _WORDS) and counts (B, K)."""
    nothing: tl.constexpr = 2147483647
    program = tl.program_id(0)
    image = (program // tiles).to(tl.int64)
    y, x, inside = pixels_of_tile(program % tiles, across, height, width, tile_rows, tile_columns)
    place = y.to(tl.int64) * distribution_y + x.to(tl.int64) * distribution_x
    distribution += image * distribution_b
    words += image * rows * num_regions * 12
    counts += image * num_regions
    turn = tl.arange(0, together).to(tl.int64)
    value = _scores_of(distribution, place, inside, turn, classes, rows, distribution_c, divisor, roots)
    for start in range(0, rows, together):
        row = start + turn
        # Read before these are added up, so that they are there when it is their turn.
        following = _scores_of(
            distribution, place, inside, row + together, classes, rows, distribution_c, divisor, roots
        )
        first = 0
        for k in tl.static_range(len(ids)):
            region = region_of(ids[k], strides[k], bounds[k], image, y, x, inside)
            current = tl.min(tl.where(region >= 0, region, nothing), 0)
            while current < nothing:
                mine = region == current
                if start == 0:
                    number = tl.sum(mine.to(tl.int32), 0)
                    tl.atomic_add(counts + first + current, number.to(tl.int64), sem="relaxed")
                # Four neighbors in float32, three roundings at most; everything else in float64. They are
                # quarters, for the sum of four may be more than float32 holds.
                fours = tl.where(mine[None, :], value.to(tl.float32) * 0.25, 0.0)
                fours = tl.reshape(fours, [together, tile_rows * tile_columns // 4, 4])
                total = tl.sum(tl.sum(fours, 2).to(tl.float64), 1) * 4.0
                _add_to_words(words + (row * num_regions + first + current) * 12, total, row < rows)
                current = tl.min(tl.where(region > current, region, nothing), 0)
            first += bounds[k] >> 1
        value = following
    if few:
        # Every thread's additions come before the ticket, and the ticket before the last tile's reading.
        tl.debug_barrier()
        ticket = tl.atomic_add(tickets + image, 1, sem="acq_rel")
        if ticket == tiles - 1:
            table += image * rows * num_regions
            for begin in range(0, rows * num_regions, block):
                which = (begin + tl.arange(0, block)).to(tl.int64)
                _write_means(words, counts, table, divisor, which, classes, rows, num_regions)


@triton.jit(do_not_specialize=["num_regions"])
def _divide(
    words: tl.tensor,
    counts: tl.tensor,
    table: tl.tensor,
    divisor: tl.tensor,
    classes: tl.tensor,
    rows: tl.tensor,
    num_regions: tl.tensor,
    blocks: tl.tensor,
    block: tl.constexpr,
) -> None:
    """Divide some of an image's sums."""
    program = tl.program_id(0).to(tl.int64)
    image = program // blocks
    which = (program % blocks) * block + tl.arange(0, block)
    words += image * rows * num_regions * 12
    counts += image * num_regions
    table += image * rows * num_regions
    _write_means(words, counts, table, divisor, which, classes, rows, num_regions)


@triton.jit
def _add_to_words(place: tl.tensor, total: tl.tensor, known: tl.tensor) -> None:
    """Add float64 numbers to the fixed-point numbers at `place`, whose unit is 2**-181."""
    exponent = (total.to(tl.int64, bitcast=True) >> 52).to(tl.int32) & 2047
    is_finite = exponent < 2047
    # The word that leaves 31 to 62 digits before its point; scaling by a power of two is exact.
    word = tl.maximum(exponent - 872, 0) >> 5
    scale = ((1204 - 32 * word).to(tl.int64) << 52).to(tl.float64, bitcast=True)
    digits = tl.where(is_finite, total * scale, 0.0).to(tl.int64)
    high = digits >> 32
    low = tl.where(is_finite, digits - (high << 32), 1)
    place += tl.where(is_finite, word, 11)
    known = known & (exponent > 0)
    tl.atomic_add(place, low, mask=known, sem="relaxed")
    tl.atomic_add(place + 1, high, mask=known & (high != 0), sem="relaxed")


@triton.jit
def _write_means(
    words: tl.tensor,
    counts: tl.tensor,
    table: tl.tensor,
    divisor: tl.tensor,
    which: tl.tensor,
    classes: tl.tensor,
    rows: tl.tensor,
    num_regions: tl.tensor,
) -> None:
    """Some of an image's means, from their words and counts; the sums of classes are divided as stored."""
    wanted = which < tl.cast(rows, tl.int64) * num_regions
    # Past the first level of cache, which does not see what other tiles have added.
    total = tl.load(words + which * 12 + 10, mask=wanted, other=0, cache_modifier=".cg").to(tl.float64)
    for word in tl.static_range(1, 11):
        digits = tl.load(words + which * 12 + (10 - word), mask=wanted, other=0, cache_modifier=".cg")
        total = total * 4294967296.0 + digits.to(tl.float64)
    broken = tl.load(words + which * 12 + 11, mask=wanted, other=0, cache_modifier=".cg")
    count = tl.load(counts + which % num_regions, mask=wanted, other=1, cache_modifier=".cg")
    unit = tl.where(which // num_regions < classes, divisor, 1.0)
    share = tl.maximum(count, 1).to(tl.float64) * unit
    # 2**-181 in two steps that are both numbers of float32.
    mean = total * 5.421010862427522e-20 * 6.018531076210112e-36 / share
    tl.store(table + which, tl.where(broken != 0, float("nan"), mean.to(tl.float32)), mask=wanted)

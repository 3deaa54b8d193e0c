"""Region means, fusion and class labels: each reads the distribution once, tile by tile.

Means are reproducible to the last bit whatever order tiles run in. Within a tile the scores of a region are
added in float64 in a fixed order. Across tiles no floating-point number is added at all: a tile's sum is
split over the words of one long fixed-point number per region and class, wide enough for every sum of
float32 numbers, and integers may be added atomically in any order. No scale has to be known beforehand.
Within a tile groups of four are added in float32, a tile's sum is rounded to 31 bits, the mean to float32:
for scores >= 0 the relative error stays below 3e-7.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from csl_plugin.ops.rules import PlainRule
from csl_plugin.ops.triton.launch import cdiv, on_device_of, pixels_of_tile, power_of_two

# The pixels, the greatest width and the classes of a tile.
_PIXELS = 512
_COLUMNS = 128
_CLASSES = 4
# The means a program divides at once.
_MEANS = 256
# Eleven words of 32 bits, with 32 bits more to count in, hold 2**-181 to 2**171; the last marks inf and nan.
_WORDS = 12
# Up to so many means of an image its last tile divides; more are divided in a launch of their own.
_FEW = 2048
_MOST = 2**31 - 1


def means(distribution: Tensor, ids: Tensor, num_regions: int) -> Tensor:
    """Region means of D (B, C, H, W), (B, C, K) float32; 0 for regions without a pixel.

    float32, float16, bfloat16 or uint8; ids (B, H, W) of any integer type, those outside [0, K) are
    unassigned. Two launches, a fill and the kernel; three where C * K exceeds 2048.
    """
    batch, classes, height, width = distribution.shape
    if num_regions > _MOST:
        raise ValueError(f"{num_regions} regions: their ids do not fit 32 bits")
    table = torch.empty(batch, classes, num_regions, dtype=torch.float32, device=distribution.device)
    if num_regions == 0:
        return table
    together = min(_CLASSES, power_of_two(classes))
    tile = _Tiling.of(distribution, 2 if together == 1 else 1)
    after_words = batch * classes * num_regions * _WORDS
    # Even, for kernels are compiled anew for pointers that are not multiples of 16 bytes.
    after_counts = after_words + cdiv(batch * num_regions, 2) * 2
    words = torch.zeros(after_counts + batch, dtype=torch.int64, device=distribution.device)
    counts, tickets = words[after_words:], words[after_counts:]
    few = classes * num_regions <= _FEW
    divisor = 255.0 if distribution.dtype == torch.uint8 else 1.0
    with on_device_of(distribution):
        _add_up[(batch * tile.number,)](
            distribution,
            ids,
            words,
            counts,
            tickets,
            table,
            divisor,
            classes,
            height,
            width,
            num_regions,
            tile.across,
            tile.number,
            *distribution.stride(),
            *ids.stride(),
            few,
            together,
            _MEANS,
            tile.rows,
            tile.columns,
            num_warps=4,
        )
        if not few:
            blocks = cdiv(classes * num_regions, _MEANS)
            _divide[(batch * blocks,)](
                words, counts, table, divisor, classes * num_regions, num_regions, blocks, _MEANS
            )
    return table


def apply(distribution: Tensor, ids: Tensor, table: Tensor, rule: PlainRule, out: Tensor) -> None:
    """Write the fused maps into `out`, which may be the distribution itself. One launch."""
    batch, classes, height, width = distribution.shape
    together = min(_CLASSES, power_of_two(classes))
    groups = cdiv(classes, together)
    tile = _Tiling.of(distribution, 2 if together == 1 else 1)
    with on_device_of(distribution):
        _fuse[(batch * tile.number * groups,)](
            distribution,
            ids,
            table.contiguous(),
            out,
            classes,
            height,
            width,
            table.shape[2],
            tile.across,
            tile.number,
            groups,
            *distribution.stride(),
            *ids.stride(),
            *out.stride(),
            rule,
            distribution.dtype == torch.uint8,
            together,
            tile.rows,
            tile.columns,
            num_warps=4,
            # A product rounded on its own, as torch rounds it, before it is rounded to a byte.
            enable_fp_fusion=False,
        )


def labels(distribution: Tensor, ids: Tensor, table: Tensor, rule: PlainRule) -> Tensor:
    """Arg max over classes of the fused maps, (B, H, W) int64, the lowest on ties. One launch."""
    batch, classes, height, width = distribution.shape
    winners = torch.empty(batch, height, width, dtype=torch.int64, device=distribution.device)
    # Bytes and halves are read in vectors of more pixels.
    tile = _Tiling.of(distribution, 2 if distribution.itemsize < 4 else 1)
    with on_device_of(distribution):
        _win[(batch * tile.number,)](
            distribution,
            ids,
            table.contiguous(),
            winners,
            classes,
            height,
            width,
            table.shape[2],
            tile.across,
            tile.number,
            *distribution.stride(),
            *ids.stride(),
            # The square root keeps the order, so the product decides for it.
            "mean" if rule == "mean" else "product",
            distribution.dtype == torch.uint8,
            min(_CLASSES, power_of_two(classes)),
            tile.rows,
            tile.columns,
            num_warps=4,
        )
    return winners


class _Tiling(NamedTuple):
    """The shape of a tile, how many lie side by side, and how many cover an image."""

    rows: int
    columns: int
    across: int
    number: int

    @classmethod
    def of(cls, distribution: Tensor, times: int) -> _Tiling:
        height, width = distribution.shape[2:]
        columns = min(_COLUMNS, power_of_two(width))
        rows = _PIXELS * times // columns
        across = cdiv(width, columns)
        return cls(rows, columns, across, across * cdiv(height, rows))


@triton.jit
def _regions_at(
    ids: tl.tensor,
    y: tl.tensor,
    x: tl.tensor,
    inside: tl.tensor,
    ids_y: tl.tensor,
    ids_x: tl.tensor,
    num_regions: tl.tensor,
) -> tl.tensor:
    """The region of each pixel, int32; -1 outside the image, where unassigned, and where out of range."""
    place = ids + y.to(tl.int64) * ids_y + x.to(tl.int64) * ids_x
    region = tl.load(place, mask=inside, other=0).to(tl.int64)
    return tl.where(inside & (region >= 0) & (region < num_regions), region, -1).to(tl.int32)


@triton.jit
def _score(value: tl.tensor, is_byte: tl.constexpr) -> tl.tensor:
    score = value.to(tl.float32)
    if is_byte:
        score = tl.div_rn(score, 255.0)
    return score


@triton.jit
def _scores_of(
    image: tl.tensor, place: tl.tensor, inside: tl.tensor, c: tl.tensor, classes: tl.tensor, step: tl.tensor
) -> tl.tensor:
    """(classes, pixels) as stored, 0 outside.

    Not masked by region: a mask read from memory would split the load into single numbers.
    """
    wanted = (c < classes)[:, None] & inside[None, :]
    return tl.load(image + (c * step)[:, None] + place[None, :], mask=wanted, other=0)


@triton.jit
def _add_up(
    distribution: tl.tensor,
    ids: tl.tensor,
    words: tl.tensor,
    counts: tl.tensor,
    tickets: tl.tensor,
    table: tl.tensor,
    divisor: tl.tensor,
    classes: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    num_regions: tl.tensor,
    across: tl.tensor,
    tiles: tl.tensor,
    distribution_b: tl.tensor,
    distribution_c: tl.tensor,
    distribution_y: tl.tensor,
    distribution_x: tl.tensor,
    ids_b: tl.tensor,
    ids_y: tl.tensor,
    ids_x: tl.tensor,
    few: tl.constexpr,
    together: tl.constexpr,
    block: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
) -> None:
    """Add the sums and counts of one tile to the words (B, C, K, _WORDS) and counts (B, K)."""
    nothing: tl.constexpr = 2147483647
    program = tl.program_id(0)
    image = (program // tiles).to(tl.int64)
    y, x, inside = pixels_of_tile(program % tiles, across, height, width, rows, columns)
    region = _regions_at(ids + image * ids_b, y, x, inside, ids_y, ids_x, num_regions)
    place = y.to(tl.int64) * distribution_y + x.to(tl.int64) * distribution_x
    distribution += image * distribution_b
    words += image * classes * num_regions * 12
    counts += image * num_regions
    turn = tl.arange(0, together).to(tl.int64)
    value = _scores_of(distribution, place, inside, turn, classes, distribution_c)
    first = tl.min(tl.where(region >= 0, region, nothing), 0)
    current = first
    while current < nothing:
        number = tl.sum((region == current).to(tl.int32), 0)
        tl.atomic_add(counts + current, number.to(tl.int64), sem="relaxed")
        current = tl.min(tl.where(region > current, region, nothing), 0)
    for start in range(0, classes, together):
        c = start + turn
        # Read before these are added up, so that they are there when it is their turn.
        following = _scores_of(distribution, place, inside, c + together, classes, distribution_c)
        current = first
        while current < nothing:
            mine = (region == current)[None, :]
            # Four neighbors in float32, three roundings at most; everything else in float64.
            fours = tl.reshape(tl.where(mine, value.to(tl.float32), 0.0), [together, rows * columns // 4, 4])
            total = tl.sum(tl.sum(fours, 2).to(tl.float64), 1)
            _add_to_words(words + (c * num_regions + current) * 12, total, c < classes)
            current = tl.min(tl.where(region > current, region, nothing), 0)
        value = following
    if few:
        # Every thread's additions come before the ticket, and the ticket before the last tile's reading.
        tl.debug_barrier()
        ticket = tl.atomic_add(tickets + image, 1, sem="acq_rel")
        if ticket == tiles - 1:
            table += image * classes * num_regions
            for begin in range(0, classes * num_regions, block):
                which = (begin + tl.arange(0, block)).to(tl.int64)
                _write_means(words, counts, table, divisor, which, classes * num_regions, num_regions)


@triton.jit
def _divide(
    words: tl.tensor,
    counts: tl.tensor,
    table: tl.tensor,
    divisor: tl.tensor,
    means: tl.tensor,
    num_regions: tl.tensor,
    blocks: tl.tensor,
    block: tl.constexpr,
) -> None:
    """Divide some of an image's sums."""
    program = tl.program_id(0).to(tl.int64)
    image = program // blocks
    which = (program % blocks) * block + tl.arange(0, block)
    _write_means(
        words + image * means * 12,
        counts + image * num_regions,
        table + image * means,
        divisor,
        which,
        means,
        num_regions,
    )


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
    means: tl.tensor,
    num_regions: tl.tensor,
) -> None:
    """Some of an image's means, from their words and counts."""
    wanted = which < means
    # Past the first level of cache, which does not see what other tiles have added.
    total = tl.load(words + which * 12 + 10, mask=wanted, other=0, cache_modifier=".cg").to(tl.float64)
    for word in tl.static_range(1, 11):
        digits = tl.load(words + which * 12 + (10 - word), mask=wanted, other=0, cache_modifier=".cg")
        total = total * 4294967296.0 + digits.to(tl.float64)
    broken = tl.load(words + which * 12 + 11, mask=wanted, other=0, cache_modifier=".cg")
    count = tl.load(counts + which % num_regions, mask=wanted, other=1, cache_modifier=".cg")
    share = tl.maximum(count, 1).to(tl.float64) * divisor
    # 2**-181 in two steps that are both numbers of float32.
    mean = total * 5.421010862427522e-20 * 6.018531076210112e-36 / share
    tl.store(table + which, tl.where(broken != 0, float("nan"), mean.to(tl.float32)), mask=wanted)


@triton.jit
def _fuse(
    distribution: tl.tensor,
    ids: tl.tensor,
    table: tl.tensor,
    out: tl.tensor,
    classes: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    num_regions: tl.tensor,
    across: tl.tensor,
    tiles: tl.tensor,
    groups: tl.tensor,
    distribution_b: tl.tensor,
    distribution_c: tl.tensor,
    distribution_y: tl.tensor,
    distribution_x: tl.tensor,
    ids_b: tl.tensor,
    ids_y: tl.tensor,
    ids_x: tl.tensor,
    out_b: tl.tensor,
    out_c: tl.tensor,
    out_y: tl.tensor,
    out_x: tl.tensor,
    rule: tl.constexpr,
    is_byte: tl.constexpr,
    together: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
) -> None:
    """The fused maps of one tile of a few classes."""
    program = tl.program_id(0)
    group = program % groups
    tile = (program // groups) % tiles
    image = (program // groups // tiles).to(tl.int64)
    y, x, inside = pixels_of_tile(tile, across, height, width, rows, columns)
    region = _regions_at(ids + image * ids_b, y, x, inside, ids_y, ids_x, num_regions)[None, :]
    c = (group * together + tl.arange(0, together)).to(tl.int64)[:, None]
    wanted = (c < classes) & inside[None, :]
    y, x = y.to(tl.int64)[None, :], x.to(tl.int64)[None, :]
    place = image * distribution_b + c * distribution_c + y * distribution_y + x * distribution_x
    score = _score(tl.load(distribution + place, mask=wanted, other=0), is_byte)
    place = (image * classes + c) * num_regions + region
    prior = tl.load(table + place, mask=wanted & (region >= 0), other=0.0)
    if rule == "geometric":
        score, prior = tl.sqrt_rn(score), tl.sqrt_rn(prior)
    # An unassigned pixel's mean is its own score.
    fused = tl.where(region >= 0, prior, score)
    if rule != "mean":
        fused = fused * score
    if is_byte:
        # To nearest, halves to even: what adding and taking away 1.5 * 2**23 does.
        fused = (fused * 255.0 + 12582912.0) - 12582912.0
    place = image * out_b + c * out_c + y * out_y + x * out_x
    tl.store(out + place, fused.to(out.dtype.element_ty), mask=wanted)


@triton.jit
def _win(
    distribution: tl.tensor,
    ids: tl.tensor,
    table: tl.tensor,
    winners: tl.tensor,
    classes: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    num_regions: tl.tensor,
    across: tl.tensor,
    tiles: tl.tensor,
    distribution_b: tl.tensor,
    distribution_c: tl.tensor,
    distribution_y: tl.tensor,
    distribution_x: tl.tensor,
    ids_b: tl.tensor,
    ids_y: tl.tensor,
    ids_x: tl.tensor,
    rule: tl.constexpr,
    is_byte: tl.constexpr,
    together: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
) -> None:
    """The class of the highest fused score at each pixel of one tile."""
    program = tl.program_id(0)
    image = (program // tiles).to(tl.int64)
    y, x, inside = pixels_of_tile(program % tiles, across, height, width, rows, columns)
    region = _regions_at(ids + image * ids_b, y, x, inside, ids_y, ids_x, num_regions)[None, :]
    place = image * distribution_b + y.to(tl.int64) * distribution_y + x.to(tl.int64) * distribution_x
    winner = tl.zeros([rows * columns], tl.int32)
    top = tl.full([rows * columns], float("-inf"), tl.float32)
    for start in range(0, classes, together):
        c = (start + tl.arange(0, together)).to(tl.int64)[:, None]
        wanted = (c < classes) & inside[None, :]
        value = tl.load(distribution + c * distribution_c + place[None, :], mask=wanted, other=0)
        score = _score(value, is_byte)
        prior = tl.load(
            table + (image * classes + c) * num_regions + region, mask=wanted & (region >= 0), other=0.0
        )
        fused = tl.where(region >= 0, prior, score)
        if rule != "mean":
            fused = fused * score
        fused = tl.where(c < classes, fused, float("-inf"))
        here, who = tl.max(fused, 0, return_indices=True)
        winner = tl.where(here > top, start + who, winner)
        top = tl.maximum(top, here)
    place = (image * height + y.to(tl.int64)) * width + x
    tl.store(winners + place, winner.to(tl.int64), mask=inside)

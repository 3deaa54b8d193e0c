"""Fusion and class labels: what a pixel's regions say together is computed where the pixel is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import triton
import triton.language as tl
from torch import Tensor

from csl_plugin.ops.partition import Partition
from csl_plugin.ops.rules import Rule
from csl_plugin.ops.triton.launch import cdiv, on_device_of, pixels_of_tile
from csl_plugin.ops.triton.tiling import Maps, Tiling, last_region, region_of


def apply(
    distribution: Tensor, partitions: Sequence[Partition], table: Tensor, rule: Rule, out: Tensor
) -> None:
    """Write the fused maps into `out`, which may be the distribution itself. One launch."""
    batch, classes, height, width = distribution.shape
    maps, tile = Maps.of(partitions), Tiling.of(distribution, classes)
    groups = cdiv(classes, tile.together)
    with on_device_of(distribution):
        _fuse[(batch * tile.number * groups,)](
            distribution,
            maps.ids,
            table.contiguous(),
            out,
            classes,
            height,
            width,
            maps.total,
            tile.across,
            tile.number,
            groups,
            *distribution.stride(),
            maps.strides,
            maps.bounds,
            *out.stride(),
            rule,
            _heard(rule, classes, maps),
            classes == 1,
            distribution.dtype == torch.uint8,
            tile.together,
            tile.rows,
            tile.columns,
            num_warps=4,
            # A product rounded on its own, as torch rounds it, before it is rounded to a byte.
            enable_fp_fusion=False,
        )


def labels(distribution: Tensor, partitions: Sequence[Partition], table: Tensor, rule: Rule) -> Tensor:
    """Arg max over classes of the fused maps, (B, H, W) int64, the lowest on ties. One launch."""
    batch, classes, height, width = distribution.shape
    winners = torch.empty(batch, height, width, dtype=torch.int64, device=distribution.device)
    # Bytes and halves are read in vectors of more pixels.
    maps, tile = Maps.of(partitions), Tiling.of(distribution, classes, narrow=distribution.itemsize < 4)
    with on_device_of(distribution):
        _win[(batch * tile.number,)](
            distribution,
            maps.ids,
            table.contiguous(),
            winners,
            classes,
            height,
            width,
            maps.total,
            tile.across,
            tile.number,
            *distribution.stride(),
            maps.strides,
            maps.bounds,
            # The square root keeps the order, so the product decides for it.
            "product" if rule == "geometric" else rule,
            _heard(rule, classes, maps),
            classes == 1,
            distribution.dtype == torch.uint8,
            tile.together,
            tile.rows,
            tile.columns,
            num_warps=4,
            enable_fp_fusion=False,
        )
    return winners


def _heard(rule: Rule, classes: int, maps: Maps) -> Literal["last", "halving", "average"]:
    """How several partitions are heard; one is the last."""
    if len(maps.ids) == 1 or (rule == "adaptive" and classes > 1):
        return "last"
    return "halving" if rule == "adaptive" else "average"


@triton.jit
def _said(
    table: tl.tensor,
    wanted: tl.tensor,
    ids: tl.tuple,
    strides: tl.tuple,
    bounds: tl.tuple,
    image: tl.tensor,
    y: tl.tensor,
    x: tl.tensor,
    inside: tl.tensor,
    region: tl.tensor,
    heard: tl.constexpr,
) -> tl.tensor:
    """What the regions of each pixel say together, from the rows of a table, (classes, 1) pointers."""
    if heard == "last":
        return tl.load(table + region[None, :], mask=wanted & (region >= 0)[None, :], other=0.0)
    growth: tl.constexpr = 2.0 if heard == "halving" else 1.0
    weight = tl.zeros_like(region).to(tl.float32)
    said = tl.zeros_like(wanted).to(tl.float32)
    first = 0
    for k in tl.static_range(len(ids)):
        own = region_of(ids[k], strides[k], bounds[k], image, y, x, inside)
        assigned = own >= 0
        mean = tl.load(table + (own + first)[None, :], mask=wanted & assigned[None, :], other=0.0)
        # A step toward each mean, for the sum of several may be more than float32 holds.
        weight = tl.where(assigned, weight * growth + 1.0, weight)
        step = tl.div_rn(mean - said, tl.broadcast_to(tl.maximum(weight, 1.0)[None, :], said.shape))
        said = tl.where(assigned[None, :], said + step, said)
        first += bounds[k] >> 1
    return said


@triton.jit
def _by_rule(
    value: tl.tensor,
    said: tl.tensor,
    extra: tl.tensor,
    region: tl.tensor,
    num_regions: tl.tensor,
    rule: tl.constexpr,
    alone: tl.constexpr,
    is_byte: tl.constexpr,
) -> tl.tensor:
    """The fused scores (classes, pixels). `extra` points to the two rows after an image's classes."""
    score = value.to(tl.float32)
    if is_byte:
        score = tl.div_rn(score, 255.0)
    assigned = (region >= 0)[None, :]
    if rule == "adaptive":
        # One score has a floor and hears its regions alone; classes have none and hear their pixel too.
        place = extra + region + (num_regions if alone else 0)
        told = tl.load(place, mask=region >= 0, other=0.0)[None, :]
        if alone:
            lifted = tl.where(score < told, tl.broadcast_to(told, score.shape), score)
            fused = tl.sqrt_rn(lifted) * tl.sqrt_rn(said)
        else:
            fused = tl.sqrt_rn(score) * tl.sqrt_rn(said + told * score)
        return tl.where(assigned, fused, score)
    if rule == "geometric":
        score, said = tl.sqrt_rn(score), tl.sqrt_rn(said)
    # An unassigned pixel's mean is its own score.
    fused = tl.where(assigned, said, score)
    if rule != "mean":
        fused = fused * score
    return fused


@triton.jit(do_not_specialize=["num_regions"])
def _fuse(
    distribution: tl.tensor,
    ids: tl.tuple,
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
    strides: tl.tuple,
    bounds: tl.tuple,
    out_b: tl.tensor,
    out_c: tl.tensor,
    out_y: tl.tensor,
    out_x: tl.tensor,
    rule: tl.constexpr,
    heard: tl.constexpr,
    alone: tl.constexpr,
    is_byte: tl.constexpr,
    together: tl.constexpr,
    tile_rows: tl.constexpr,
    tile_columns: tl.constexpr,
) -> None:
    """The fused maps of one tile of a few classes."""
    program = tl.program_id(0)
    group = program % groups
    tile = (program // groups) % tiles
    image = (program // groups // tiles).to(tl.int64)
    y, x, inside = pixels_of_tile(tile, across, height, width, tile_rows, tile_columns)
    region = last_region(ids, strides, bounds, image, y, x, inside)
    c = (group * together + tl.arange(0, together)).to(tl.int64)[:, None]
    wanted = (c < classes) & inside[None, :]
    rows, columns = y.to(tl.int64)[None, :], x.to(tl.int64)[None, :]
    place = image * distribution_b + c * distribution_c + rows * distribution_y + columns * distribution_x
    value = tl.load(distribution + place, mask=wanted, other=0)
    table += image * (classes + 2 * (rule == "adaptive")) * num_regions
    said = _said(table + c * num_regions, wanted, ids, strides, bounds, image, y, x, inside, region, heard)
    extra = table + tl.cast(classes, tl.int64) * num_regions
    fused = _by_rule(value, said, extra, region, num_regions, rule, alone, is_byte)
    if is_byte:
        # To nearest, halves to even: what adding and taking away 1.5 * 2**23 does.
        fused = (fused * 255.0 + 12582912.0) - 12582912.0
    place = image * out_b + c * out_c + rows * out_y + columns * out_x
    tl.store(out + place, fused.to(out.dtype.element_ty), mask=wanted)


@triton.jit(do_not_specialize=["num_regions"])
def _win(
    distribution: tl.tensor,
    ids: tl.tuple,
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
    strides: tl.tuple,
    bounds: tl.tuple,
    rule: tl.constexpr,
    heard: tl.constexpr,
    alone: tl.constexpr,
    is_byte: tl.constexpr,
    together: tl.constexpr,
    tile_rows: tl.constexpr,
    tile_columns: tl.constexpr,
) -> None:
    """The class of the highest fused score at each pixel of one tile."""
    program = tl.program_id(0)
    image = (program // tiles).to(tl.int64)
    y, x, inside = pixels_of_tile(program % tiles, across, height, width, tile_rows, tile_columns)
    region = last_region(ids, strides, bounds, image, y, x, inside)
    place = image * distribution_b + y.to(tl.int64) * distribution_y + x.to(tl.int64) * distribution_x
    table += image * (classes + 2 * (rule == "adaptive")) * num_regions
    extra = table + tl.cast(classes, tl.int64) * num_regions
    winner = tl.zeros([tile_rows * tile_columns], tl.int32)
    top = tl.full([tile_rows * tile_columns], float("-inf"), tl.float32)
    for start in range(0, classes, together):
        c = (start + tl.arange(0, together)).to(tl.int64)[:, None]
        wanted = (c < classes) & inside[None, :]
        value = tl.load(distribution + c * distribution_c + place[None, :], mask=wanted, other=0)
        said = _said(
            table + c * num_regions, wanted, ids, strides, bounds, image, y, x, inside, region, heard
        )
        fused = _by_rule(value, said, extra, region, num_regions, rule, alone, is_byte)
        fused = tl.where(c < classes, fused, float("-inf"))
        here, who = tl.max(fused, 0, return_indices=True)
        winner = tl.where(here > top, start + who, winner)
        top = tl.maximum(top, here)
    place = (image * height + y.to(tl.int64)) * width + x
    tl.store(winners + place, winner.to(tl.int64), mask=inside)

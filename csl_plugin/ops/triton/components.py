"""Connected components of label maps by union-find: tiles first, then their borders, then numbers.

`parents` holds for every pixel the flat index of another pixel of its component, never a higher one, and
its own at a root. Two trees are joined by lowering the higher root's parent with an atomic minimum; who
finds that the parent was another one by then goes on to join that one. Links are only ever lowered, so a
reader may see an old one: it is still a pixel of the same component. Whatever the order, a component's last
root is its lowest index, its first pixel in raster order.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from csl_plugin.ops.triton.launch import cdiv, on_device_of, power_of_two

_TILE = 1024
_COLUMNS = 64
_BORDER = 128
_PIXELS = 1024


def components(ids: Tensor, connectivity: int) -> tuple[Tensor, Tensor]:
    """Connected components of each map of (B, H, W), and how many each image has, (B,) on the device.

    Numbered from 0 by their first pixel in raster order, int32 (int64 where an image has 2**31 pixels or
    more); -1 where unassigned. Four launches and a cumulative sum per image. Nothing waits for the device:
    the counts are for the caller to read, where a number is needed.
    """
    batch, height, width = ids.shape
    area = height * width
    index = torch.int32 if area < 2**31 else torch.int64
    parents = torch.empty(batch, height, width, dtype=index, device=ids.device)
    numbers = torch.empty(batch, area, dtype=index, device=ids.device)
    columns = min(_COLUMNS, power_of_two(width))
    rows = _TILE // columns
    across, down = cdiv(width, columns), cdiv(height, rows)
    of_rows, of_columns = (down - 1) * width, (across - 1) * height
    eight = connectivity == 8
    with on_device_of(ids):
        _join_within_tiles[(batch * across * down,)](
            ids,
            parents,
            height,
            width,
            across,
            across * down,
            *ids.stride(),
            eight,
            rows,
            columns,
            num_warps=8,
            enable_fp_fusion=False,
        )
        if of_rows + of_columns > 0:
            blocks = cdiv(of_rows + of_columns, _BORDER)
            _join_across_borders[(batch * blocks,)](
                ids,
                parents,
                height,
                width,
                of_rows,
                of_rows + of_columns,
                blocks,
                *ids.stride(),
                eight,
                rows,
                columns,
                _BORDER,
                num_warps=1,
                enable_fp_fusion=False,
            )
        blocks = cdiv(area, _PIXELS)
        _find_roots[(batch * blocks,)](
            parents, numbers, area, blocks, _PIXELS, num_warps=4, enable_fp_fusion=False
        )
        for image in numbers:  # One by one: along an axis of several, torch scans with one block each.
            image.cumsum_(0)
        _number[(batch * blocks,)](
            parents, numbers, area, blocks, _PIXELS, num_warps=4, enable_fp_fusion=False
        )
    return parents, numbers[:, -1]


@triton.jit
def _later(a: tl.tensor, b: tl.tensor) -> tl.tensor:
    return tl.maximum(a, b)


@triton.jit
def _unite(parents: tl.tensor, a: tl.tensor, b: tl.tensor, active: tl.tensor) -> None:
    """Join the components of pixels a and b, in the type of the parents, wherever active."""
    while tl.max(active.to(tl.int32)) > 0:
        # Volatile, so that no loop turns on an old value for ever.
        above_a = tl.load(parents + a, mask=active, other=0, volatile=True)
        above_b = tl.load(parents + b, mask=active, other=0, volatile=True)
        at_roots = active & (above_a == a) & (above_b == b) & (a != b)
        high, low = tl.maximum(a, b), tl.minimum(a, b)
        found = tl.atomic_min(parents + high, low, mask=at_roots, sem="relaxed")
        active = active & (a != b) & ~(at_roots & (found == high))
        a = tl.where(active, tl.where(at_roots, found, above_a), a)
        b = tl.where(active, tl.where(at_roots, low, above_b), b)


@triton.jit
def _root(parents: tl.tensor, node: tl.tensor, active: tl.tensor) -> tl.tensor:
    """The root of each pixel, wherever active."""
    while tl.max(active.to(tl.int32)) > 0:
        above = tl.load(parents + node, mask=active, other=0, volatile=True)
        active = active & (above != node)
        node = tl.where(active, above, node)
    return node


@triton.jit
def _join_within_tiles(
    ids: tl.tensor,
    parents: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    across: tl.tensor,
    tiles: tl.tensor,
    ids_b: tl.tensor,
    ids_y: tl.tensor,
    ids_x: tl.tensor,
    eight: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
) -> None:
    """Components within one tile, as if there were no other; -1 where unassigned."""
    program = tl.program_id(0)
    image = (program // tiles).to(tl.int64)
    tile = program % tiles
    row = tl.arange(0, rows)[:, None] + tl.zeros([1, columns], tl.int32)
    column = tl.arange(0, columns)[None, :] + tl.zeros([rows, 1], tl.int32)
    y = ((tile // across) * rows + row).to(tl.int64)
    x = ((tile % across) * columns + column).to(tl.int64)
    inside = (y < height) & (x < width)
    place = ids + image * ids_b + y * ids_y + x * ids_x
    parents += image * height * width
    region = tl.load(place, mask=inside, other=0)
    assigned = inside & (region >= 0)
    has_left, has_above = assigned & (column > 0), assigned & (row > 0)
    like_left = has_left & (tl.load(place - ids_x, mask=has_left, other=0) == region)
    begin = tl.associative_scan(tl.where(like_left, 0, column), 1, _later)
    index = (y * width + x).to(parents.dtype.element_ty)
    head = index - (column - begin)
    tl.store(parents + index, tl.where(assigned, head, -1), mask=inside)
    tl.debug_barrier()
    # Of the pixels in which two runs touch, one joins them: the first.
    like_above = has_above & (tl.load(place - ids_y, mask=has_above, other=0) == region)
    corner = has_above & (column > 0)
    like_corner = corner & (tl.load(place - ids_y - ids_x, mask=corner, other=0) == region)
    active = like_above & ~(like_left & like_corner)
    other = index - width
    if eight:
        diagonal = like_corner & ~like_above & ~like_left
        other = tl.where(diagonal, other - 1, other)
        _unite(parents, head, other, active | diagonal)
        corner = has_above & ~like_above & (column < columns - 1) & (x < width - 1)
        like_corner = corner & (tl.load(place - ids_y + ids_x, mask=corner, other=0) == region)
        _unite(parents, head, index - width + 1, like_corner)
    else:
        _unite(parents, head, other, active)
    tl.debug_barrier()
    root = _root(parents, head, assigned)
    tl.store(parents + index, tl.where(assigned, root, -1), mask=inside)


@triton.jit
def _join_across_borders(
    ids: tl.tensor,
    parents: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    of_rows: tl.tensor,
    of_both: tl.tensor,
    blocks: tl.tensor,
    ids_b: tl.tensor,
    ids_y: tl.tensor,
    ids_x: tl.tensor,
    eight: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
    pixels: tl.constexpr,
) -> None:
    """Join every pixel after a border between tiles with its neighbors before it."""
    program = tl.program_id(0).to(tl.int64)
    image = program // blocks
    number = (program % blocks) * pixels + tl.arange(0, pixels)
    inside = number < of_both
    # The borders between rows of tiles, one after the other, then those between columns of tiles. `along`
    # counts the pixels of a border, and the steps along it and back over it are those of ids and indices.
    in_row = number < of_rows
    rest = number - of_rows
    along = tl.where(in_row, number % width, rest % height)
    y = tl.where(in_row, (number // width + 1) * rows, along)
    x = tl.where(in_row, along, (rest // height + 1) * columns)
    last = tl.where(in_row, width - 1, height - 1)
    step = tl.where(in_row, ids_x, ids_y)
    back = tl.where(in_row, ids_y, ids_x)
    index_step = tl.where(in_row, 1, width).to(parents.dtype.element_ty)
    index_back = tl.where(in_row, width, 1).to(parents.dtype.element_ty)
    place = ids + image * ids_b + y * ids_y + x * ids_x
    parents += image * height * width
    region = tl.load(place, mask=inside, other=0)
    assigned = inside & (region >= 0)
    like_back = assigned & (tl.load(place - back, mask=assigned, other=0) == region)
    has_before = assigned & (along > 0)
    like_before = has_before & (tl.load(place - step, mask=has_before, other=0) == region)
    like_corner = has_before & (tl.load(place - back - step, mask=has_before, other=0) == region)
    index = (y * width + x).to(parents.dtype.element_ty)
    other = index - index_back
    # The pixel before does it, if the two meet within a tile: where four tiles meet, each relied on another.
    skipped = like_before & like_corner & (in_row | (along % rows > 0))
    active = like_back & ~skipped
    if eight:
        diagonal = like_corner & ~like_back & ~like_before
        other = tl.where(diagonal, other - index_step, other)
        _unite(parents, index, other, active | diagonal)
        has_after = assigned & ~like_back & (along < last)
        like_corner = has_after & (tl.load(place - back + step, mask=has_after, other=0) == region)
        _unite(parents, index, index - index_back + index_step, like_corner)
    else:
        _unite(parents, index, other, active)


@triton.jit
def _find_roots(
    parents: tl.tensor, numbers: tl.tensor, area: tl.tensor, blocks: tl.tensor, pixels: tl.constexpr
) -> None:
    """Every pixel's parent becomes its root; `numbers` is 1 at roots, else 0."""
    program = tl.program_id(0).to(tl.int64)
    index = (program % blocks) * pixels + tl.arange(0, pixels)
    start = program // blocks * area
    inside = index < area
    parent = tl.load(parents + start + index, mask=inside, other=-1)
    root = _root(parents + start, parent, parent >= 0)
    # Others may still climb through here: a root is as good a parent to them as the old one.
    tl.store(parents + start + index, root, mask=inside)
    tl.store(numbers + start + index, (root == index).to(numbers.dtype.element_ty), mask=inside)


@triton.jit
def _number(
    parents: tl.tensor, numbers: tl.tensor, area: tl.tensor, blocks: tl.tensor, pixels: tl.constexpr
) -> None:
    """Roots in place of parents, counted from 0, become the components' numbers."""
    program = tl.program_id(0).to(tl.int64)
    index = (program % blocks) * pixels + tl.arange(0, pixels)
    start = program // blocks * area
    inside = index < area
    root = tl.load(parents + start + index, mask=inside, other=-1)
    assigned = root >= 0
    number = tl.load(numbers + start + root.to(tl.int64), mask=assigned, other=0) - 1
    tl.store(parents + start + index, number, mask=inside)

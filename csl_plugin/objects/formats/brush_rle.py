"""Label Studio's run-length code of brush masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from csl_plugin.objects.run_lengths import RunLengths, runs_of_crop
from csl_plugin.objects.stored_masks import crop_of_runs

_WORD = 8
_LONGEST = 1 << 16  # values of one block
_SIZES = (4, 8, 12, 16)  # bits of a length


def brush_rle(runs: RunLengths, size: tuple[int, int]) -> list[int]:
    """A mask in the code of Label Studio's brush: bytes of a stream of bits.

    The stream holds the values of an RGBA image row by row, 255 in all four channels of the mask's pixels and
    0 elsewhere. 32 bits are the number of values, 5 the bits of a value less one, and four times 4 the bits
    of the four kinds of lengths less one. Blocks follow: 1 for a repeated value, 2 bits for the kind of
    length, the length less one, and the value, 8 bits. Zeros fill the last byte.

    Args:
        runs: Of the mask, down the columns.
        size: (H, W).

    Source:
        The format rle-pack of thi.ng/umbrella (Apache-2.0), which Label Studio uses.
    """
    crop, top, left = crop_of_runs(runs, size)
    rows = 4 * runs_of_crop(crop.T, left, top, size[::-1])  # down the columns of the transposed mask
    values = np.where(np.arange(len(rows)) % 2 == 1, 255, 0)[rows > 0]
    lengths = rows[rows > 0]
    blocks = -(-lengths // _LONGEST)
    cut = np.full(int(blocks.sum()), _LONGEST, np.int64)
    cut[np.cumsum(blocks) - 1] = lengths - (blocks - 1) * _LONGEST
    return _packed(int(lengths.sum()), cut, np.repeat(values, blocks))


def _packed(count: int, lengths: NDArray[np.int64], values: NDArray[np.int64]) -> list[int]:
    """The stream as bytes.

    Args:
        count: Of values.
        lengths: (K,) of the blocks.
        values: (K,) that each repeats.
    """
    kinds = np.searchsorted(np.array(_SIZES), _bits(lengths - 1))
    sizes = np.array(_SIZES)[kinds]
    # A block is 3 bits of head, the length, and the value: 15 to 27 bits.
    words = ((4 + kinds) << sizes | (lengths - 1)) << _WORD | values
    used = 3 + sizes + _WORD
    widest = int(used.max())
    places = np.arange(widest - 1, -1, -1)
    bits = (words[:, None] >> places) & 1
    stream = bits[places < used[:, None]]
    head = [(count, 32), (_WORD - 1, 5), *((size - 1, 4) for size in _SIZES)]
    first = [value >> place & 1 for value, width in head for place in range(width - 1, -1, -1)]
    packed: list[int] = np.packbits(np.concatenate([first, stream]).astype(np.uint8)).tolist()
    return packed


def _bits(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many bits each of some integers from 0 on takes; at least one."""
    return np.floor(np.log2(np.maximum(numbers, 1))).astype(np.int64) + 1

"""COCO's run-length encoding of binary masks: checked reading, and compressed writing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.errors import DTypeError, FileError
from csl_plugin.io.limits import MAX_PIXELS

_MOST_RUNS = 4_000_000
_LONGEST_NUMBER = 7  # characters of five bits each: enough for any count up to MAX_PIXELS


def read_run_lengths(record: Any) -> tuple[tuple[int, int], NDArray[np.int64]]:
    """The size of a mask and the lengths of its runs, alternately outside and inside, down the columns.

    Args:
        record: `{"size": [H, W], "counts": ...}`, the counts as a list of integers or as COCO's compressed
            text (str or bytes), as segment-anything and pycocotools write them.

    Returns:
        (H, W), and counts (K,) whose sum is H x W; the first is outside the mask.

    Raises:
        DTypeError: Another structure.
        FileError: Sizes or counts that are negative or beyond the limits, or a wrong sum.

    Example:
        >>> read_run_lengths({"size": [2, 3], "counts": "132"})
        ((2, 3), array([1, 3, 2]))

    Source:
        The format of the COCO API (Lin et al. 2014).
    """
    size, counts = (record.get("size"), record.get("counts")) if isinstance(record, dict) else (None, None)
    if not (isinstance(size, (list, tuple)) and len(size) == 2 and all(_is_count(side) for side in size)):
        got = f"size {size!r}"[:80] if isinstance(record, dict) else f"a {type(record).__name__}"
        hint = "Polygons are not read: store masks, or their run lengths."
        raise DTypeError("segmentation", got, "{'size': [H, W], 'counts': ...}", hint)
    height, width = int(size[0]), int(size[1])
    if min(height, width) < 1 or height * width > MAX_PIXELS:
        got, hint = f"size ({height}, {width})", "Write the masks again."
        raise FileError("segmentation", got, f"1 to {MAX_PIXELS} pixels", hint)
    if isinstance(counts, (str, bytes)):
        lengths = _decompressed(counts, height * width)
    elif isinstance(counts, (list, tuple)):
        if len(counts) > min(height * width + 1, _MOST_RUNS) or not all(_is_count(count) for count in counts):
            raise _damaged("counts that are no integers, or more than pixels")
        if any(not 0 <= count <= height * width for count in counts):
            raise _damaged("a count that is negative or beyond the mask")
        lengths = np.array(counts, dtype=np.int64)
    else:
        got, hint = f"counts as {type(counts).__name__}", "Write them with pycocotools, or as a list."
        raise DTypeError("segmentation", got, "a list of integers or compressed text", hint)
    if (lengths < 0).any() or (lengths > height * width).any():
        raise _damaged("a count that is negative or beyond the mask")
    if int(lengths.sum()) != height * width:
        raise _damaged(f"counts of {int(lengths.sum())} pixels for a mask of {height * width}")
    return (height, width), lengths


def encode_rle(mask: NDArray[Any]) -> dict[str, Any]:
    """A mask as COCO's compressed run lengths.

    Args:
        mask: (H, W), bool or 0 and 1.

    Returns:
        {"size": [H, W], "counts": str}, as `read_run_lengths` reads it.

    Example:
        >>> encode_rle(np.array([[0, 1], [1, 1]]))
        {'size': [2, 2], 'counts': '13'}

    Source:
        The format of the COCO API (Lin et al. 2014).
    """
    flat = np.asarray(mask, dtype=bool).ravel(order="F")
    turns = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    bounds = np.concatenate([[0], turns, [flat.size]])
    counts = np.diff(bounds)
    if flat.size and flat[0]:
        counts = np.concatenate([[0], counts])
    return {"size": [int(side) for side in mask.shape], "counts": compressed_run_lengths(counts)}


def compressed_run_lengths(counts: NDArray[Any]) -> str:
    """Run lengths as COCO's text.

    From the fourth on, each is stored as the difference from the length two before it. Every number is cut
    into groups of five bits, the lowest first, with a sixth bit that marks more to follow; a group is the
    character 48 + value.

    Args:
        counts: (K,) lengths of the runs of 0 and 1 alternately, down the columns, beginning with 0.

    Example:
        >>> compressed_run_lengths(np.array([1, 3, 2]))
        '132'
    """
    left = np.asarray(counts, np.int64)
    left = np.concatenate([left[:3], left[3:] - left[1:-2]])
    groups = np.zeros((len(left), _LONGEST_NUMBER), np.uint8)
    used = np.zeros(groups.shape, bool)
    open_ = np.ones(len(left), bool)
    for place in range(_LONGEST_NUMBER):
        used[:, place] = open_
        group = (left & 31).astype(np.uint8)
        left = left >> 5  # arithmetic: a negative number ends at -1
        open_ = open_ & (left != np.where(group & 16, -1, 0))
        groups[:, place] = 48 + group + 32 * open_
        if not open_.any():
            break
    return groups[used].tobytes().decode("ascii")


def _decompressed(text: str | bytes, pixels: int) -> NDArray[np.int64]:
    """Numbers of five bits a character; a sixth bit marks that more follow.

    From the fourth number on, each is stored as the difference from the number two before it.
    """
    try:
        characters = text.encode("ascii") if isinstance(text, str) else text
    except UnicodeEncodeError:
        raise _damaged("text with characters beyond COCO's 64") from None
    bits = np.frombuffer(characters, np.uint8) - np.uint8(48)  # below 48 it wraps beyond 63
    if (bits > 63).any():
        raise _damaged("text with characters beyond COCO's 64")
    last = bits < 32
    if bits.size == 0 or not last[-1]:
        raise _damaged("text that is truncated")
    if int(np.count_nonzero(last)) > min(pixels + 1, _MOST_RUNS):
        raise _damaged("more counts than pixels, or than any mask has")
    ends = np.flatnonzero(last)
    sizes = np.diff(ends, prepend=-1)
    if sizes.max() > _LONGEST_NUMBER:
        raise _damaged("a count beyond any image")
    numbers = np.zeros(len(ends), np.int64)
    for place in range(int(sizes.max())):
        long = sizes > place
        groups = bits[ends[long] - sizes[long] + 1 + place] & np.uint8(31)
        numbers[long] |= groups.astype(np.int64) << (5 * place)
    negative = (bits[ends] & np.uint8(16)) > 0  # the highest bit is the sign
    numbers[negative] -= np.left_shift(1, 5 * sizes[negative])
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def _is_count(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _damaged(got: str) -> FileError:
    hint = "The mask is damaged, truncated or of another format: write it again."
    return FileError("segmentation", got, "run lengths that add up to the mask", hint)

"""COCO's run-length encoding of a binary mask, as text."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def encode_rle(mask: NDArray[Any]) -> dict[str, Any]:
    """A mask as COCO's compressed RLE.

    The lengths of runs of 0 and 1 by turns, down the columns, beginning with 0; from the fourth on each is
    less the one two before. Every number is cut into groups of five bits, the lowest first, with a sixth bit
    for "more follow", and each group is the character 48 + value.

    Args:
        mask: (H, W), bool or 0 and 1.

    Returns:
        {"size": [H, W], "counts": str}.

    Example:
        >>> encode_rle(np.array([[0, 1], [1, 1]]))
        {'size': [2, 2], 'counts': '13'}

    Source:
        The mask format of the COCO data set (cocodataset.org, "Data format").
    """
    flat = np.asarray(mask, dtype=bool).ravel(order="F")
    turns = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    bounds = np.concatenate([[0], turns, [flat.size]])
    counts = np.diff(bounds)
    if flat.size and flat[0]:
        counts = np.concatenate([[0], counts])
    written = counts.copy()
    written[3:] -= counts[1:-2]
    return {"size": [int(side) for side in mask.shape], "counts": "".join(map(_letters, written.tolist()))}


def decode_rle(segmentation: dict[str, Any]) -> NDArray[np.bool_]:
    """The mask of a compressed RLE.

    Example:
        >>> decode_rle({"size": [2, 2], "counts": "13"}).astype(int).tolist()
        [[0, 1], [1, 1]]
    """
    height, width = segmentation["size"]
    counts: list[int] = []
    value = shift = 0
    for letter in segmentation["counts"]:
        group = ord(letter) - 48
        value |= (group & 31) << shift
        shift += 5
        if not group & 32:
            if group & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    turns = np.arange(len(counts)) % 2 == 1
    return np.repeat(turns, counts).reshape((height, width), order="F")


def _letters(number: int) -> str:
    letters = []
    while True:
        group = number & 31
        number >>= 5  # arithmetic: a negative number ends at -1
        more = number != (-1 if group & 16 else 0)
        letters.append(chr(48 + group + (32 if more else 0)))
        if not more:
            return "".join(letters)

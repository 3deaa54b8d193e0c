"""Signs in the decoded pixels of a JPEG file that its last scan ends before the picture does.

A decoder goes on without a word: a sequential scan in medium gray, a refining scan with what earlier ones
gave.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_GRAY = (125.0, 131.0)
_LUMA = (0.114, 0.587, 0.299)  # of blue, green, red
_BLOCKS, _CONFIRMED = 4, 3
_CLEAR_STEP = 3  # quantization below which rounded pixels do not tell an odd multiple


def is_gray_end(pixels: NDArray[Any], unit: tuple[int, int], *, is_luma: bool) -> bool:
    """Whether the last unit may be what a decoder fills in.

    Args:
        pixels: (H, W) or (H, W, 3), blue first, as stored.
        unit: Rows and columns of a unit.
        is_luma: Whether the file holds luma, so that the filling is known; else any uniform unit counts.
    """
    height, width = pixels.shape[:2]
    end = pixels[(height - 1) // unit[0] * unit[0] :, (width - 1) // unit[1] * unit[1] :]
    end = end.reshape(end.shape[0] * end.shape[1], -1).astype(np.float64)
    if not is_luma:
        return bool((np.ptp(end, axis=0) <= 2).all())
    luma = end @ (_LUMA if end.shape[1] == 3 else (1.0,))
    return bool(_GRAY[0] <= luma.min() and luma.max() <= _GRAY[1])


def has_gray_units(
    pixels: NDArray[Any], unit: tuple[int, int], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> bool:
    """Whether any of these units may be filled in; five pixels of each are compared.

    Args:
        pixels: As above.
        unit: Rows and columns of a unit.
        rows: The row of each unit, in units.
        columns: The column of each.
    """
    if not len(rows):
        return False
    gray = np.ones(len(rows), bool)
    for down, across in ((0, 0), (0, 0.99), (0.99, 0), (0.99, 0.99), (0.5, 0.5)):
        row = np.minimum(rows * unit[0] + int(down * unit[0]), pixels.shape[0] - 1)
        column = np.minimum(columns * unit[1] + int(across * unit[1]), pixels.shape[1] - 1)
        found = pixels[row, column].reshape(len(rows), -1).astype(np.float64)
        luma = found @ (_LUMA if found.shape[1] == 3 else (1.0,))
        gray &= (luma >= _GRAY[0]) & (luma <= _GRAY[1])
    return bool(gray.any())


def is_refined_to_the_end(pixels: NDArray[Any], steps: NDArray[np.int64]) -> bool:
    """Whether some of the last blocks hold odd multiples of the quantization; only a last refinement does so.

    Blocks that reach beyond the picture are not looked at: there the finest bit may be missing.

    Args:
        pixels: As above.
        steps: (8, 8) quantization of the luma.
    """
    height, width = pixels.shape[0] // 8 * 8, pixels.shape[1] // 8 * 8
    if not height or not width:
        return False
    end = pixels[height - 8 : height, max(width - 8 * _BLOCKS, 0) : width].astype(np.float64)
    clipped = (end <= 0) | (end >= 255)
    luma = end @ _LUMA if end.ndim == 3 else end
    whole = ~clipped.reshape(8, -1, 8, *clipped.shape[2:]).any(axis=(0, *range(2, clipped.ndim + 1)))
    blocks = luma.reshape(8, -1, 8).transpose(1, 0, 2)[whole] - 128
    ratios = np.abs(_COSINES @ blocks @ _COSINES.T) / steps
    nearest = np.rint(ratios)
    odd = (nearest % 2 == 1) & (np.abs(ratios - nearest) < 0.25) & (steps >= _CLEAR_STEP)
    odd[:, 0, 0] = False
    return int(odd.sum()) >= _CONFIRMED


def _cosines() -> NDArray[np.float64]:
    rows, columns = np.mgrid[:8, :8]
    basis = np.cos(np.pi * (2 * columns + 1) * rows / 16) / 2
    basis[0] /= np.sqrt(2)
    return np.asarray(basis)


_COSINES = _cosines()

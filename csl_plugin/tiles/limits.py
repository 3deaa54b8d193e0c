"""Sizes that are accepted of rasters, which are never in memory as a whole."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path

from csl_plugin.errors import FileError, OptionError

MAX_FILE = 1 << 42
"""Bytes of a file."""

MAX_LARGE_PIXELS = 1 << 34
"""Pixels (H x W) of a raster: a square of 131 072."""

MAX_ROW = 1 << 28
"""Bytes in memory of one row of all bands, and of one block of a GeoTIFF."""

MAX_TABLE = 1 << 30
"""Bytes in memory of the sums over all regions."""


def check_shape(path: Path, shape: Sequence[int]) -> None:
    """Refuse a shape (C, H, W) that is empty or beyond the limits; elements count as 4 bytes.

    Raises:
        FileError: See above.
    """
    if any(axis < 1 for axis in shape):
        got = f"a declared shape of {tuple(shape)}"
        raise FileError(str(path), got, "every axis at least 1", "Write the file again.")
    bands, height, width = shape
    if height * width > MAX_LARGE_PIXELS or bands * width * 4 > MAX_ROW:
        got = f"a declared shape of {tuple(shape)}"
        expected = f"at most {MAX_LARGE_PIXELS} pixels, and {MAX_ROW} bytes in a row of all bands"
        raise FileError(str(path), got, expected, "Cut it into parts.")


def check_table(counts: Sequence[int], rows: int) -> None:
    """Refuse more regions than their sums have memory for.

    Raises:
        OptionError: See above.
    """
    size = 8 * (rows + 1) * sum(counts)
    if size > MAX_TABLE:
        got = f"{sum(counts)} regions, whose sums of {rows} values take {size} bytes"
        hint = "Take coarser regions, or number their ids from 0 on without gaps."
        raise OptionError("regions", got, f"at most {MAX_TABLE} bytes", hint)


def check_room(path: Path, shape: Sequence[int], itemsize: int) -> None:
    """Refuse to start on a file that the disk has no room for.

    Raises:
        FileError: See above.
    """
    place = next(folder for folder in path.resolve().parents if folder.exists())
    free, needed = shutil.disk_usage(place).free, math.prod(shape) * itemsize
    if needed > free:
        hint = "Make room, or write to another disk."
        raise FileError(str(path), f"{free} bytes free", f"the {needed} bytes that it takes", hint)

"""Read and write region maps: 16-bit PNG or .npz, one region id per pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from csl_plugin.arrays import Array, as_array, describe
from csl_plugin.errors import DTypeError, ScoreRangeError, ShapeError
from csl_plugin.io.images import read_gray_png, write_png
from csl_plugin.io.listing import known_suffix
from csl_plugin.io.numpy_files import Member, read_npz, write_npz
from csl_plugin.places import AnyPath, place_of

REGION_SUFFIXES = (".png", ".npz")
"""What the names of region files end in, in lower case."""

_KEY = "labels"
_UNASSIGNED_PNG = 65535
_LARGEST = int(np.iinfo(np.int32).max) - 1  # the number of regions, one more, must fit int32


def read_region_map(path: AnyPath) -> NDArray[np.int32]:
    """Read a region map; the suffix selects the format.

    Args:
        path: `.png`, gray: 16-bit with ids 0 to 65534 and 65535 for unassigned pixels, or 8-bit where all
            values are ids. Or `.npz` with an integer array `labels` (or only one array), -1 for unassigned
            pixels. At most 100 million pixels.

    Returns:
        (H, W) int32, -1 for unassigned pixels.

    Raises:
        FileError: Missing, damaged, too large or of another format.
        DTypeError: Not integers.
        ShapeError: Not (H, W).
        ScoreRangeError: An id below -1 or beyond int32.
    """
    path = place_of(path)

    def check(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        if dtype.kind not in "iu":
            raise DTypeError(str(path), f"an array of {dtype}", "integer region ids", "Save them as int32.")
        if len(shape) != 2:
            hint = "Save one image's labels, without a batch axis."
            raise ShapeError(str(path), f"shape {shape}", "(H, W)", hint)

    if known_suffix(path, REGION_SUFFIXES, "Convert it to 16-bit PNG.") == ".png":
        stored = read_gray_png(path)
        labels = stored.astype(np.int32)
        if stored.dtype == np.uint16:
            labels[stored == _UNASSIGNED_PNG] = -1
        return labels
    stored, _ = read_npz(path, check, preferred=_KEY)
    check_region_ids(str(path), stored)
    return stored.astype(np.int32)


def write_region_map(path: AnyPath, labels: Array) -> None:
    """Write a region map atomically; the suffix selects the format.

    Args:
        path: `.png` (16-bit; ids up to 65534) or `.npz` (compressed int32, key `labels`); the folder is
            created.
        labels: (H, W) integer ids from 0 on, -1 for unassigned pixels; an array or a tensor.

    Raises:
        DTypeError: No array, or not of integers.
        ShapeError: Not (H, W), or empty.
        ScoreRangeError: An id below -1, or above the maximum of the format.
        FileError: An unknown suffix, or the path cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     write_region_map(f"{folder}/a.png", np.array([[0, 7, -1]]))
        ...     read_region_map(f"{folder}/a.png")
        array([[ 0,  7, -1]], dtype=int32)
    """
    path = place_of(path)
    suffix = known_suffix(path, REGION_SUFFIXES, "Convert it to 16-bit PNG.")
    if not isinstance(labels, (Tensor, np.ndarray)):
        hint = "Pass an array of one image; of a RegionMap that is regions.labels[0]."
        raise DTypeError("labels", describe(labels), "an array (H, W)", hint)
    labels = as_array("labels", labels)
    if labels.dtype.kind not in "iu":
        hint = "Convert them with labels.astype(numpy.int32)."
        raise DTypeError("labels", describe(labels), "integer region ids", hint)
    if labels.ndim != 2 or 0 in labels.shape:
        hint = "Write a batch image by image: labels[0], labels[1], ..."
        raise ShapeError("labels", f"shape {labels.shape}", "(H, W), every axis at least 1", hint)
    check_region_ids("labels", labels)
    if suffix == ".npz":
        write_npz(path, labels.astype(np.int32), Member(_KEY, compressed=True))
        return
    if int(labels.max()) >= _UNASSIGNED_PNG:
        got = f"the id {int(labels.max())} for {path.name}"
        expected = f"ids up to {_UNASSIGNED_PNG - 1}, {_UNASSIGNED_PNG} regions, in a 16-bit PNG"
        hint = "Write .npz, or propose fewer regions."
        raise ScoreRangeError("labels", got, expected, hint)
    write_png(path, np.where(labels < 0, _UNASSIGNED_PNG, labels).astype(np.uint16))


def check_region_ids(argument: str, labels: NDArray[Any]) -> None:
    """Refuse region ids below -1, or beyond int32, before they are stored as int32.

    Raises:
        ScoreRangeError: See above.
    """
    low, high = int(labels.min()), int(labels.max())
    if low < -1 or high > _LARGEST:
        got = f"ids from {low} to {high}"
        hint = "Number the regions from 0 and use -1 for unassigned pixels."
        raise ScoreRangeError(argument, got, f"ids from -1 to {_LARGEST}", hint)

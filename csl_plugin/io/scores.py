"""Read and write score maps: .npy, .npz, .hdf5 and gray .png, written back in the form they were read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.arrays import Array, as_array, describe
from csl_plugin.errors import DTypeError, ScoreRangeError, ShapeError
from csl_plugin.io.hdf5_files import OFFICIAL_KEY, read_hdf5, write_hdf5
from csl_plugin.io.images import read_gray_png, write_png
from csl_plugin.io.listing import known_suffix
from csl_plugin.io.numpy_files import Member, read_npy, read_npz, write_npy, write_npz
from csl_plugin.io.score_layout import is_channels_last
from csl_plugin.places import AnyPath, Place, place_of

SCORE_SUFFIXES = (".npy", ".npz", ".hdf5", ".h5", ".png")
"""What the names of score files end in, in lower case."""

_FLOATS = (np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64))
_FRACTIONS = (np.dtype(np.uint8), np.dtype(np.uint16))


@dataclass(frozen=True)
class ScoreStorage:
    """How a file stores a score map; `write_scores` takes the same arguments.

    Args:
        dtype: Element type in the file: float16, float32 or float64, or uint8 or uint16 for fractions of
            255 or 65535.
        key: Name of the array in an .npz or HDF5 file.
        compressed: Whether an .npz file is compressed.
        channels_last: Whether the array is (H, W, C).
    """

    dtype: np.dtype[Any]
    key: str | None = None
    compressed: bool = False
    channels_last: bool = False


def read_scores(
    path: AnyPath, key: str | None = None, *, size: tuple[int, int] | None = None
) -> NDArray[Any]:
    """Read a score map; the suffix selects the format.

    Args:
        path: `.npy`; `.npz`; `.hdf5` or `.h5` (extra `hdf5`; as the SegmentMeIfYouCan tool writes it); or
            `.png`, 8- or 16-bit gray. At most 100 million pixels and 4 GiB.
        key: The array to read from an .npz or HDF5 file with several. Default: its only array, or in HDF5
            `value`.
        size: (H, W) of the image, by which an array (H, W, C) is recognized; it may have a lower resolution
            of the same aspect ratio. (H, W, 1) is recognized without.

    Returns:
        (H, W) or (C, H, W), in the file's floating-point type; uint8 and uint16 files (every PNG) give
        float32 in [0, 1], value / 255 or value / 65535.

    Raises:
        FileError: Missing, damaged, too large, of another format, or without such a key.
        DTypeError: Objects, complex numbers, or integers other than uint8 and uint16.
        ShapeError: Not (H, W), (C, H, W) or (H, W, C), or of two readings that both fit the image.
        MissingExtraError: HDF5 without h5py.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     write_scores(f"{folder}/a.npz", np.ones((3, 4), np.float16), key="anomaly")
        ...     read_scores(f"{folder}/a.npz").dtype
        dtype('float16')
    """
    return read_score_file(path, key, size=size)[0]


def read_score_file(
    path: AnyPath, key: str | None = None, *, size: tuple[int, int] | None = None
) -> tuple[NDArray[Any], ScoreStorage]:
    """As `read_scores`, together with how the file stores the map."""
    path = place_of(path)

    def check(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        _check_stored(path, shape, dtype)

    suffix = known_suffix(path, SCORE_SUFFIXES, "Convert the file to .npy.")
    compressed = False
    if suffix == ".npy":
        stored = read_npy(path, check)
    elif suffix == ".npz":
        stored, member = read_npz(path, check, key)
        key, compressed = member.key, member.compressed
    elif suffix == ".png":
        stored = read_gray_png(path)
    else:
        stored, key = read_hdf5(path, check, key)
    dtype = stored.dtype.newbyteorder("=")
    last = is_channels_last(str(path), stored.shape, size)
    storage = ScoreStorage(dtype, key, compressed, last)
    if last:
        stored = np.ascontiguousarray(np.moveaxis(stored, -1, 0))
    if dtype in _FRACTIONS:
        fractions = stored.astype(np.float32)
        fractions /= np.float32(np.iinfo(dtype).max)
        return fractions, storage
    return stored.astype(dtype, copy=False), storage


def write_scores(
    path: AnyPath,
    scores: Array,
    *,
    dtype: np.dtype[Any] | type | str | None = None,
    key: str | None = None,
    compressed: bool = False,
    channels_last: bool = False,
) -> None:
    """Write a score map atomically; the suffix selects the format.

    Args:
        path: As for `read_scores`; the folder is created.
        scores: (H, W) or (C, H, W) floating point, an array or a tensor; (H, W) for `.png`.
        dtype: Element type in the file: float16, float32 or float64 (not for `.png`), or uint8 or uint16,
            which hold round(score x 255) or round(score x 65535), clipped. Default: the type of `scores`;
            uint16 for `.png`.
        key: Name of the array in an .npz file (default "arr_0") or HDF5 file (default "value").
        compressed: Whether to compress an .npz file. HDF5 files are always compressed.
        channels_last: Write (C, H, W) as (H, W, C).

    Raises:
        DTypeError: `scores` is no array of floating point, or the format does not support `dtype`.
        ShapeError: A shape that the format does not support.
        ScoreRangeError: A finite score beyond the range of `dtype`, or NaN for an integer one.
        FileError: An unknown suffix, or the path cannot be written.
        MissingExtraError: HDF5 without h5py.
    """
    path = place_of(path)
    suffix = known_suffix(path, SCORE_SUFFIXES, "Convert the file to .npy.")
    scores = as_array("scores", scores)
    stored = _encode(scores, np.dtype(dtype or (np.uint16 if suffix == ".png" else scores.dtype)))
    if channels_last and stored.ndim == 3:
        stored = np.ascontiguousarray(np.moveaxis(stored, 0, -1))
    if suffix == ".npy":
        write_npy(path, stored)
    elif suffix == ".npz":
        write_npz(path, stored, Member(key or "arr_0", compressed))
    elif suffix == ".png":
        if stored.ndim != 2 or stored.dtype not in _FRACTIONS:
            hint = "Write several classes or floats as .npy, .npz or .hdf5."
            raise ShapeError("scores", describe(stored), "(H, W) of uint8 or uint16 for .png", hint)
        write_png(path, stored)
    else:
        write_hdf5(path, stored, key or OFFICIAL_KEY)


def _check_stored(path: Place | str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if dtype.newbyteorder("=") not in _FLOATS + _FRACTIONS:
        expected = "float16, float32 or float64, or uint8 or uint16 for fractions of 255 or 65535"
        raise DTypeError(str(path), f"an array of {dtype}", expected, "Save the scores as float32.")
    if len(shape) not in (2, 3):
        hint = "Save one image's scores, without a batch axis."
        raise ShapeError(str(path), f"shape {shape}", "(H, W) or (C, H, W)", hint)


def _encode(scores: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if scores.dtype not in _FLOATS:
        hint = "Convert them with scores.astype(numpy.float32)."
        raise DTypeError("scores", describe(scores), "float16, float32 or float64", hint)
    _check_stored("dtype", scores.shape, dtype)
    if dtype in _FRACTIONS:
        if np.isnan(scores).any():
            raise ScoreRangeError("scores", "nan", "numbers", f"Replace nan before writing {dtype}.")
        top = np.iinfo(dtype).max
        return np.rint(np.clip(scores.astype(np.float64), 0.0, 1.0) * top).astype(dtype)
    with np.errstate(over="ignore", under="ignore"):
        stored = scores.astype(dtype)
    if bool((np.isinf(stored) & np.isfinite(scores)).any()):
        got = f"{float(np.abs(scores[np.isfinite(scores)]).max()):.4g}"
        expected = f"at most {float(np.finfo(dtype).max):.4g}, the largest {dtype}"
        hint = "Use the rule geometric, which stays on the scores' own scale, or a wider type."
        raise ScoreRangeError("scores", got, expected, hint)
    return stored

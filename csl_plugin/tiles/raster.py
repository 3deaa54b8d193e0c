"""What images, scores and masks are read from by windows."""

from __future__ import annotations

import os
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from csl_plugin.arrays import describe
from csl_plugin.errors import DTypeError, FileError, ShapeError
from csl_plugin.io.listing import known_suffix
from csl_plugin.places import local_path
from csl_plugin.tiles.geotiff import TIFF_SUFFIXES, GeoTiff
from csl_plugin.tiles.layout import Window
from csl_plugin.tiles.npy_raster import NpyRaster

RASTER_SUFFIXES = (".npy", *TIFF_SUFFIXES)


@runtime_checkable
class Raster(Protocol):
    """An array of bands that is read by windows; a reader of your own has these four.

    Example:
        >>> from csl_plugin.tiles import Raster
        >>> class Slides:
        ...     shape, dtype = (3, 40_000, 60_000), np.dtype(np.uint8)
        ...     def read(self, rows, columns):
        ...         return np.zeros((3, rows.stop - rows.start, columns.stop - columns.start), np.uint8)
        ...     def valid(self, rows, columns):
        ...         return None
        >>> isinstance(Slides(), Raster)
        True
    """

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type."""
        ...

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """The values of a window, (C, h, w); the slices have a start and a stop within the raster."""
        ...

    def valid(self, rows: slice, columns: slice) -> NDArray[np.bool_] | None:
        """The pixels of a window that hold data, (h, w); None if all do."""
        ...


Source: TypeAlias = "str | os.PathLike[str] | NDArray[Any] | Raster"
"""A file (.npy, .tif), an array (H, W) or (C, H, W), such as a memory map, or a reader."""


class ArrayRaster:
    """An array in memory, or a memory map."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.axes = array.ndim
        self._array = array[None] if array.ndim == 2 else array
        self.shape: tuple[int, int, int] = self._array.shape
        self.dtype = array.dtype.newbyteorder("=")

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """The values of a window."""
        return np.array(self._array[:, rows, columns], self.dtype)

    def valid(self, rows: slice, columns: slice) -> None:  # noqa: ARG002
        """All pixels hold data."""
        return


def open_raster(source: Source, argument: str = "source", size: tuple[int, int] | None = None) -> Raster:
    """What reads an image, scores or a mask by windows.

    Args:
        source: A path: `.npy`, or a GeoTIFF (`.tif`, `.tiff`; extra `raster`), whose pixels of nodata are not
            valid. An array (H, W) or (C, H, W), for an image also (H, W, 3). Or a `Raster`, taken as it is.
        argument: Its name, for errors.
        size: (H, W) of the image, by which a file (H, W, C) is told from (C, H, W).

    Raises:
        FileError: Missing, damaged, too large, or of another format.
        DTypeError: No array of numbers, or Python objects.
        ShapeError: Another number of axes, or an empty one.
        MissingExtraError: A GeoTIFF without rasterio.
    """
    if isinstance(source, (str, os.PathLike)):
        path = local_path(source, argument)
        if path.is_dir():
            raise FileError(str(path), "a folder", "a file", "Pass one raster.")
        suffix = known_suffix(path, RASTER_SUFFIXES, "Convert it to .npy, or to GeoTIFF.")
        return NpyRaster(path, size) if suffix == ".npy" else GeoTiff(path)
    if isinstance(source, np.ndarray):
        if isinstance(source, np.ma.MaskedArray):
            hint = "Pass array.filled(0), and ~array.mask as `valid`."
            raise DTypeError(argument, describe(source), "a plain array", hint)
        if source.dtype.kind not in "buif" or source.dtype.itemsize > 8:
            raise DTypeError(argument, describe(source), "an array of numbers", "Convert it.")
        if source.ndim not in (2, 3) or 0 in source.shape:
            hint = "Pass one image, without a batch axis."
            raise ShapeError(argument, f"shape {source.shape}", "(H, W) or (C, H, W)", hint)
        last = source.ndim == 3 and source.shape[2] == 3 and source.shape[0] != 3 and argument == "image"
        return ArrayRaster(np.moveaxis(source, 2, 0) if last else source)
    if isinstance(source, Raster):
        return source
    hint = "Pass a file, an array or a reader; of a tensor .numpy()."
    raise DTypeError(argument, describe(source), "a path, an array or a Raster", hint)


class _Mask:
    """A raster of flags as the pixels that count."""

    def __init__(self, flags: Raster) -> None:
        self._flags = flags
        self.shape, self.dtype = flags.shape, np.dtype(bool)

    def read(self, rows: slice, columns: slice) -> NDArray[np.bool_]:
        """The flags of a window, (1, h, w)."""
        return self.valid(rows, columns)[None]

    def valid(self, rows: slice, columns: slice) -> NDArray[np.bool_]:
        """The pixels that count, by the flags and by their own nodata value."""
        flags = np.asarray(self._flags.read(rows, columns)[0] != 0)
        own = self._flags.valid(rows, columns)
        return flags if own is None else flags & own


class Counted:
    """As flags, the pixels for which all of several rasters of one size have data."""

    def __init__(self, *rasters: Raster | None) -> None:
        self._rasters = [raster for raster in rasters if raster is not None]
        self.shape, self.dtype = (1, *self._rasters[0].shape[1:]), np.dtype(bool)

    def read(self, rows: slice, columns: slice) -> NDArray[np.bool_]:
        """The flags of a window, (1, h, w)."""
        window = Window(rows, columns)
        found = valid_of(window, *self._rasters)
        return np.ones((1, *window.size), bool) if found is None else found[None]

    def valid(self, rows: slice, columns: slice) -> None:  # noqa: ARG002
        """All flags are known."""
        return


def open_mask(source: Source | None, size: tuple[int, ...]) -> Raster | None:
    """The pixels that count as a raster whose `valid` says which.

    Raises:
        FileError, MissingExtraError: As for `open_raster`.
        DTypeError: Neither flags nor integers.
        ShapeError: Not one map of this size.
    """
    if source is None:
        return None
    flags = open_raster(source, "valid")
    if flags.dtype.kind not in "bui":
        hint = "Compare it, for example labels != 255."
        raise DTypeError("valid", f"values of {flags.dtype}", "flags, or integers where not 0 counts", hint)
    if flags.shape != (1, *size):
        hint = "Give one flag per pixel of the image."
        raise ShapeError("valid", f"shape {flags.shape}", f"one map of {tuple(size)}", hint)
    return _Mask(flags)


def valid_of(window: Window, *rasters: Raster | None) -> NDArray[np.bool_] | None:
    """The pixels of a window that all rasters hold data for; None if all are."""
    found = None
    for raster in rasters:
        own = None if raster is None else raster.valid(window.rows, window.columns)
        if own is not None:
            found = own if found is None else found & own
    return found

"""Arrays in .npy files, read and written by windows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from csl_plugin.errors import DTypeError, FileError, ShapeError
from csl_plugin.io.atomic import atomic_path
from csl_plugin.io.limits import as_file_error, check_file
from csl_plugin.io.npy_format import read_npy_header
from csl_plugin.io.score_layout import is_channels_last
from csl_plugin.tiles.limits import MAX_FILE, check_room, check_shape


class Planes:
    """An array (C, H, W) in an open file, read and written by windows.

    The file is not mapped: mapped pages count as memory of the process, and one that another process shortens
    would end it.

    Args:
        file: Open for reading, and for writing where that is asked.
        path: Its name, for errors.
        offset: Where the array starts.
        shape: (C, H, W).
        dtype: Of the elements as stored.
        channels_last: The file holds (H, W, C).
    """

    def __init__(
        self,
        file: IO[bytes],
        path: Path,
        offset: int,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        channels_last: bool = False,
    ) -> None:
        self._file, self._path, self._offset, self._dtype = file, path, offset, dtype
        bands, self._height, width = self.shape = (shape[0], shape[1], shape[2])
        self.dtype = dtype.newbyteorder("=")
        # Of (H, W, C) a row is one plane's row of W * C items.
        self._inner = bands if channels_last else 1
        self._planes, self._items = bands // self._inner, width * self._inner

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """The values of a window, (C, h, w)."""
        width = (columns.stop - columns.start) * self._inner
        values = np.empty((self._planes, rows.stop - rows.start, width), self._dtype)
        for at, part in self._parts(values, rows, columns):
            self._file.seek(at)
            if self._file.readinto(part) != len(part):  # type: ignore[attr-defined]
                hint = "Another process writes it: wait until it is whole."
                raise FileError(str(self._path), "a file that ends early", "as long as declared", hint)
        values = values.astype(self.dtype, copy=False)
        if self._inner == 1:
            return values
        return np.moveaxis(values.reshape(values.shape[1], -1, self._inner), 2, 0)

    def valid(self, rows: slice, columns: slice) -> None:  # noqa: ARG002
        """All pixels hold data."""
        return

    def write(self, rows: slice, columns: slice, values: NDArray[Any]) -> None:
        """Write the values of a window, (C, h, w)."""
        if self._inner > 1:
            values = np.moveaxis(values, 0, 2).reshape(1, values.shape[1], -1)
        for at, part in self._parts(np.ascontiguousarray(values, self._dtype), rows, columns):
            self._file.seek(at)
            self._file.write(part)

    def _parts(self, values: NDArray[Any], rows: slice, columns: slice) -> Iterator[tuple[int, memoryview]]:
        """Where the contiguous parts of a window are in the file, and in an array of it."""
        planes, height, width = values.shape
        step = height if width == self._items else 1
        flat = values.reshape(planes, -1, step * width).view(np.uint8)
        for plane in range(planes):
            for number, row in enumerate(range(rows.start, rows.stop, step)):
                first = (plane * self._height + row) * self._items + columns.start * self._inner
                yield self._offset + first * self._dtype.itemsize, flat[plane, number].data


class NpyRaster:
    """An .npy file, (H, W), (C, H, W) or (H, W, C).

    Args:
        path: The file.
        size: (H, W) of the image, by which an array (H, W, C) is recognized; else by an axis of 1 or 3.
    """

    def __init__(self, path: Path, size: tuple[int, int] | None = None) -> None:
        self.path = path
        total = check_file(path, MAX_FILE)
        with as_file_error(path, "an .npy file"), path.open("rb") as file:
            header = read_npy_header(file)
        if header.dtype.kind not in "buif" or header.dtype.itemsize > 8:
            hint = "Pickled objects are never read: save plain numbers."
            raise DTypeError(str(path), f"an array of {header.dtype}", "an array of numbers", hint)
        if len(header.shape) not in (2, 3) or header.is_fortran:
            order = " in Fortran order" if header.is_fortran else ""
            hint = "Save one image in C order, as numpy.ascontiguousarray gives it, without a batch axis."
            raise ShapeError(str(path), f"shape {header.shape}{order}", "(H, W) or (C, H, W)", hint)
        self.channels_last = len(header.shape) == 3 and _is_last(path, header.shape, size)
        stored = header.shape if len(header.shape) == 3 else (1, *header.shape)
        shape = (stored[2], *stored[:2]) if self.channels_last else stored
        self.shape: tuple[int, int, int] = (shape[0], shape[1], shape[2])
        self.axes = len(header.shape)
        check_shape(path, self.shape)
        declared = header.length + math.prod(header.shape) * header.dtype.itemsize
        if declared != total:
            got = f"{total} bytes where the header of shape {header.shape} declares {declared}"
            raise FileError(str(path), got, "as many as declared", "The file is damaged: write it again.")
        self.dtype: np.dtype[Any] = header.dtype.newbyteorder("=")
        self._offset, self._stored = header.length, header.dtype

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """The values of a window, (C, h, w)."""
        with as_file_error(self.path, "an .npy file"), self.path.open("rb") as file:
            planes = Planes(file, self.path, self._offset, self.shape, self._stored, self.channels_last)
            return planes.read(rows, columns)

    def valid(self, rows: slice, columns: slice) -> None:  # noqa: ARG002
        """All pixels hold data."""
        return


@contextmanager
def written_npy(
    path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], *, axes: int = 3, channels_last: bool = False
) -> Iterator[Planes]:
    """An .npy file of (C, H, W) that is written by windows, and appears when the block succeeds.

    Args:
        path: The file.
        shape: (C, H, W).
        dtype: Of its elements.
        axes: 2 for (H, W), where C = 1.
        channels_last: Store (H, W, C).

    Raises:
        FileError: It cannot be written, or there is no room for it.
    """
    check_room(path, shape, dtype.itemsize)
    with atomic_path(path) as temporary, temporary.open("w+b") as file:
        declared = shape[1:] if axes == 2 else (*shape[1:], shape[0]) if channels_last else shape
        header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": declared}
        npy.write_array_header_1_0(file, header)
        offset = file.tell()
        file.truncate(offset + math.prod(shape) * dtype.itemsize)
        yield Planes(file, path, offset, shape, dtype, channels_last)


def _is_last(path: Path, shape: tuple[int, ...], size: tuple[int, int] | None) -> bool:
    if size is None:
        return shape[2] in (1, 3) and shape[0] not in (1, 3)
    return is_channels_last(str(path), shape, size)

"""Numpy's .npy and .npz files: pickles are never loaded, and sizes are checked before memory is allocated."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from csl_plugin.errors import DTypeError, FileError
from csl_plugin.io.atomic import atomic_path
from csl_plugin.io.limits import (
    MAX_BYTES,
    as_file_error,
    check_expansion,
    check_extent,
    too_large,
)
from csl_plugin.io.npy_format import NpyHeader, read_npy_header, read_npy_values
from csl_plugin.io.opening import opened
from csl_plugin.io.zip_directory import directory_bytes
from csl_plugin.places import AnyPath, Place, place_of

Check: TypeAlias = Callable[[tuple[int, ...], "np.dtype[Any]"], None]
"""Raises for a shape or element type that is not accepted; called before memory is allocated."""

_LONGEST_DIRECTORY = 1 << 20  # bytes of the list of arrays


@dataclass(frozen=True)
class Member:
    """One array of an .npz file: its key, and whether it is compressed."""

    key: str
    compressed: bool


def read_npy(path: AnyPath, check: Check) -> NDArray[Any]:
    """The array of an .npy file.

    Args:
        path: The file.
        check: Called with the declared shape and element type before the values are read.

    Raises:
        FileError: Missing, damaged, too large, or its length differs from the declared one.
        DTypeError: It holds Python objects.
    """
    path = place_of(path)
    with as_file_error(path, "an .npy file"), opened(path) as (file, total):
        header = _checked_header(path, file, total, _of_a_map(path, check))
        return read_npy_values(file, header)


def read_npz(
    path: AnyPath, check: Check, key: str | None = None, preferred: str | None = None
) -> tuple[NDArray[Any], Member]:
    """One array of an .npz file, and how to write it back in the same form.

    Args:
        path: The file.
        check: Called with the declared shape and element type before the values are read.
        key: The array to read. Default: `preferred` if the file has it, else its only array.
        preferred: See `key`.

    Raises:
        FileError: Missing, damaged, too large, no such key, or several arrays and no key.
        DTypeError: It holds Python objects.
    """
    path = place_of(path)
    with open_npz(path) as (archive, total):
        keys = npz_keys(archive)
        key = pick_key(path, keys, key, preferred)
        return _member(path, archive, key, total, _of_a_map(path, check))


def read_arrays(path: Place, prefix: str) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file whose names start with `prefix`, by the rest; of any shape, empty ones too.

    Raises:
        FileError: Missing, damaged or too large.
        DTypeError: One holds Python objects.
    """
    held = 0

    def check(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        nonlocal held
        held += math.prod(shape) * dtype.itemsize
        if held > MAX_BYTES:
            raise too_large(path, f"arrays of {held} bytes")

    with open_npz(path) as (archive, total):
        keys = [key for key in npz_keys(archive) if key.startswith(prefix)]
        return {key.removeprefix(prefix): _member(path, archive, key, total, check)[0] for key in keys}


def _member(
    path: Place, archive: zipfile.ZipFile, key: str, total: int, check: Check
) -> tuple[NDArray[Any], Member]:
    """An array of an open .npz file of `total` bytes."""
    info = archive.getinfo(key + ".npy")
    compressed = info.compress_type != zipfile.ZIP_STORED
    with archive.open(info) as file:
        header = _checked_header(path, file, info.file_size, check)
        if compressed:
            held = math.prod(header.shape) * max(header.dtype.itemsize, 4)
            check_expansion(path, info.file_size, min(info.compress_size, total), held)
        array = read_npy_values(file, header)
        file.read(1)  # read to the end, where zipfile compares the checksum
    return array, Member(key, compressed)


def _of_a_map(path: Place, check: Check) -> Check:
    """The check of an array whose last two axes are (H, W)."""

    def checked(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        check_extent(path, shape, dtype.itemsize)
        check(shape, dtype)

    return checked


@contextmanager
def open_npz(path: Place) -> Iterator[tuple[zipfile.ZipFile, int]]:
    """An .npz file whose list of arrays is short, and whose arrays are stored as numpy does; and its bytes.

    Raises:
        FileError: Missing, damaged, too large, or of other compression; also what a decoder raises inside.
    """
    with as_file_error(path, "an .npz file"), opened(path) as (file, total):
        if directory_bytes(file) > _LONGEST_DIRECTORY:
            hint = "Keep the arrays of one image in a file."
            raise FileError(str(path), "a list of very many arrays", "an .npz file", hint)
        with zipfile.ZipFile(file) as archive:
            others = [
                info.filename
                for info in archive.infolist()
                if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
            ]
            if others:
                hint = "Save the arrays with numpy.savez or numpy.savez_compressed."
                raise FileError(str(path), f"{others[0]!r} of another compression", "deflate", hint)
            yield archive, total


def npz_keys(archive: zipfile.ZipFile) -> list[str]:
    """The names of the arrays."""
    return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def pick_key(path: Place, keys: list[str], key: str | None, preferred: str | None) -> str:
    """The key to read: `key` if given, else the preferred one, else the only one.

    Raises:
        FileError: No such key, or several keys and none is given.
    """
    if key is None and preferred in keys:
        key = preferred
    if key is None and len(keys) == 1:
        key = keys[0]
    if key is None or key not in keys:
        held = ", ".join(repr(name) for name in keys[:8]) + (", ..." if len(keys) > 8 else "")
        wanted = f"the array {key!r}" if key else f"one array{f', or {preferred!r}' if preferred else ''}"
        hint = "Keep one array in the file."
        raise FileError(str(path), f"the arrays {held or 'none'}", wanted, hint)
    return key


def write_npy(path: AnyPath, array: NDArray[Any]) -> None:
    """Write an .npy file atomically."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        npy.write_array(file, np.ascontiguousarray(array), allow_pickle=False)


def write_npz(path: AnyPath, array: NDArray[Any], member: Member) -> None:
    """Write an .npz file of one array atomically."""
    method = zipfile.ZIP_DEFLATED if member.compressed else zipfile.ZIP_STORED
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", method) as archive:
        info = zipfile.ZipInfo(member.key + ".npy")  # fixed date: equal arrays give equal files
        info.compress_type = method
        with archive.open(info, "w", force_zip64=True) as file:
            npy.write_array(file, np.ascontiguousarray(array), allow_pickle=False)


def _checked_header(path: Place, file: IO[bytes], total: int, check: Check) -> NpyHeader:
    """The header of an array, its declared size compared with the limits and with the stored bytes."""
    header = read_npy_header(file)
    shape, dtype = header.shape, header.dtype
    if dtype.hasobject:
        hint = "Pickled objects are never read: save plain numbers."
        raise DTypeError(str(path), "an array of Python objects", "an array of numbers", hint)
    check(shape, dtype)
    declared = header.length + math.prod(shape) * dtype.itemsize
    if declared != total:
        got = f"{total} bytes where the header of shape {shape} and {dtype} declares {declared}"
        raise FileError(str(path), got, "as many as declared", "The file is damaged: write it again.")
    return header

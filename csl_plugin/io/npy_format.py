"""The .npy format: its header is read as text, never as Python, and its values into one array.

numpy reads headers with `ast`, which is not safe to use from several threads in some versions of Python.
"""

from __future__ import annotations

import re
import struct
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

_MAGIC = b"\x93NUMPY"
_LONGEST, _MOST_AXES = 1 << 16, 8
_KEY = r"\s*(['\"]){}\1\s*:\s*"
_VALUES = {
    "descr": re.compile(_KEY.format("descr") + r"(['\"])([^'\"]{1,40})\2\s*"),
    "fortran_order": re.compile(_KEY.format("fortran_order") + r"(True|False)\s*"),
    "shape": re.compile(_KEY.format("shape") + r"\(([\d\sL,]*)\)\s*"),
}
_BLOCK = 1 << 20


class NpyHeader(NamedTuple):
    """What an .npy header declares, and its own bytes."""

    shape: tuple[int, ...]
    is_fortran: bool
    dtype: np.dtype[np.generic]
    length: int


def read_npy_header(file: IO[bytes]) -> NpyHeader:
    """The header at the position of a file, which is at the values afterwards.

    Raises:
        ValueError: Another format or version, or a header that numpy does not write for plain arrays.
    """
    start = file.read(8)
    if start[:6] != _MAGIC or len(start) < 8:
        raise ValueError("it does not start as an .npy file")
    if start[6:] not in (b"\1\0", b"\2\0"):
        raise ValueError(f"version {start[6]}.{start[7]} of the .npy format")
    form = "<H" if start[6] == 1 else "<I"
    size = struct.calcsize(form)
    field = file.read(size)
    length = struct.unpack(form, field)[0] if len(field) == size else _LONGEST + 1
    if length > _LONGEST:
        raise ValueError("a header that is too long")
    header = file.read(length)
    if len(header) < length:
        raise ValueError("it ends inside its header")
    found = _fields(header.decode("latin-1"))
    shape = tuple(int(axis.strip().rstrip("L")) for axis in found["shape"].split(",") if axis.strip())
    if len(shape) > _MOST_AXES:
        raise ValueError(f"an array of {len(shape)} axes")
    dtype = np.dtype(found["descr"])
    return NpyHeader(shape, found["fortran_order"] == "True", dtype, 8 + size + length)


def read_npy_values(file: IO[bytes], header: NpyHeader) -> NDArray[np.generic]:
    """The values after a header, in C order.

    Raises:
        ValueError: The file ends before they do.
    """
    values = np.empty(header.shape[::-1] if header.is_fortran else header.shape, header.dtype)
    view = values.reshape(-1).view(np.uint8).data
    at = 0
    while at < len(view):
        block = file.read(min(_BLOCK, len(view) - at))
        if not block:
            raise ValueError("it ends inside its values")
        view[at : at + len(block)] = block
        at += len(block)
    if header.dtype == np.bool_:  # a byte of a file may be neither 0 nor 1
        view[:] = np.minimum(view, 1).data
    return np.ascontiguousarray(values.T) if header.is_fortran else values


def _fields(text: str) -> dict[str, str]:
    """The texts of the three entries of a header, in any order."""
    inner = re.fullmatch(r"\s*\{(.*)\}\s*", text, re.DOTALL)
    rest, found = inner[1] if inner else "", {}
    while rest.strip():
        for key, pattern in _VALUES.items():
            match = pattern.match(rest)
            if match and key not in found:
                found[key] = match[match.lastindex or 0]
                break
        else:
            break
        rest = rest[match.end() :]
        if rest[:1] != ",":
            break
        rest = rest[1:]
    if rest.strip() or found.keys() != _VALUES.keys():
        raise ValueError("a header of no plain array of numbers")
    return found

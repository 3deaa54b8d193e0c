"""The demonstration's files: pictures carry its mark, so that no file of another program is replaced."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.errors import CSLError, FileError
from csl_plugin.io import atomic_path, read_scores, write_png

_ROUNDING = 1e-3  # that threads and processors may change in a score
_AFTER_HEADER = 33  # bytes of a PNG: signature, and the chunk IHDR
_TEXT = b"tEXtSoftware\0csl-plugin demo"
_MARK = struct.pack(">I", len(_TEXT) - 4) + _TEXT + struct.pack(">I", zlib.crc32(_TEXT))


def check_replaceable(path: Path, source: Path | None) -> None:
    """Refuse to replace a file that `write_signed` did not write, or the photograph itself.

    Raises:
        FileError: Such a file is at the path.
    """
    hint = "Name another folder."
    if not os.path.lexists(path):
        return
    if source is not None and path.exists() and path.samefile(source):
        raise FileError(str(path), "the photograph itself", "another file", hint)
    try:
        with path.open("rb") as file:
            ours = file.read(_AFTER_HEADER + len(_MARK)).endswith(_MARK)
    except OSError:
        ours = False
    if not ours:
        got = "a file that this command did not write"
        raise FileError(str(path), got, "nothing there, or its own picture", hint)


def check_same(path: Path, score: NDArray[Any]) -> None:
    """Refuse to replace a score map, which has no room for a mark, unless it is the same one.

    Raises:
        FileError: Something else is at the path.
    """
    if not os.path.lexists(path):
        return
    try:
        found = read_scores(path)
        same = found.shape == score.shape and np.allclose(found, score, atol=_ROUNDING)
    except CSLError:
        same = False
    if not same:
        got = "a file that is not this score"
        hint = "Name another folder, or remove it if an earlier version wrote it."
        raise FileError(str(path), got, "nothing there, or the same score", hint)


def write_signed(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write the picture as PNG with a mark, atomically.

    Raises:
        FileError: The path cannot be written.
    """
    with atomic_path(path) as temporary:
        write_png(temporary, picture)
        plain = temporary.read_bytes()
        temporary.write_bytes(plain[:_AFTER_HEADER] + _MARK + plain[_AFTER_HEADER:])

"""The demonstration's picture on disk: marked as this command's, so that only such a one is replaced."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

from csl_plugin.errors import FileError
from csl_plugin.io import atomic_path, write_png
from csl_plugin.viz.colors import Picture

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


def write_signed(path: Path, picture: Picture) -> None:
    """Write the picture as PNG with a mark, atomically.

    Raises:
        FileError: The path cannot be written.
    """
    with atomic_path(path) as temporary:
        write_png(temporary, picture)
        plain = temporary.read_bytes()
        temporary.write_bytes(plain[:_AFTER_HEADER] + _MARK + plain[_AFTER_HEADER:])

"""The demonstration's files: pictures carry its mark, so that no file of another program is replaced."""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.errors import CSLError, FileError
from csl_plugin.io import atomic_path, read_scores, write_png

_AFTER_HEADER = 33  # bytes of a PNG: signature, and the chunk IHDR


def _text_chunk(keyword: str, text: str) -> bytes:
    chunk = b"tEXt" + keyword.encode() + b"\0" + text.encode()
    return struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))


_MARK = _text_chunk("Software", "csl-plugin demo")


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


def check_score_replaceable(path: Path, picture: Path, score: NDArray[Any]) -> None:
    """Refuse to replace a score map that the picture beside it does not name, unless it is the same score.

    Raises:
        FileError: Something else is at the path.
    """
    if not os.path.lexists(path):
        return
    try:
        named = picture.read_bytes()[_AFTER_HEADER + len(_MARK) :].startswith(_named(path))
    except OSError:
        named = False
    try:
        same = named or np.array_equal(read_scores(path), score)
    except CSLError:
        same = False
    if not same:
        got = "a file that this command did not write"
        raise FileError(str(path), got, "nothing there, or its own score", "Name another folder.")


def _named(score: Path) -> bytes:
    return _text_chunk("Comment", f"score of SHA-256 {hashlib.sha256(score.read_bytes()).hexdigest()}")


def write_signed(path: Path, picture: NDArray[np.uint8], score: Path | None = None) -> None:
    """Write the picture as PNG with a mark, which names the score map beside it if there is one, atomically.

    Raises:
        FileError: The path cannot be written.
    """
    mark = _MARK + (b"" if score is None else _named(score))
    with atomic_path(path) as temporary:
        write_png(temporary, picture)
        plain = temporary.read_bytes()
        temporary.write_bytes(plain[:_AFTER_HEADER] + mark + plain[_AFTER_HEADER:])

"""Limits on file contents: every size is checked before memory is allocated for it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from csl_plugin.errors import CSLError, FileError, reason_of
from csl_plugin.io.lfs_pointers import refuse_pointer
from csl_plugin.places import Place

MAX_PIXELS = 100_000_000
"""Maximum pixels (H x W) of an image, a score map or a region map."""

MAX_BYTES = 4 * 1024**3
"""Maximum bytes of one array in memory, and of one file that is read completely."""

MAX_UNPACKED = 2 * 1024**3
"""Maximum bytes in memory of an array that is stored compressed."""

DEFLATE = 1032
"""Bytes that a byte of deflate stands for, at most."""

_OVERHEAD = 1024
_FREE, _PLAUSIBLE = 256 << 20, 512
_HELD = 4  # bytes of an element in use: smaller ones are widened


def check_file(path: Path, most: int = MAX_BYTES) -> int:
    """The size of a regular file in bytes.

    Args:
        path: The file.
        most: The largest size that is accepted.

    Raises:
        FileError: It does not exist, is not a regular file, is larger than `most`, or is a pointer of
            Git LFS.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        got, hint = getattr(error, "strerror", None) or str(error), "Check the name and the permissions."
        raise FileError(str(path), got, "a readable file", hint) from error
    if not S_ISREG(status.st_mode):
        kind = "a folder" if S_ISDIR(status.st_mode) else "something that is no regular file"
        raise FileError(str(path), kind, "a file", "Pass the path of a file.")
    if status.st_size > most:
        hint = "Cut it into parts, or scale it down."
        raise FileError(str(path), f"{status.st_size} bytes", f"at most {most} bytes", hint)
    refuse_pointer(path, status.st_size)
    return status.st_size


def check_extent(path: Place, shape: Sequence[int], itemsize: int) -> None:
    """Refuse a shape that is empty or beyond the limits; the last two axes are (H, W).

    Elements of fewer than 4 bytes count as 4, which they take as float32 or int32.

    Raises:
        FileError: The shape has an empty axis, more than `MAX_PIXELS` or more than `MAX_BYTES`.
    """
    if any(not isinstance(axis, int) or axis < 1 for axis in shape):
        got = f"a declared shape of {tuple(shape)}"
        raise FileError(str(path), got, "every axis at least 1", "Write the file again.")
    if math.prod(shape[-2:]) > MAX_PIXELS or math.prod(shape) * max(itemsize, _HELD) > MAX_BYTES:
        raise too_large(path, f"a declared shape of {tuple(shape)}")


def too_large(path: Place, got: str) -> FileError:
    """The error of a file beyond the limits."""
    expected = f"at most {MAX_PIXELS} pixels and {MAX_BYTES} bytes"
    return FileError(
        str(path),
        got,
        expected,
        "Cut it into tiles, or scale it down; csl-plugin fuse --tile reads larger ones.",
    )


def check_expansion(path: Place, unpacked: int, packed: int, held: int) -> None:
    """Refuse compressed values that no compressor of the format makes of so few bytes, or too many of them.

    Scores and region ids of real images take a byte for at most some hundred in memory; the first 256 MiB are
    free, for maps of one value.

    Args:
        path: The file.
        unpacked: Bytes that are declared.
        packed: Bytes that are stored.
        held: Bytes of the values in memory.

    Raises:
        FileError: See above.
    """
    most = min(MAX_UNPACKED, _FREE + _PLAUSIBLE * packed)
    if held > most or unpacked > DEFLATE * packed + _OVERHEAD:
        got = f"{packed} compressed bytes that declare {unpacked}, {held} in memory"
        expected = f"at most {DEFLATE} times as many, and {most} in memory"
        raise FileError(str(path), got, expected, "Save the values again, uncompressed where they are many.")


_WRITE_AGAIN = "The file is damaged, truncated or of another format: write it again."


@contextmanager
def as_file_error(path: Place, expected: str, hint: str = _WRITE_AGAIN) -> Iterator[None]:
    """Convert any exception of a decoder into a FileError that names the file.

    Args:
        path: The file.
        expected: What it should be.
        hint: How to mend it, a sentence.
    """
    try:
        yield
    except (CSLError, MemoryError):
        raise
    except Exception as error:  # decoders raise many types on damaged bytes
        reason = reason_of(error)
        raise FileError(str(path), f"a file that cannot be read ({reason})", expected, hint) from error

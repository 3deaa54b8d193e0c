"""Label PNGs: the stored samples of any kind of PNG."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin._opencv import opencv
from csl_plugin.errors import FileError
from csl_plugin.io.limits import as_file_error, check_extent, check_file

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GRAY, _RGB, _PALETTE, _GRAY_ALPHA, _RGBA = 0, 2, 3, 4, 6


def read_label_png(path: str | os.PathLike[str]) -> NDArray[Any]:
    """The labels of a PNG: gray samples, palette indices, or the first channel (red) of colors.

    Palettes, gamma, color profiles and transparency are not applied: a label is the stored number.

    Args:
        path: A PNG file of any kind, 1 to 16 bits a sample, of at most 100 million pixels.

    Returns:
        (H, W) uint8, or uint16 for 16-bit files.

    Raises:
        FileError: Missing, not a PNG, too large, damaged or truncated.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from csl_plugin.io import write_png
        >>> with TemporaryDirectory() as folder:
        ...     write_png(f"{folder}/a.png", np.array([[0, 7, 255]], np.uint8))
        ...     read_label_png(f"{folder}/a.png")
        array([[  0,   7, 255]], dtype=uint8)
    """
    cv2 = opencv()
    path = Path(path)
    check_file(path)
    with as_file_error(path, "a readable file"):
        data = path.read_bytes()
    plain, bits = _plain(path, data)
    with as_file_error(path, "a PNG file"):
        pixels = cv2.imdecode(np.frombuffer(plain, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise _damaged(path, "pixels that cannot be decoded")
    if pixels.ndim == 3:  # blue first
        pixels = np.ascontiguousarray(pixels[:, :, 0 if pixels.shape[2] < 3 else 2])
    if bits < 8:  # decoders scale short samples to 8 bits exactly
        pixels = pixels // np.uint8(255 // ((1 << bits) - 1))
    return np.asarray(pixels)


def png_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """(H, W) of a PNG; only the header is read.

    Raises:
        FileError: Missing, not a PNG, or too large.
    """
    path = Path(path)
    check_file(path)
    with as_file_error(path, "a readable file"), path.open("rb") as file:
        head = file.read(33)
    return _read_header(path, head)[:2]


def _plain(path: Path, data: bytes) -> tuple[bytes, int]:
    """The PNG without the chunks that change samples, and the bits of a sample.

    A palette PNG differs from a gray PNG of the same depth only in header and palette. It is rewritten as
    gray, so that the decoder returns the indices.
    """
    height, width, bits, color = _read_header(path, data)
    if color == _PALETTE:
        color = _GRAY
    chunks = [_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, data[28]))]
    at = 33
    while True:
        if at + 12 > len(data):
            raise _damaged(path, "a file that ends before its IEND chunk")
        (length,), kind = struct.unpack_from(">I", data, at), data[at + 4 : at + 8]
        end = at + 12 + length
        if end > len(data):
            raise _damaged(path, f"a file that ends inside a chunk {kind!r}")
        if kind == b"IEND":
            break
        if kind == b"IDAT":
            if zlib.crc32(data[at + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
                raise _damaged(path, "pixels whose checksum is wrong")
            chunks.append(data[at:end])
        at = end
    return b"".join([_SIGNATURE, *chunks, _chunk(b"IEND", b"")]), bits


def _read_header(path: Path, data: bytes) -> tuple[int, int, int, int]:
    if len(data) < 33 or data[:8] != _SIGNATURE or data[8:16] != b"\0\0\0\rIHDR":
        hint = "Labels are read from PNG only, because lossy formats change them: convert the file."
        raise FileError(str(path), f"{len(data)} bytes with no PNG header", "a PNG file", hint)
    width, height, bits, color = struct.unpack_from(">IIBB", data, 16)
    if zlib.crc32(data[12:29]) != struct.unpack_from(">I", data, 29)[0]:
        raise _damaged(path, "a header whose checksum is wrong")
    if color not in (_GRAY, _RGB, _PALETTE, _GRAY_ALPHA, _RGBA) or bits not in (1, 2, 4, 8, 16):
        raise _damaged(path, f"an unknown kind of PNG ({bits} bits, color type {color})")
    check_extent(path, (height, width), itemsize=8)
    return height, width, bits, color


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _damaged(path: Path, got: str) -> FileError:
    hint = "The file is damaged, truncated or of a rare kind: write it again."
    return FileError(str(path), got, "a complete PNG file", hint)

"""PNG: a walk over the chunks, so that a decoder meets complete ones alone."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from csl_plugin.io.formats.exif import exif_orientation
from csl_plugin.io.formats.layout import Damaged, Layout

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GRAY, RGB, PALETTE, GRAY_ALPHA, RGBA = 0, 2, 3, 4, 6

_CHANNELS = {GRAY: 1, RGB: 3, PALETTE: 1, GRAY_ALPHA: 2, RGBA: 4}
_BITS = {GRAY: (1, 2, 4, 8, 16), PALETTE: (1, 2, 4, 8)}
_DEFLATE = 1032  # bytes that a byte of deflate can stand for, at most
_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_SHORT, _LONGEST = (b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"tIME", b"sBIT", b"bKGD"), 64
_PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


class Header(NamedTuple):
    """The IHDR chunk."""

    height: int
    width: int
    bits: int
    color: int
    interlaced: int

    @property
    def raw_bytes(self) -> int:
        """Bytes of the samples and filter types before compression."""
        depth = self.bits * _CHANNELS[self.color]
        total = 0
        for top, left, down, across in _PASSES if self.interlaced else ((0, 0, 1, 1),):
            rows, columns = -(-(self.height - top) // down), -(-(self.width - left) // across)
            if rows > 0 and columns > 0:
                total += rows * (1 + -(-columns * depth // 8))
        return total


def read_header(data: bytes) -> Header:
    """The header of a PNG file, from its first 33 bytes.

    Raises:
        Damaged: It is no PNG file, or its header is damaged.
    """
    if len(data) < 33 or data[:8] != SIGNATURE or data[8:16] != b"\0\0\0\rIHDR":
        raise Damaged(f"{len(data)} bytes with no PNG header")
    width, height, bits, color, compression, filtering, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    if zlib.crc32(data[12:29]) != struct.unpack_from(">I", data, 29)[0]:
        raise Damaged("a header whose checksum is wrong")
    if color not in _CHANNELS or bits not in _BITS.get(color, (8, 16)):
        raise Damaged(f"an unknown kind of PNG ({bits} bits, color type {color})")
    if compression or filtering or interlaced > 1:
        raise Damaged("a PNG with unknown compression")
    return Header(height, width, bits, color, interlaced)


def walk_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of every chunk from the header to IEND, lengths and checksums included.

    Raises:
        Damaged: A chunk reaches beyond the file, or IEND is missing.
    """
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        (length,), kind = struct.unpack_from(">I", data, at), data[at + 4 : at + 8]
        end = at + 12 + length
        if end > len(data):
            raise Damaged(f"a file that ends inside a chunk {kind!r}")
        yield kind, at, end
        if kind == b"IEND":
            return
        at = end
    raise Damaged("a file that ends before its IEND chunk")


def has_checksum(data: bytes, start: int, end: int) -> bool:
    """Whether the checksum of a chunk is right."""
    stored: int = struct.unpack_from(">I", data, end - 4)[0]
    return zlib.crc32(memoryview(data)[start + 4 : end - 4]) == stored


def make_chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk with its length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def read_png(data: bytes) -> tuple[Layout, Header, bytes]:
    """The layout and the header of a PNG file, and its bytes without the chunks that are no pixels.

    The decoder gets header, palette, transparency and pixels alone: no profile, text or animation can make it
    allocate anything.

    Raises:
        Damaged: The file is cut or damaged.
    """
    header = read_header(data)
    plain: list[bytes | memoryview] = [SIGNATURE]
    view, stored, dropped, orientation = memoryview(data), 0, 0, None
    for kind, start, end in walk_chunks(data):
        if kind in _PIXELS:
            plain.append(view[start:end])
        elif kind not in _SHORT or end - start > _LONGEST:
            dropped += 1
        if kind == b"IHDR" and start != len(SIGNATURE):
            raise Damaged("a file with two headers")
        if kind == b"IDAT":
            stored += end - start - 12
        if kind == b"eXIf" and orientation is None and has_checksum(data, start, end):
            orientation = exif_orientation(data[start + 8 : end - 4])
    size = header.height, header.width
    layout = Layout("PNG", size, header.raw_bytes, _DEFLATE * stored, orientation or 1)
    return layout, header, b"".join(plain) if dropped else data

"""The declared size of an image, parsed from the file header before anything is decoded."""

from __future__ import annotations

import re
import struct

_PNM = re.compile(rb"P[1-6](?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,9})\s")
_TIFF_WIDTHS, _TIFF_HEIGHTS = (256, 322), (257, 323)  # the image's, and one tile's


def declared_size(data: bytes) -> tuple[int, int] | None:
    """(H, W) as declared in the header, or None when the format or the header is not supported.

    Supported are PNG, JPEG, BMP, WebP, TIFF (not BigTIFF; the first page) and PNM. For a tiled TIFF it is
    the larger of image and tile, because a decoder allocates both. A JPEG without end marker gives None,
    because libjpeg fills the missing part with gray and reports no error.

    Args:
        data: The whole file.

    Example:
        >>> declared_size(b"P5 7 5 255 ...")
        (5, 7)
    """
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR":
            width, height = struct.unpack_from(">II", data, 16)
        elif data.startswith(b"\xff\xd8"):
            return _jpeg(data)
        elif data.startswith(b"BM"):
            core = struct.unpack_from("<I", data, 14)[0] == 12
            width, height = map(abs, struct.unpack_from("<HH" if core else "<ii", data, 18))
        elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return _webp(data)
        elif data.startswith((b"II*\0", b"MM\0*")):
            return _tiff(data, "<" if data.startswith(b"II") else ">")
        elif match := _PNM.match(data[:65536]):
            width, height = (int(group) for group in match.groups())
        else:
            return None
    except (struct.error, IndexError):
        return None
    return height, width


def png_kind(data: bytes) -> tuple[int, int] | None:
    """(bits per sample, color type) of a PNG, or None for another format; color type 0 is gray."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n") or len(data) < 26:
        return None
    return data[24], data[25]


def _jpeg(data: bytes) -> tuple[int, int] | None:
    size = None
    at = 2
    while (at := data.find(b"\xff", at)) >= 0:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD7:
            at += 2
        elif marker == 0xDA:
            return size if data.find(b"\xff\xd9", at) >= 0 else None
        elif marker in (0xD8, 0xD9):
            return None
        else:
            if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and size is None:
                height, width = struct.unpack_from(">HH", data, at + 5)
                size = height, width
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None


def _webp(data: bytes) -> tuple[int, int] | None:
    chunk = data[12:16]
    if chunk == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
        return height, width
    if chunk == b"VP8L" and data[20] == 0x2F:
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if chunk == b"VP8X" and len(data) >= 30:
        return int.from_bytes(data[27:30], "little") + 1, int.from_bytes(data[24:27], "little") + 1
    return None


def _tiff(data: bytes, order: str) -> tuple[int, int] | None:
    widths, heights = [0], [0]
    start = struct.unpack_from(order + "I", data, 4)[0]
    for index in range(struct.unpack_from(order + "H", data, start)[0]):
        entry = start + 2 + 12 * index
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if tag in _TIFF_WIDTHS or tag in _TIFF_HEIGHTS:
            value = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, entry + 8)[0]
            (widths if tag in _TIFF_WIDTHS else heights).append(value)
    return max(heights), max(widths)

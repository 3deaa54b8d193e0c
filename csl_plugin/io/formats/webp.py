"""WebP: the chunks of its RIFF container."""

from __future__ import annotations

import struct

from csl_plugin.io.formats.exif import exif_orientation
from csl_plugin.io.formats.layout import Damaged, Layout, layout_by_size


def read_webp(data: bytes) -> Layout:
    """The layout of a WebP file.

    Raises:
        Damaged: It is cut or damaged.
    """
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise Damaged(f"{len(data)} bytes of the {end} that the file declares")
    canvas = frame = orientation = None
    at = 12
    while at + 8 <= end:
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        body = at + 8
        if body + length > end:
            raise Damaged(f"a file that ends inside a chunk {kind!r}")
        if kind == b"VP8X" and length >= 10:
            width, height = (int.from_bytes(data[body + n : body + n + 3], "little") + 1 for n in (4, 7))
            canvas = height, width
        elif kind == b"ANMF" and length >= 24 and frame is None:
            frame = _frame(data, body + 16)
        elif kind in (b"VP8 ", b"VP8L") and frame is None:
            frame = _frame(data, at)
        elif kind == b"EXIF" and orientation is None:
            orientation = exif_orientation(data[body : body + length])
        at = body + length + length % 2
    if frame is None:
        raise Damaged("a WebP file without pixels")
    size = frame if canvas is None else (max(canvas[0], frame[0]), max(canvas[1], frame[1]))
    return layout_by_size("WebP", size, len(data), orientation or 1)


def _frame(data: bytes, at: int) -> tuple[int, int] | None:
    kind, body = data[at : at + 4], at + 8
    if kind == b"VP8 " and data[body + 3 : body + 6] == b"\x9d\x01\x2a":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, body + 6))
        return height, width
    if kind == b"VP8L" and data[body] == 0x2F:
        bits = struct.unpack_from("<I", data, body + 1)[0]
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b"ALPH":
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        following = body + length + length % 2
        return _frame(data, following) if data[following : following + 4] == b"VP8 " else None
    return None

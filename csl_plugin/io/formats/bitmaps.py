"""BMP and PNM: formats whose pixels are stored as they are."""

from __future__ import annotations

import re
import struct

from csl_plugin.io.formats.layout import Layout, layout_by_size

_PNM = re.compile(rb"P([1-6])(?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)")
_DEPTH = re.compile(rb"(?:\s|#[^\n]*\n)*(\d{1,5})\s")
_ENCODED = (1, 2)  # run lengths


def read_bmp(data: bytes) -> Layout:
    """The layout of a BMP file."""
    start, header = struct.unpack_from("<II", data, 10)
    core = header == 12
    width, height = map(abs, struct.unpack_from("<HH" if core else "<ii", data, 18))
    bits = struct.unpack_from("<H", data, 24 if core else 28)[0]
    encoded = not core and struct.unpack_from("<I", data, 30)[0] in _ENCODED
    if encoded:
        return layout_by_size("BMP", (height, width), len(data))
    return Layout("BMP", (height, width), (width * bits + 31) // 32 * 4 * height, len(data) - start)


def read_pnm(data: bytes) -> Layout | None:
    """The layout of a PNM file, or None where the header is of another format."""
    match = _PNM.match(data[:65536])
    if match is None:
        return None
    kind, width, height = (int(group) for group in match.groups())
    rest = len(data) - match.end()
    if kind in (1, 4):
        needed = height * (width if kind == 1 else -(-width // 8))
    else:
        depth = _DEPTH.match(data[match.end() - 1 : match.end() + 65536])
        if depth is None:
            return None
        needed = height * width * (3 if kind in (3, 6) else 1)
        needed *= 2 if kind < 4 or int(depth[1]) > 255 else 1
        rest -= depth.end() - 1
        needed -= kind < 4  # no space has to follow the last number
    return Layout("PNM", (height, width), needed, rest)

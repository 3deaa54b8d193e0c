"""The format of an image file, by its first bytes."""

from __future__ import annotations

import struct

from csl_plugin.io.formats.bitmaps import read_bmp, read_pnm
from csl_plugin.io.formats.jpeg import read_jpeg
from csl_plugin.io.formats.layout import Damaged, Layout
from csl_plugin.io.formats.png import SIGNATURE, read_png
from csl_plugin.io.formats.tiff import read_tiff
from csl_plugin.io.formats.webp import read_webp

_OTHERS = {
    b"GIF8": "a GIF file",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 file",
    b"\xff\x4f\xff\x51": "a JPEG 2000 file",
    b"II+\0": "a BigTIFF file",
    b"MM\0+": "a BigTIFF file",
    b"\x76\x2f\x31\x01": "an OpenEXR file",
    b"version https://git-lfs": "a pointer of Git LFS instead of the file",
    b"%PDF": "a PDF file",
    b"\x93NUMPY": "an .npy file",
    b"PK\x03\x04": "a zip file",
    b"<": "text that starts with '<', such as a web page",
}


def read_layout(data: bytes) -> tuple[Layout, bytes] | None:
    """What a file declares, and the bytes to decode; None where the format is not supported.

    Supported are PNG, JPEG, BMP, WebP, TIFF (not BigTIFF; the first page) and PNM.

    Raises:
        Damaged: The file is cut or damaged.

    Example:
        >>> layout, _ = read_layout(b"P5 7 5 255 " + bytes(35))
        >>> layout.kind, layout.size
        ('PNM', (5, 7))
    """
    try:
        if data.startswith(SIGNATURE):
            layout, _, plain = read_png(data)
            return layout, plain
        read = next((read for start, read in _READERS if data.startswith(start)), read_pnm)
        if read is read_webp and data[8:12] != b"WEBP":
            return None
        found = read(data)
    except (struct.error, IndexError):
        raise Damaged(f"{len(data)} bytes that end inside the header") from None
    return None if found is None else (found, data)


def other_kind(data: bytes) -> str:
    """What a file is that cannot be read, in words."""
    if data[4:8] == b"ftyp":
        return "an AVIF or HEIC file, or a film"
    return next((kind for start, kind in _OTHERS.items() if data.startswith(start)), "")


_READERS = (
    (b"\xff\xd8", read_jpeg),
    (b"BM", read_bmp),
    (b"RIFF", read_webp),
    (b"II*\0", read_tiff),
    (b"MM\0*", read_tiff),
)

"""Label PNGs: the stored samples of any kind of PNG."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin._opencv import opencv
from csl_plugin.errors import FileError
from csl_plugin.io.formats import Damaged, Layout
from csl_plugin.io.formats.png import (
    GRAY,
    PALETTE,
    SIGNATURE,
    has_checksum,
    make_chunk,
    read_header,
    read_png,
    walk_chunks,
)
from csl_plugin.io.image_bytes import LARGEST_IMAGE, check_layout, decode
from csl_plugin.io.limits import as_file_error, check_extent
from csl_plugin.io.opening import opened, read_bytes
from csl_plugin.places import AnyPath, Place, place_of


def read_label_png(path: AnyPath) -> NDArray[Any]:
    """The labels of a PNG: gray samples, palette indices, or the first channel (red) of colors.

    Palettes, gamma, color profiles, transparency and EXIF orientation are not applied: labels are the stored
    array, as `cv2.imread(path, cv2.IMREAD_UNCHANGED)` gives it.

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
    path = place_of(path)
    with as_file_error(path, "a readable file"):
        data = read_bytes(path, LARGEST_IMAGE)
    layout, plain, bits = _plain(path, data)
    pixels = decode(path, layout, plain, cv2.IMREAD_UNCHANGED)
    if pixels.ndim == 3:  # blue first
        pixels = np.ascontiguousarray(pixels[:, :, 0 if pixels.shape[2] < 3 else 2])
    if bits < 8:  # decoders scale short samples to 8 bits exactly
        pixels = pixels // np.uint8(255 // ((1 << bits) - 1))
    return np.asarray(pixels)


def png_size(path: AnyPath) -> tuple[int, int]:
    """(H, W) of a PNG; only the header is read.

    Raises:
        FileError: Missing, not a PNG, or too large.
    """
    path = place_of(path)
    with as_file_error(path, "a readable file"), opened(path) as (file, _):
        head = file.read(33)
    try:
        header = read_header(head)
    except Damaged as error:
        raise _damaged(path, error) from None
    check_extent(path, (header.height, header.width), itemsize=1)
    return header.height, header.width


def _plain(path: Place, data: bytes) -> tuple[Layout, bytes, int]:
    """The layout, the PNG without the chunks that change samples, and the bits of a sample.

    A palette PNG differs from a gray PNG of the same depth only in header and palette. It is rewritten as
    gray, so that the decoder returns the indices.
    """
    try:
        layout, header, _ = read_png(data)
        check_layout(path, layout)
        color = GRAY if header.color == PALETTE else header.color
        body = struct.pack(
            ">IIBBBBB", header.width, header.height, header.bits, color, 0, 0, header.interlaced
        )
        parts = [SIGNATURE, make_chunk(b"IHDR", body)]
        for kind, start, end in walk_chunks(data):
            if kind == b"IDAT":
                if not has_checksum(data, start, end):
                    raise Damaged("pixels whose checksum is wrong")
                parts.append(data[start:end])
    except Damaged as error:
        raise _damaged(path, error) from None
    return layout, b"".join([*parts, make_chunk(b"IEND", b"")]), header.bits


def _damaged(path: Place, error: Damaged) -> FileError:
    hint = (
        "The file is damaged, truncated or of a rare kind: write it again as PNG, which keeps labels exact."
    )
    return FileError(str(path), str(error), "a complete PNG file", hint)

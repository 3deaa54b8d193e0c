"""The bytes of an image file, checked before anything is decoded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin._opencv import opencv
from csl_plugin.errors import FileError
from csl_plugin.io.formats import Damaged, Layout, other_kind, read_layout
from csl_plugin.io.limits import as_file_error, check_extent
from csl_plugin.io.opening import read_bytes
from csl_plugin.places import Place

_SUPPORTED = "a complete PNG, JPEG, BMP, WebP, TIFF or PNM file"
LARGEST_IMAGE = 1 << 30
"""Maximum bytes of an image file: 100 million pixels of 16-bit RGBA, uncompressed, are less."""


def read_image_bytes(path: Place) -> tuple[Layout, bytes]:
    """What an image file declares, and the bytes to decode.

    Raises:
        FileError: Missing, not a file, of another format, too large, cut or damaged, or it declares more
            pixels than its bytes can hold.
    """
    with as_file_error(path, "a readable file"):
        data = read_bytes(path, LARGEST_IMAGE)
    try:
        found = read_layout(data)
    except Damaged as error:
        raise damaged(path, error) from None
    if found is None:
        got = other_kind(data) or f"{len(data)} bytes with no such header"
        hint = "The file is truncated or of another format: convert it to PNG."
        raise FileError(str(path), got, _SUPPORTED, hint)
    check_layout(path, found[0])
    return found


def check_layout(path: Place, layout: Layout) -> None:
    """Refuse a size beyond the limits, or beyond what the file's own bytes can hold.

    Raises:
        FileError: See above.
    """
    check_extent(path, layout.size, itemsize=1)
    if layout.needed > layout.available:
        raise damaged(path, Damaged(f"too few bytes for a declared size of {layout.size}"))


def decode(path: Place, layout: Layout, data: bytes, flags: int) -> NDArray[Any]:
    """The pixels of a file as stored, checked to be all there.

    Args:
        path: For the error.
        layout: As read from the file.
        data: The bytes to decode.
        flags: Of cv2.imdecode.

    Raises:
        FileError: They cannot be decoded, or some are missing.
    """
    cv2 = opencv()
    with as_file_error(path, "an image"):
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        hint = "The file is damaged, truncated or of a rare kind: save it as 8-bit PNG with another program."
        raise FileError(str(path), "a file that cannot be decoded", "an image", hint)
    try:
        if layout.kind != "TIFF" and pixels.shape[:2] != layout.size:  # decoders turn a TIFF themselves
            raise Damaged(f"{pixels.shape[:2]} pixels for a declared size of {layout.size}")
        layout.check_pixels(pixels)
    except Damaged as error:
        raise damaged(path, error) from None
    return np.asarray(pixels)


def damaged(path: Place, error: Damaged) -> FileError:
    """The error of a file that is cut or damaged."""
    hint = "The file is truncated or damaged: copy or download it again, or save it again as PNG."
    return FileError(str(path), str(error), _SUPPORTED, hint)

"""The orientation that a camera writes into a picture, read as OpenCV's `imread` reads it."""

from __future__ import annotations

import struct

_ORIENTATION = 0x112


def exif_orientation(block: bytes) -> int | None:
    r"""The first orientation entry of an EXIF block (a TIFF file of entries), or None if it has none.

    Args:
        block: From its byte order mark on.

    Returns:
        1 to 8; any other stored value counts as 1.

    Example:
        >>> exif_orientation(b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0")
        6
    """
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    try:
        if order is None or struct.unpack_from(order + "H", block, 2)[0] != 42:
            return None
        start = struct.unpack_from(order + "I", block, 4)[0]
        for index in range(struct.unpack_from(order + "H", block, start)[0]):
            entry = start + 2 + 12 * index
            if struct.unpack_from(order + "H", block, entry)[0] == _ORIENTATION:
                value = struct.unpack_from(order + "H", block, entry + 8)[0]
                return value if 1 <= value <= 8 else 1
    except struct.error:
        return None
    return None

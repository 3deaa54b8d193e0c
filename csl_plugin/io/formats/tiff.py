"""TIFF: the first page of a classic file."""

from __future__ import annotations

import struct

from csl_plugin.io.formats.layout import Damaged, Layout, layout_by_size

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SAMPLES, _ROWS, _PLANES = 256, 257, 258, 259, 277, 278, 284
_STRIPS, _TILE_WIDTH, _TILE_HEIGHT, _TILES = (273, 279), 322, 323, (324, 325)
_FORMATS = {1: "B", 3: "H", 4: "I"}
_MOST_PARTS = 1_000_000
_UNCOMPRESSED, _PHOTOMETRIC, _YCBCR = 1, 262, 6


def read_tiff(data: bytes) -> Layout:
    """The layout of a TIFF file's first page.

    For tiles the size is the larger of image and tile, because a decoder allocates both. The orientation is
    not read: decoders apply it themselves.

    Raises:
        Damaged: Strips or tiles are missing, or reach beyond the file.
    """
    order = "<" if data.startswith(b"II") else ">"
    entries = _entries(data, order)

    def first(tag: int, default: int) -> int:
        values = entries.get(tag)
        return values[0] if values else default

    height, width = first(_HEIGHT, 0), first(_WIDTH, 0)
    offsets, lengths = (entries.get(tag) for tag in (_TILES if _TILES[0] in entries else _STRIPS))
    if not offsets or not lengths or not height or not width:
        raise Damaged("a TIFF file without size or pixels")
    tile = first(_TILE_HEIGHT, min(first(_ROWS, height), height)), first(_TILE_WIDTH, width)
    if not tile[0] or not tile[1]:
        raise Damaged("a TIFF file with empty tiles")
    samples, bits = first(_SAMPLES, 1), first(_BITS, 1)
    planes = samples if first(_PLANES, 1) == 2 else 1
    parts = -(-height // tile[0]) * -(-width // tile[1]) * planes
    if len(offsets) < parts or len(lengths) < parts:
        raise Damaged(f"{min(len(offsets), len(lengths))} of {parts} strips or tiles")
    size = max(height, tile[0]), max(width, tile[1])
    if any(offset + length > len(data) for offset, length in zip(offsets, lengths, strict=False)):
        raise Damaged("strips or tiles beyond the end of the file")
    if first(_COMPRESSION, 1) == _UNCOMPRESSED and first(_PHOTOMETRIC, 0) != _YCBCR:
        row = -(-tile[1] * bits * (samples // planes) // 8)
        rows = parts * tile[0] if _TILES[0] in entries else height * planes
        return Layout("TIFF", size, row * rows, sum(lengths[:parts]))
    return layout_by_size("TIFF", size, len(data), pixel_bytes=max(3, samples * bits // 8))


def _entries(data: bytes, order: str) -> dict[int, tuple[int, ...]]:
    """The integers of the first directory by their tags."""
    found: dict[int, tuple[int, ...]] = {}
    start = struct.unpack_from(order + "I", data, 4)[0]
    for index in range(struct.unpack_from(order + "H", data, start)[0]):
        entry = start + 2 + 12 * index
        tag, kind, count = struct.unpack_from(order + "HHI", data, entry)
        if kind not in _FORMATS or tag in found:
            continue
        if count > _MOST_PARTS:
            raise Damaged(f"{count} values of one entry")
        size = struct.calcsize(order + _FORMATS[kind]) * count
        at = entry + 8 if size <= 4 else struct.unpack_from(order + "I", data, entry + 8)[0]
        found[tag] = struct.unpack_from(f"{order}{count}{_FORMATS[kind]}", data, at)
    return found

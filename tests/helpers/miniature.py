"""Files for miniature data sets: PNGs of every kind, encoded by hand, and trees of tiny files."""

import itertools
import struct
import zlib
from pathlib import Path

import numpy as np

from csl_plugin.io import write_png

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
PALETTE = bytes((37 * value + 11) % 256 for value in range(768))  # no index is its own color


def chunk(kind, body=b""):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(samples, bits=8, color=3, extra=b"", filters=range(5)):
    """A PNG of (H, W) or (H, W, channels) samples; its rows go through the five filters in turn."""
    height, width = samples.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    wide = np.asarray(samples).reshape(height, -1)
    if bits == 16:
        rows = wide.astype(">u2").view(np.uint8)
    elif bits == 8:
        rows = wide.astype(np.uint8)
    else:
        unpacked = (wide[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1
        rows = np.packbits(unpacked.reshape(height, -1).astype(np.uint8), axis=1)
    step = max(1, bits * CHANNELS[color] // 8)
    lines, above = [], np.zeros(rows.shape[1], int)
    for row, kind in zip(rows.astype(int), itertools.cycle(filters)):
        lines.append(bytes([kind]) + filtered(row, above, step, kind))
        above = row
    palette = chunk(b"PLTE", PALETTE[: 3 << min(bits, 8)]) if color == 3 else b""
    body = chunk(b"IDAT", zlib.compress(b"".join(lines)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + palette + body + chunk(b"IEND")


def filtered(row, above, step, kind):
    left = np.concatenate([np.zeros(step, int), row])[: len(row)]
    corner = np.concatenate([np.zeros(step, int), above])[: len(row)]
    guess = left + above - corner
    distance = np.abs(np.stack([guess - left, guess - above, guess - corner]))
    paeth = np.choose(distance.argmin(axis=0), [left, above, corner])
    predicted = [0, left, above, (left + above) // 2, paeth][kind]
    return (row - predicted).astype(np.uint8).tobytes()


def write(path, content):
    """Write bytes, text or an image (uint8 arrays as PNG, whatever suffix other formats need by cv2)."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, str):
        path.write_text(content)
    elif path.suffix == ".png":
        write_png(path, content)
    else:
        import cv2

        quality = (
            [cv2.IMWRITE_WEBP_QUALITY, 101] if path.suffix == ".webp" else [cv2.IMWRITE_JPEG_QUALITY, 98]
        )
        path.write_bytes(cv2.imencode(path.suffix, content[..., ::-1], quality)[1].tobytes())
    return path


def image(shade, size=(4, 6)):
    """A small RGB image of one color."""
    return np.full((*size, 3), (shade % 256, 255 - shade % 256, 40), np.uint8)

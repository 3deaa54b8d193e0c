"""Pictures of 256 colors, which take a third of the bytes."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from PIL import Image

from csl_plugin.io import atomic_path
from csl_plugin.viz.colors import Picture

_COLORS = 256


def write_palette_png(path: Path, picture: Picture) -> None:
    """Write a PNG with a palette of the picture's own, without dithering, atomically."""
    image = Image.fromarray(picture)
    reduced = image.quantize(_COLORS, Image.Quantize.MEDIANCUT, 2, dither=Image.Dither.NONE)
    stream = BytesIO()
    reduced.save(stream, "PNG", optimize=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(stream.getvalue())

"""Pictures of 256 colors, which take a third of the bytes."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from csl_plugin.io import atomic_path
from csl_plugin.viz.colors import MASK, TRUTH, Picture, heat_colors

_COLORS, _HEAT = 256, 64
_SHEET = ((255, 255, 255), (24, 24, 27), MASK, TRUTH)


def write_palette_png(path: Path, picture: Picture) -> None:
    """Write a PNG of the sheet's colors, 64 heat colors and the picture's own, undithered, atomically."""
    image = Image.fromarray(picture)
    own = image.quantize(_COLORS - _HEAT - len(_SHEET), Image.Quantize.MEDIANCUT, 2).getpalette() or []
    palette = Image.new("P", (1, 1))
    heat = heat_colors(np.linspace(0, 1, _HEAT)[None], 0, 1)
    fixed = np.concatenate([np.array(_SHEET), heat[0]])
    palette.putpalette([*own, *fixed.ravel().tolist()])
    stream = BytesIO()
    image.quantize(palette=palette, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(stream.getvalue())

"""Pictures of 256 colors, which take a third of the bytes."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.spatial import cKDTree

from csl_plugin.io import atomic_path
from csl_plugin.viz.colors import MASK, TRUTH, Picture, heat_colors

_COLORS, _HEAT = 256, 64
_SHEET = ((255, 255, 255), (24, 24, 27), MASK, TRUTH)


def write_palette_png(path: Path, picture: Picture) -> None:
    """Write a PNG of the sheet's colors, 64 heat colors and the picture's own, undithered, atomically."""
    own = Image.fromarray(picture).quantize(_COLORS - _HEAT - len(_SHEET), Image.Quantize.MEDIANCUT, 2)
    heat = heat_colors(np.linspace(0, 1, _HEAT)[None], 0, 1)[0]
    palette = np.concatenate([np.array(_SHEET), heat, np.array(own.getpalette()).reshape(-1, 3)])
    colors, place = np.unique(picture.reshape(-1, 3), axis=0, return_inverse=True)
    _, nearest = cKDTree(palette).query(colors)
    reduced = Image.fromarray(nearest[place].astype(np.uint8).reshape(picture.shape[:2]))
    reduced.putpalette(palette.ravel().tolist())
    stream = BytesIO()
    reduced.save(stream, "PNG", optimize=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(stream.getvalue())

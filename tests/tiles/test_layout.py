"""Windows cover an image with overlap, and cores cover it once."""

import numpy as np
import pytest

from csl_plugin.tiles.layout import Tiling

_CASES = [
    ((64, 64), 64, 16),
    ((65, 200), 64, 16),
    ((300, 41), 50, 4),
    ((1000, 77), 64, 32),
    ((127, 129), 64, 31),
]


@pytest.mark.parametrize(("size", "side", "overlap"), _CASES)
def test_cores_cover_every_pixel_once_within_windows_of_one_size(size, side, overlap):
    covered = np.zeros(size, int)
    shapes = set()
    for tile in Tiling(size, side, overlap).tiles():
        covered[tile.core] += 1
        shapes.add(tile.window.size)
        for core, window in zip(tile.core, tile.window, strict=True):
            assert window.start <= core.start < core.stop <= window.stop
    assert (covered == 1).all()
    assert shapes == {(min(size[0], side), min(size[1], side))}


@pytest.mark.parametrize(("size", "side", "overlap"), _CASES)
def test_a_strip_is_a_quarter_of_the_overlap_away_from_the_edges_that_cut_the_image(size, side, overlap):
    tiling = Tiling(size, side, overlap)
    windows = {tile.place: tile.window for tile in tiling.tiles()}
    seen = 0
    for place in windows:
        for seam in tiling.seams(place):
            assert place in (seam.before, seam.after)
            for each in (seam.before, seam.after):
                for strip, window, length in zip(seam.strip, windows[each], size, strict=True):
                    assert window.start == 0 or strip.start - window.start >= overlap // 4
                    assert window.stop == length or window.stop - strip.stop >= overlap // 4
            seen += 1
    rows, columns = tiling.shape
    assert seen == 2 * (rows * (columns - 1) + columns * (rows - 1))

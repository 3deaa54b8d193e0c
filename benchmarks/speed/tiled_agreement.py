"""How far fused maps in tiles are from those of the whole image, on one that fits in memory.

    python -m benchmarks.speed.tiled_agreement
    python -m benchmarks.speed.tiled_agreement --tile 1024 --overlap 128 --proposer superpixels

The image is the mosaic of `benchmarks.speed.large_image` with discs of one color pasted into it, every second
one across a seam; the score is 0.25, on the discs 0.5, with holes and noise. Rows: the score itself, the
fused map of the whole image, that of the tiles, and that of each window fused by itself, without its
neighbors. AP is of the discs' pixels; differences are from the fused map of the whole image, in the last row
from that of the windows.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.speed.large_image import draw
from csl_plugin import fuse, load_proposer
from csl_plugin.tiles import fuse_large, propose_large
from csl_plugin.tiles.layout import Tiling

_RADII = (24, 48, 96, 192)
_PLAIN, _LIT, _NOISE, _HOLES = 0.25, 0.5, 0.12, 0.4


def paste(image: NDArray[np.uint8], tile: int) -> NDArray[np.bool_]:
    """Paste discs of a photograph into an image, in place, and return where they are."""
    from skimage import data

    rng = np.random.default_rng(1)
    texture = data.rocket()
    height, width = image.shape[:2]
    where = np.zeros((height, width), bool)
    rows, columns = np.ogrid[:height, :width]
    for number in range(32):
        radius = _RADII[number % len(_RADII)]
        y, x = rng.integers(radius, [height - radius, width - radius])
        if number % 2:  # across a border of tiles
            x = min(width - radius, max(radius, tile * round(x / tile)))
        disc = (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
        color = texture[rng.integers(texture.shape[0]), rng.integers(texture.shape[1])].astype(float)
        shade = color + rng.normal(0, 12, (int(disc.sum()), 3))
        image[disc] = shade.clip(0, 255).astype(np.uint8)
        where |= disc
    return where


def score_of(where: NDArray[np.bool_]) -> NDArray[np.float32]:
    """A score that sees the pasted pixels, with holes and noise."""
    rng = np.random.default_rng(2)
    blocks = rng.random(tuple(-(-side // 16) for side in where.shape)) < _HOLES
    holes = np.kron(blocks, np.ones((16, 16), bool))[: where.shape[0], : where.shape[1]]
    mean = np.where(where & ~holes, _LIT, _PLAIN)
    return (mean + rng.normal(0, _NOISE, where.shape)).clip(0, 1).astype(np.float32)


def average_precision(score: NDArray[np.float32], where: NDArray[np.bool_]) -> float:
    """The area below the steps of precision over recall, in per cent."""
    found = where.ravel()[np.argsort(-score.ravel(), kind="stable")]
    precision = np.cumsum(found) / np.arange(1, len(found) + 1)
    return 100 * float(precision[found].mean())


def differences(one: NDArray[np.float32], two: NDArray[np.float32]) -> str:
    """The median, and the shares of pixels beyond 0.01 and 0.05."""
    apart = abs(one - two)
    return f"{np.median(apart):.4f} | {100 * (apart > 0.01).mean():.1f} | {100 * (apart > 0.05).mean():.1f}"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, nargs=2, default=(4096, 4096), metavar=("H", "W"))
    parser.add_argument("--tile", type=int, default=2048)
    parser.add_argument("--overlap", type=int, default=256)
    parser.add_argument("--proposer", help="as load_proposer takes it (default: its default)")
    given = parser.parse_args()
    proposer = load_proposer(given.proposer)
    with tempfile.TemporaryDirectory() as place:
        draw(Path(place), tuple(given.size))
        image = np.array(np.load(f"{place}/image.npy", mmap_mode="r"))
        where = paste(image, given.tile)
        score = score_of(where)
        scaled = torch.from_numpy(np.moveaxis(image, 2, 0)[None] / np.float32(255))
        whole = fuse(score, proposer(scaled))
        maps = propose_large(image, place, proposer, tile=given.tile, overlap=given.overlap)
        tiled = np.load(fuse_large(score, maps, f"{place}/fused.npy"))
        windows = np.empty_like(score)
        for tile in Tiling(tuple(given.size), given.tile, given.overlap).tiles():
            own = fuse(score[tile.window], proposer(scaled[:, :, *tile.window]))
            windows[tile.core] = own[tile.core.within(tile.window)]
    print("| | AP | median difference | > 0.01, % | > 0.05, % |\n|---|---|---|---|---|")
    print(f"| score | {average_precision(score, where):.1f} | | | |")
    print(f"| whole | {average_precision(whole, where):.1f} | | | |")
    for name, fused in (("tiles", tiled), ("windows, each by itself", windows)):
        print(f"| {name} | {average_precision(fused, where):.1f} | {differences(fused, whole)} |")
    print(f"| tiles from windows | | {differences(tiled, windows)} |")


if __name__ == "__main__":
    main()

"""An image and its scores in one call: the regions are in temporary files without a name."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from csl_plugin.calibration import Calibration
from csl_plugin.errors import ShapeError
from csl_plugin.fusion.rules import Rule
from csl_plugin.io.atomic import as_write_error
from csl_plugin.tiles.fusing import fuse_large
from csl_plugin.tiles.limits import check_room
from csl_plugin.tiles.npy_raster import Planes
from csl_plugin.tiles.proposing import IDS, check_image, checked_tiling, write_regions
from csl_plugin.tiles.raster import Counted, Raster


def fuse_pair(
    image: Raster,
    scores: Raster,
    out: Path,
    proposer: Any,
    *,
    tile: int,
    overlap: int | None,
    rule: Rule,
    split: bool,
    logits: bool,
    calibration: Calibration | None,
    mask: Raster | None,
) -> None:
    """`propose_large` and `fuse_large`; whatever ends the process, no file of the regions is left.

    Args:
        image: As for `propose_large`.
        scores: As for `fuse_large`.
        out: The fused map.
        proposer: As for `propose_large`.
        tile: As for `propose_large`.
        overlap: As for `propose_large`.
        rule: As for `fuse_large`.
        split: As for `propose_large`.
        logits: As for `fuse_large`.
        calibration: As for `fuse_large`.
        mask: The pixels that count, if not all do, (1, H, W).

    Raises:
        CSLError: As for both.
    """
    check_image(image)
    if scores.shape[1:] != image.shape[1:]:
        hint = "Scores in tiles are not upsampled: make them at the size of the image."
        raise ShapeError("SCORES", f"size {scores.shape[1:]}", f"the image's {image.shape[1:]}", hint)
    tiling = checked_tiling(image.shape[1:], tile, overlap)
    with ExitStack() as files:
        maps: list[Planes] = []

        def create(count: int) -> Sequence[Planes]:
            shape = (1, *tiling.size)
            check_room(out, (count, *tiling.size), IDS.itemsize)
            with as_write_error(out):
                for _ in range(count):
                    file = files.enter_context(tempfile.TemporaryFile(dir=out.parent))
                    maps.append(Planes(file, out, 0, shape, IDS))
            return maps

        write_regions(image, proposer, tiling, mask, create, split=split)
        counted = Counted(image, mask)
        fuse_large(scores, maps, out, rule=rule, logits=logits, calibration=calibration, valid=counted)

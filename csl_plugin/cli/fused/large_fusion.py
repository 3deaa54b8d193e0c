"""The fused map of an image file and its score file that are larger than memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from csl_plugin.cli.fused.score_fusion import ScoreFusion
from csl_plugin.cli.fused.valid_masks import ValidMasks
from csl_plugin.io import read_image, read_label_png
from csl_plugin.places import Place
from csl_plugin.tiles.layout import Tiling
from csl_plugin.tiles.pair import fuse_pair
from csl_plugin.tiles.proposing import checked_tiling
from csl_plugin.tiles.raster import RASTER_SUFFIXES, Raster, open_mask, open_raster

MASK_SUFFIXES = (".png", *RASTER_SUFFIXES)


@dataclass(frozen=True)
class LargeFusion:
    """How the scores of every file are fused in tiles.

    Args:
        fusion: How they are fused.
        tile: As for `csl_plugin.tiles.propose_large`.
        overlap: As for `csl_plugin.tiles.propose_large`.

    Raises:
        OptionError: `tile` or `overlap`.
    """

    fusion: ScoreFusion
    tile: int
    overlap: int | None

    def __post_init__(self) -> None:
        self._tiling()

    def _tiling(self) -> Tiling:
        return checked_tiling((1, 1), self.tile, self.overlap)

    @property
    def proposer(self) -> Any:
        """Gives the regions of a window."""
        return self.fusion.proposer

    @property
    def valid(self) -> ValidMasks | None:
        """The pixels that count, if not all do."""
        return self.fusion.valid

    @property
    def settings(self) -> Mapping[str, Any]:
        """What decides the fused maps besides the files, as JSON values."""
        return {**self.fusion.settings, "tile": self.tile, "overlap": self._tiling().overlap}

    def fuse_file(self, *, image: Place, score: Place, target: Place, picture: Place | None) -> Sequence[str]:
        """Fuse one score map and write it; there is no picture.

        Raises:
            CSLError: A file is missing, unreadable or of another size, or the scores cannot be fused.
        """
        del picture
        pixels = _open(_here(image), "image")
        size = (pixels.shape[1], pixels.shape[2])
        mask = None if self.valid is None else _flags(_here(self.valid.of_image(image)), size)
        fuse_pair(
            pixels,
            open_raster(_here(score), "scores", size),
            _here(target),
            self.proposer,
            tile=self.tile,
            overlap=self.overlap,
            rule=self.fusion.rule,
            split=self.fusion.split,
            logits=self.fusion.logits,
            calibration=self.fusion.calibration,
            mask=mask,
        )
        return ()


def _here(place: Place) -> Path:
    assert isinstance(place, Path)  # noqa: S101  # the options refuse URLs
    return place


def _open(image: Path, argument: str) -> Raster:
    if image.suffix.lower() in RASTER_SUFFIXES:
        return open_raster(image, argument)
    return open_raster(np.moveaxis(read_image(image), 2, 0), argument)


def _flags(mask: Path, size: tuple[int, int]) -> Raster | None:
    return open_mask(read_label_png(mask) if mask.suffix.lower() == ".png" else mask, size)

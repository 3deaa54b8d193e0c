"""Fusion of scores that are larger than memory, band of rows by band of rows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray

from csl_plugin import ops
from csl_plugin.calibration import Calibration
from csl_plugin.errors import DTypeError, OptionError, ScoreRangeError, ShapeError
from csl_plugin.fusion.rules import Rule, read_rule
from csl_plugin.fusion.score_argument import check_scores, read_distribution
from csl_plugin.io.listing import known_suffix
from csl_plugin.ops.cpu.runs import Ints
from csl_plugin.places import local_path
from csl_plugin.tiles.geotiff import BLOCK, TIFF_SUFFIXES, GeoTiff, written_tiff
from csl_plugin.tiles.layout import Window
from csl_plugin.tiles.limits import check_table
from csl_plugin.tiles.npy_raster import NpyRaster, written_npy
from csl_plugin.tiles.raster import (
    RASTER_SUFFIXES,
    ArrayRaster,
    Raster,
    Source,
    open_mask,
    open_raster,
    valid_of,
)

_VALUES = 1 << 23  # of a band, which is in memory a few times over


class Writer(Protocol):
    """What a raster is written to by windows."""

    def write(self, rows: slice, columns: slice, values: NDArray[Any]) -> None:
        """Write the values of a window, (C, h, w)."""
        ...


def fuse_large(
    scores: Source,
    regions: Source | Sequence[Source],
    out: str | os.PathLike[str],
    *,
    rule: Rule = "adaptive",
    logits: bool = False,
    calibration: Calibration | None = None,
    valid: Source | None = None,
) -> Path:
    """Fuse scores that are larger than memory: what `csl_plugin.fuse` gives, bit for bit on the CPU.

    Scores and maps are read in bands of rows, twice; the map is written on the second time. What is in memory
    is a band, and a few numbers for each region.

    Args:
        scores: D, or its logits, at the image's size: `.npy` of (H, W), (C, H, W) or (H, W, C); a GeoTIFF of
            C bands; an array or memory map; or a `Raster`. Values as for `fuse`.
        regions: What `propose_large` returned, or other maps of the whole image, from coarse to fine: (H, W)
            integer ids, -1 for unassigned. They are taken as they are, as `fuse` does with split=False.
        out: The fused map, `.npy` or GeoTIFF, with the axes and the element type of `scores`. A GeoTIFF from
            a GeoTIFF keeps the georeference and the nodata value.
        rule: As for `fuse`.
        logits: As for `fuse`.
        calibration: Maps raw scores before they are fused; not with `logits`.
        valid: The pixels that count: (H, W), boolean or not 0. The others, and those without data by the
            nodata value or mask of the scores, enter no mean. The former keep their score, the
            latter what the file holds.

    Returns:
        The path of the map. It is whole, or what was there before.

    Raises:
        FileError: A file cannot be read or written, or the disk has no room.
        DTypeError, ShapeError: As for `fuse`; also a GeoTIFF with an alpha band, a palette, or a scale.
        ScoreRangeError: As for `fuse`; also ids below -1.
        OptionError: An unknown rule, logits with a calibration, or more regions than their sums have memory
            for.
        MissingExtraError: A GeoTIFF without rasterio.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from csl_plugin.tiles import fuse_large
        >>> scores = np.array([[0.75, 0.25, 0.5, 0.5]], dtype=np.float32)
        >>> with TemporaryDirectory() as folder:
        ...     path = fuse_large(scores, np.array([[0, 0, 1, -1]]), f"{folder}/fused.npy", rule="mean")
        ...     print(np.load(path))
        [[0.5 0.5 0.5 0.5]]
    """
    raster = open_raster(scores, "scores")
    _check_options(raster, logits, calibration)
    given = regions if isinstance(regions, (list, tuple)) else [cast("Source", regions)]
    if not given:
        raise ShapeError("regions", "an empty list", "at least one map", "Pass what propose_large returned.")
    inputs = _Inputs(
        raster,
        [_map(open_raster(each, "regions"), raster) for each in given],
        open_mask(valid, raster.shape[1:]),
        read_rule(rule),
        logits,
        calibration,
    )
    path, classes = local_path(out, "out"), raster.shape[0]
    writer = _writer(path, raster)
    heard, counts = inputs.heard()
    check_table(counts, 2 if rule == "adaptive" and classes == 1 else classes)
    fusion = ops.BandedFusion(counts, classes, rule, inputs.dtype)
    for band in inputs.bands():
        fusion.add(inputs.distribution(band), inputs.ids(band, heard))
    with writer as file:
        for band in inputs.bands():
            fused = fusion.fused(inputs.distribution(band, check=False), inputs.ids(band, heard))
            file.write(*band, inputs.stored(band, fused[0]))
    return path


@dataclass(frozen=True)
class _Inputs:
    """What a fused map is made from, read band by band."""

    scores: Raster
    maps: Sequence[Raster]
    mask: Raster | None
    rule: Rule
    logits: bool
    calibration: Calibration | None

    @property
    def dtype(self) -> torch.dtype:
        """Of D, as it is fused."""
        plain = self.calibration is None and not self.logits and self.scores.dtype != np.uint16
        if plain or self.scores.dtype == np.float64:
            return torch.from_numpy(np.empty(0, self.scores.dtype)).dtype
        return torch.float32

    def bands(self) -> Iterator[Window]:
        """The image in bands of whole rows, from top to bottom."""
        classes, height, width = self.scores.shape
        step = max(_VALUES // (classes * width), 1)
        step -= step % BLOCK if step > BLOCK else 0
        for top in range(0, height, step):
            yield Window(slice(top, min(top + step, height)), slice(0, width))

    def distribution(self, band: Window, *, check: bool = True) -> torch.Tensor:
        """D of a band, (1, C, rows, W)."""
        values = self.scores.read(*band)
        counted = valid_of(band, self.scores, self.mask)
        if values.dtype == np.uint16 or (values.dtype == np.uint8 and self.calibration is not None):
            values = values / np.float32(np.iinfo(values.dtype).max)
        if self.calibration is not None:
            values = self.calibration(values if values.dtype == np.float64 else values.astype(np.float32))
        read = read_distribution(values)
        if check:
            valid = None if counted is None else torch.from_numpy(counted)[None]
            check_scores(read, valid, self.logits, self.rule == "product")
        return ops.upsample(read.scores, read.size, logits=self.logits)

    def stored(self, band: Window, fused: torch.Tensor) -> NDArray[Any]:
        """The fused map of a band as it is written: where the scores have no data, they stay."""
        found = _stored(fused, self.scores.dtype)
        counted = valid_of(band, self.scores)
        if counted is None:
            return found
        if isinstance(self.scores, GeoTiff):
            found = _beside(found, self.scores.profile["nodata"])
        return np.where(counted, found, self.scores.read(*band))

    def ids(self, band: Window, heard: Sequence[int]) -> list[Ints]:
        """The regions of a band in the partitions that are heard, -1 for pixels that do not count."""
        counted = valid_of(band, self.scores, self.mask)
        found = []
        for number in heard:
            ids = self.maps[number].read(*band)[0]
            found.append(ids if counted is None else np.where(counted, ids.astype(np.int64, copy=False), -1))
        return found

    def heard(self) -> tuple[list[int], list[int]]:
        """Which partitions may say something of a pixel, and the number of ids of each.

        Raises:
            ScoreRangeError: An id below -1.
        """
        every = list(range(len(self.maps)))
        bounds = np.array(
            [[(ids.min(), ids.max()) for ids in self.ids(band, every)] for band in self.bands()], np.int64
        )
        least, most = bounds[..., 0].min(0), bounds[..., 1].max(0)
        if least.min() < -1:
            hint = "Replace other negative ids with -1."
            raise ScoreRangeError("regions", f"the id {least.min()}", "ids from 0 on, and -1", hint)
        gapless = [number for number in every if least[number] >= 0]
        if gapless and self.rule == "adaptive" and self.scores.shape[0] > 1:
            every = every[gapless[-1] :]  # what it assigns, no partition before it is asked for
        return every, [int(most[number]) + 1 for number in every]


def _check_options(scores: Raster, logits: bool, calibration: Calibration | None) -> None:
    if isinstance(scores, GeoTiff):
        scores.check_scores()
    if logits and calibration is not None:
        hint = "Omit one of the two: a calibration maps raw scores, not logits, onto [0, 1]."
        raise OptionError("logits, calibration", "both", "one of them", hint)
    if logits and scores.dtype.kind == "u":
        got, hint = f"{scores.dtype} fractions", "Save the logits as float32, before they are rounded."
        raise DTypeError("scores", got, "floating-point logits", hint)


def _map(raster: Raster, scores: Raster) -> Raster:
    if raster.dtype.kind not in "iu":
        hint = "Pass what propose_large returned."
        raise DTypeError("regions", f"values of {raster.dtype}", "integer region ids", hint)
    if raster.shape != (1, *scores.shape[1:]):
        hint = "Scores and regions have the size of the image: make both from the same one."
        got, expected = f"shape {raster.shape}", f"one map of {scores.shape[1:]}, as the scores"
        raise ShapeError("regions", got, expected, hint)
    return raster


def _writer(path: Path, scores: Raster) -> AbstractContextManager[Writer]:
    """The file of a fused map, in the form of the scores."""
    suffix = known_suffix(path, RASTER_SUFFIXES, "Write .npy or GeoTIFF.")
    if suffix in TIFF_SUFFIXES:
        profile = scores.profile if isinstance(scores, GeoTiff) else {}
        return written_tiff(path, scores.shape, scores.dtype, profile)
    axes, last = 2 if scores.shape[0] == 1 else 3, False
    if isinstance(scores, NpyRaster):
        axes, last = scores.axes, scores.channels_last
    elif isinstance(scores, ArrayRaster):
        axes = scores.axes
    return written_npy(path, scores.shape, scores.dtype, axes=axes, channels_last=last)


def _beside(fused: NDArray[Any], nodata: float | None) -> NDArray[Any]:
    """Integers of which none is the nodata value: a pixel that has data keeps it, one step off."""
    if nodata is None or fused.dtype.kind != "u":
        return fused
    near = nodata + 1 if nodata < np.iinfo(fused.dtype).max else nodata - 1
    return np.where(fused == nodata, near, fused).astype(fused.dtype)


def _stored(fused: torch.Tensor, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The fused map in the element type of the scores; it has it already unless they were mapped."""
    if dtype != np.uint16:
        own = torch.from_numpy(np.empty(0, dtype)).dtype
        stored: NDArray[Any] = (fused if fused.dtype == own else ops.to_stored(fused, own)).numpy()
        return stored
    scaled = np.clip(fused.double().numpy(), 0, 1) * np.iinfo(np.uint16).max
    return np.asarray(np.rint(scaled), np.uint16)

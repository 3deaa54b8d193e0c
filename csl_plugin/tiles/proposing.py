"""The regions of an image that is larger than memory: proposed tile by tile, stitched, and split."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from csl_plugin._options import checked_integer
from csl_plugin.arrays import describe
from csl_plugin.errors import DTypeError, OptionError, OutputError, ShapeError
from csl_plugin.ops.cpu.runs import Ints, compacted, find_runs
from csl_plugin.places import local_path
from csl_plugin.proposers.base import as_partitions
from csl_plugin.proposers.load import as_proposer
from csl_plugin.proposers.on_files import region_folders
from csl_plugin.regions.assignment import soft_assignment
from csl_plugin.regions.proposals import RegionProposals
from csl_plugin.regions.region_map import RegionMap
from csl_plugin.tiles.geotiff import GeoTiff
from csl_plugin.tiles.layout import Tile, Tiling, Window
from csl_plugin.tiles.npy_raster import Planes, written_npy
from csl_plugin.tiles.raster import Raster, Source, open_mask, open_raster, valid_of
from csl_plugin.tiles.splitting import Splitting
from csl_plugin.tiles.stitching import Stitching

if TYPE_CHECKING:
    from csl_plugin.proposers import Proposer

TILE = 2048
IDS = np.dtype(np.int32)


def propose_large(
    image: Source,
    out: str | os.PathLike[str],
    proposer: Proposer | str | None = None,
    *,
    tile: int = TILE,
    overlap: int | None = None,
    split: bool = True,
    valid: Source | None = None,
) -> tuple[Path, ...]:
    """Propose the regions of an image tile by tile, and write one map of the whole image per partition.

    Windows of one size cover the image, evenly, and the proposer sees each as an image of its own: what a
    region is, is decided at the scale of a tile. A pixel's region is that of the window whose core it is in.
    Regions of neighboring windows are one where they agree in the middle half of their overlap: where more
    than three quarters of the pixels of two connected pieces there are in both (docs/guide/large-images.md).

    Args:
        image: RGB, gray, or more bands of which the first three are RGB: `.npy` of (H, W, 3), (3, H, W) or
            (H, W); a GeoTIFF; an array or memory map; or a `Raster`. uint8, uint16 of 0 to 65535, or floating
            point in [0, 1].
        out: The folder for the maps; it is created.
        proposer: A proposer of your own, or a name for `load_proposer`, whose default is the default.
        tile: Side of a window in pixels, at least 16. An image that is not larger is proposed as a whole.
        overlap: What neighboring windows have in common, in pixels, at least; from 4 to half of `tile`;
            None for an eighth of it.
        split: Split every region into its connected components, over the whole image.
        valid: The pixels that count: (H, W), boolean or not 0. The others, and those without data by the
            image's own nodata value or mask, are in no region.

    Returns:
        The maps, OUT/regions-0.npy, OUT/regions-1.npy, ..., from coarse to fine as the proposer gives them:
        (H, W) int32, -1 for unassigned. They are whole or not there.

    Raises:
        FileError: A file cannot be read or written, or the disk has no room.
        DTypeError, ShapeError: No image, or `valid` is not of its size.
        OptionError: `tile` or `overlap`, or a proposer that reads regions from files.
        OutputError: The proposer gives something else than one map of each window.
        ScoreRangeError: A valid pixel outside [0, 1], or not finite.
        MissingExtraError: A GeoTIFF without rasterio.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from csl_plugin.tiles import propose_large
        >>> image = np.zeros((80, 120, 3), np.uint8)
        >>> image[20:60, 30:110] = 200
        >>> with TemporaryDirectory() as folder:
        ...     [regions] = propose_large(image, folder, "superpixels", tile=64, overlap=32)
        ...     labels = np.load(regions)
        >>> labels.shape, len(np.unique(labels))
        ((80, 120), 2)
    """
    known = as_proposer(proposer)
    raster = open_raster(image, "image")
    check_image(raster)
    tiling = checked_tiling(raster.shape[1:], tile, overlap)
    mask = open_mask(valid, raster.shape[1:])
    folder, paths = local_path(out, "out"), list[Path]()
    with ExitStack() as files:

        def create(count: int) -> list[Planes]:
            paths.extend(folder / f"regions-{number}.npy" for number in range(count))
            shape = (1, *tiling.size)
            return [files.enter_context(written_npy(path, shape, IDS, axes=2)) for path in paths]

        write_regions(raster, known, tiling, mask, create, split=split)
    return tuple(paths)


def checked_tiling(size: tuple[int, int], tile: int, overlap: int | None) -> Tiling:
    """The tiles of an image.

    Raises:
        OptionError: As `propose_large` documents.
    """
    tile = checked_integer("tile", tile, 16, None, "It is the side of what the proposer sees at once.")
    overlap = max(tile // 8, 4) if overlap is None else overlap
    most, hint = tile // 2, "A quarter of it is the margin: docs/guide/large-images.md."
    return Tiling(size, tile, checked_integer("overlap", overlap, 4, most, hint))


def write_regions(
    image: Raster,
    proposer: Any,
    tiling: Tiling,
    mask: Raster | None,
    create: Callable[[int], Sequence[Planes]],
    *,
    split: bool,
) -> None:
    """Propose the regions of an image tile by tile, and write the maps.

    Args:
        image: As for `propose_large`.
        proposer: As for `propose_large`.
        tiling: The tiles.
        mask: The pixels that count, if not all do.
        create: Gives so many maps (1, H, W) of `IDS`, one for each partition.
        split: As for `propose_large`.

    Raises:
        CSLError: As `propose_large` documents.
    """
    if region_folders(proposer):
        hint = "Pass maps of the whole image to fuse_large, or name a proposer that looks at images."
        raise OptionError("proposer", "a folder of region maps", "one that looks at images", hint)
    maps: Sequence[Planes] = ()
    stitchings: list[Stitching] = []
    for tile in tiling.tiles():
        counted = valid_of(tile.window, image, mask)
        found = _proposed(proposer, image, tile.window, counted, len(maps))
        if not maps:
            maps = create(len(found))
            stitchings = [Stitching(tiling) for _ in maps]
        for planes, stitching, labels in zip(maps, stitchings, found, strict=True):
            runs, count = compacted(find_runs(labels))
            ids = runs.paint()
            stitching.add(tile, ids, count)
            planes.write(*tile.core, ids[tile.core.within(tile.window)][None])
    for planes, stitching in zip(maps, stitchings, strict=True):
        _number(planes, tiling, stitching, split=split)


def check_image(raster: Raster) -> None:
    """Refuse what is no image.

    Raises:
        DTypeError, ShapeError: As `propose_large` documents.
    """
    if raster.dtype not in (np.uint8, np.uint16) and raster.dtype.kind != "f":
        expected = "uint8, uint16 or floating point in [0, 1]"
        raise DTypeError("image", f"values of {raster.dtype}", expected, "Scale it to 8 bits.")
    if len(raster.shape) != 3 or 0 in raster.shape:
        raise ShapeError("image", f"shape {raster.shape}", "(C, H, W)", "Pass one image, the bands first.")
    if isinstance(raster, GeoTiff):
        raster.check_image()


def _number(planes: Planes, tiling: Tiling, stitching: Stitching, *, split: bool) -> None:
    """Put the numbers of the whole image in the place of those of the tiles."""
    stitched = stitching.numbers()
    if not split:
        _renumber(planes, tiling, lambda tile, ids: _looked_up(stitched[tile.place], ids))
        return
    splitting = Splitting(tiling)

    def parts(tile: Tile, ids: Ints) -> Ints:
        return splitting.add(tile, _looked_up(stitched[tile.place], ids))

    _renumber(planes, tiling, parts)
    numbers = dict(zip((tile.place for tile in tiling.tiles()), splitting.numbers(), strict=True))
    _renumber(planes, tiling, lambda tile, ids: _looked_up(numbers[tile.place], ids))


def _renumber(planes: Planes, tiling: Tiling, change: Callable[[Tile, Ints], Ints]) -> None:
    for tile in tiling.tiles():
        ids = planes.read(*tile.core)[0]
        planes.write(*tile.core, change(tile, ids)[None])


def _looked_up(numbers: Ints, ids: Ints) -> Ints:
    return np.append(numbers, np.int32(-1))[ids]


def _proposed(
    proposer: Any, raster: Raster, window: Window, valid: NDArray[np.bool_] | None, known: int
) -> list[Ints]:
    """The partitions of a window, (h, w) each; -1 where pixels do not count."""
    if known and valid is not None and not valid.any():
        return [np.full(window.size, -1, np.int32)] * known
    with torch.inference_mode():
        found = as_partitions(proposer(_image(raster, window, valid)))
        if known and len(found) != known:
            _refuse(f"{len(found)} partitions of one window, {known} of others", "as many of each")
        return [_ids(each, window.size, valid) for each in found]


def _ids(partition: Any, size: tuple[int, int], valid: NDArray[np.bool_] | None) -> Ints:
    if isinstance(partition, RegionProposals):
        partition = soft_assignment(partition, size)
    if not isinstance(partition, RegionMap):
        _refuse(describe(partition), "a RegionMap or RegionProposals")
    if partition.batch_size != 1 or partition.size != size:
        _refuse(f"{partition.batch_size} maps of {partition.size}", f"one of {size}, as the window")
    ids: Ints = partition.labels[0].cpu().numpy()
    return ids if valid is None else np.where(valid, ids.astype(np.int64, copy=False), -1)


def _refuse(got: str, expected: str) -> None:
    raise OutputError("proposer", got, expected, "A window is an image of its own: (1, 3, h, w).")


def _image(raster: Raster, window: Window, valid: NDArray[np.bool_] | None) -> torch.Tensor:
    """A window as a proposer takes it, (1, 3, h, w) float32 in [0, 1]; 0 where the image has no data.

    Pixels that are left out for another reason are seen, as in an image that is not cut in tiles.
    """
    values = raster.read(window.rows, window.columns)[:3]
    values = values if len(values) == 3 else np.repeat(values[:1], 3, axis=0)
    scaled = np.empty((1, 3, *window.size), np.float32)
    if values.dtype.kind == "u":
        np.divide(values, np.float32(np.iinfo(values.dtype).max), out=scaled[0])
    else:
        scaled[0] = values
    own = raster.valid(window.rows, window.columns)
    if own is not None:
        scaled[:, :, ~own] = 0
    if valid is not None and values.dtype.kind == "f":
        seen = ((scaled >= 0) & (scaled <= 1)).all(axis=(0, 1))
        scaled[:, :, ~(valid | seen)] = 0
    return torch.from_numpy(scaled)

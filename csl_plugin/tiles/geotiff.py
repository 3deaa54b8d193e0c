"""GeoTIFF files, read and written by windows with rasterio (extra `raster`)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.errors import DTypeError, FileError, MissingExtraError, ShapeError
from csl_plugin.io.atomic import atomic_path
from csl_plugin.io.limits import as_file_error, check_file
from csl_plugin.tiles.limits import MAX_FILE, MAX_ROW, check_room, check_shape

TIFF_SUFFIXES = (".tif", ".tiff")

BLOCK = 512
"""Rows and columns of a block of the files that are written."""

_CACHE = 64 << 20  # bytes; by default it is a share of the machine's memory


class GeoTiff:
    """A GeoTIFF. What lies in files beside it is not read, nor is any other format.

    Args:
        path: The file.

    Raises:
        FileError: Missing, damaged, of another format, too large, or with blocks that are too large.
        DTypeError: Elements that are no plain numbers.
        MissingExtraError: rasterio is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        check_file(path, MAX_FILE)
        with self._open() as file:
            self.shape: tuple[int, int, int] = (file.count, file.height, file.width)
            names = set(file.dtypes)
            self._has_mask = any(
                "all_valid" not in {flag.name for flag in flags} for flags in file.mask_flag_enums
            )
            block = max(height * width for height, width in file.block_shapes)
            self._colors = [color.name for color in file.colorinterp]
            self._scaled = {*file.scales} != {1} or {*file.offsets} != {0}
            points, system = file.gcps
            place = (
                {"gcps": points, "crs": system} if points else {"crs": file.crs, "transform": file.transform}
            )
            self.profile: dict[str, Any] = {**place, "nodata": file.nodata}
        check_shape(path, self.shape)
        if len(names) != 1 or np.dtype(next(iter(names))).kind not in "buif":
            hint = "Convert it with gdal_translate -ot Float32."
            raise DTypeError(str(path), f"bands of {', '.join(sorted(names))}", "numbers of one type", hint)
        self.dtype = np.dtype(names.pop())
        if block * self.shape[0] * self.dtype.itemsize > MAX_ROW:
            hint = "Write it in tiles: gdal_translate -co TILED=YES IN OUT."
            got = f"blocks of {block} pixels, each of {self.shape[0]} bands"
            raise FileError(str(path), got, f"blocks of at most {MAX_ROW} bytes", hint)

    def check_scores(self) -> None:
        """Refuse bands that are no scores.

        Raises:
            DTypeError, ShapeError: See above.
        """
        self._check_plain()
        if "alpha" in self._colors:
            got = f"{len(self._colors)} bands of which number {self._colors.index('alpha') + 1} is alpha"
            hint = "Make it the mask, with gdal_translate -b 1 -mask 2 IN OUT for one class."
            raise ShapeError(str(self.path), got, "one band for each class", hint)
        if self._scaled:
            hint = "Apply them: gdal_translate -unscale -ot Float32 IN OUT."
            raise DTypeError(str(self.path), "bands with a scale or an offset", "scores as stored", hint)

    def check_image(self) -> None:
        """Refuse bands of which the first three are not red, green and blue.

        Raises:
            DTypeError, ShapeError: See above.
        """
        self._check_plain()
        first, order = self._colors[:3], ["red", "green", "blue"]
        if sorted(first) == sorted(order) and first != order:
            bands = " ".join(f"-b {first.index(color) + 1}" for color in order)
            hint = f"Put them in order: gdal_translate {bands} IN OUT."
            raise ShapeError(str(self.path), f"bands {', '.join(first)}", "red, green, blue", hint)

    def _check_plain(self) -> None:
        if "palette" in self._colors:
            hint = "Convert it with gdal_translate -expand rgb IN OUT, or remove the color table."
            raise DTypeError(str(self.path), "numbers of colors in a palette", "values of pixels", hint)

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """The values of a window, (C, h, w)."""
        with self._open() as file:
            values: NDArray[Any] = file.read(window=_window(rows, columns))
        return values

    def valid(self, rows: slice, columns: slice) -> NDArray[np.bool_] | None:
        """The pixels of a window that hold data by the file's nodata value, mask or alpha."""
        if not self._has_mask:
            return None
        with self._open() as file:
            return np.asarray(file.dataset_mask(window=_window(rows, columns)) != 0)

    @contextmanager
    def _open(self) -> Iterator[Any]:
        rasterio = _rasterio()
        with (
            as_file_error(self.path, "a GeoTIFF"),
            _quiet(rasterio),
            rasterio.open(self.path.resolve(), driver="GTiff") as file,
        ):
            yield file


class TiffWriter:
    """A GeoTIFF that is being written."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, rows: slice, columns: slice, values: NDArray[Any]) -> None:
        """Write the values of a window, (C, h, w)."""
        self._file.write(values, window=_window(rows, columns))


@contextmanager
def written_tiff(
    path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], profile: dict[str, Any]
) -> Iterator[TiffWriter]:
    """A GeoTIFF of (C, H, W) that is written by windows, and appears when the block succeeds.

    Args:
        path: The file.
        shape: (C, H, W).
        dtype: Of its elements.
        profile: Its georeference and nodata value, as `GeoTiff.profile` has them; empty for none.

    Raises:
        FileError: It cannot be written, or there is no room for it.
        MissingExtraError: rasterio is not installed.
    """
    rasterio = _rasterio()
    check_room(path, shape, dtype.itemsize)
    given = {name: value for name, value in profile.items() if value is not None}
    with (
        atomic_path(path) as temporary,
        _quiet(rasterio),
        rasterio.open(
            temporary,
            "w",
            driver="GTiff",
            count=shape[0],
            height=shape[1],
            width=shape[2],
            dtype=dtype.name,
            tiled=True,
            blockxsize=BLOCK,
            blockysize=BLOCK,
            BIGTIFF="IF_SAFER",
            **given,
        ) as file,
    ):
        yield TiffWriter(file)


@contextmanager
def _quiet(rasterio: Any) -> Iterator[None]:
    options = {"GDAL_CACHEMAX": _CACHE, "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_PAM_ENABLED": "NO"}
    with warnings.catch_warnings(), rasterio.Env(**options):
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        yield


def _window(rows: slice, columns: slice) -> tuple[tuple[int, int], tuple[int, int]]:
    return (rows.start, rows.stop), (columns.start, columns.stop)


def _rasterio() -> Any:
    try:
        import rasterio
        import rasterio.errors
    except ImportError as error:
        hint = 'Install it with pip install "csl-plugin[raster]", or convert the file to .npy.'
        raise MissingExtraError("rasterio", "not installed", "the extra raster", hint) from error
    return rasterio

"""GeoTIFF files, which need the extra `raster`."""

import numpy as np
import pytest

from csl_plugin import Calibration
from csl_plugin.errors import DTypeError, FileError, ShapeError
from csl_plugin.tiles import fuse_large, open_raster, propose_large
from tests.tiles.pictures import Levels, blobs

# With the extras of all tests; and of rasterio's own arithmetic.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning"),
]


@pytest.fixture
def rasterio():
    return pytest.importorskip("rasterio", reason="GeoTIFF needs the extra raster")


def _write(rasterio, path, values, **options):
    bands, height, width = values.shape
    profile = {
        "crs": "EPSG:32633",
        "transform": rasterio.transform.from_origin(5e5, 5e6, 0.5, 0.5),
        **options,
    }
    with rasterio.open(
        path, "w", driver="GTiff", count=bands, height=height, width=width, dtype=values.dtype.name, **profile
    ) as file:
        file.write(values)


@pytest.mark.parametrize("nodata", [-9999.0, float("nan")])
def test_a_geotiff_keeps_its_georeference_and_its_pixels_without_data(nodata, rasterio, tmp_path):
    scores = np.random.default_rng(0).random((2, 600, 700), np.float32)
    scores[:, :40] = nodata
    _write(rasterio, tmp_path / "scores.tif", scores, nodata=nodata)
    regions = np.arange(600)[:, None].repeat(700, 1) // 100
    out = fuse_large(tmp_path / "scores.tif", regions, tmp_path / "fused.tif")
    valid = np.ones((600, 700), bool)
    valid[:40] = False
    plain = fuse_large(scores, regions, tmp_path / "fused.npy", valid=valid)
    with rasterio.open(out) as file, rasterio.open(tmp_path / "scores.tif") as before:
        assert (file.crs, file.transform) == (before.crs, before.transform)
        assert np.array_equal([file.nodata], [nodata], equal_nan=True)
        fused = file.read()
        assert np.array_equal(fused[:, 40:], np.load(plain)[:, 40:])
        assert np.array_equal(fused[:, :40], scores[:, :40], equal_nan=True)


def test_pixels_of_a_geotiff_without_data_are_in_no_region(rasterio, tmp_path):
    image = np.maximum(np.moveaxis(blobs(100, 90), 2, 0), 1)
    image[:, 20:30] = 0
    _write(rasterio, tmp_path / "image.tif", image, nodata=0)
    [path] = propose_large(tmp_path / "image.tif", tmp_path, Levels(), tile=64, overlap=16)
    found = np.load(path)
    assert (found[20:30] == -1).all()
    assert (found[:20] >= 0).all()


def test_other_formats_under_the_name_of_a_geotiff_are_refused(rasterio, tmp_path):
    _write(rasterio, tmp_path / "inner.tif", np.ones((1, 20, 30), np.float32))
    text = (
        '<VRTDataset rasterXSize="30" rasterYSize="20"><VRTRasterBand dataType="Float32" band="1">'
        '<SimpleSource><SourceFilename relativeToVRT="1">inner.tif</SourceFilename></SimpleSource>'
        "</VRTRasterBand></VRTDataset>"
    )
    (tmp_path / "virtual.tif").write_text(text)
    with pytest.raises(FileError):
        open_raster(tmp_path / "virtual.tif")


def test_a_geotiff_whose_one_block_is_the_image_is_refused(rasterio, tmp_path):
    path = tmp_path / "block.tif"
    options = {"tiled": True, "blockxsize": 9008, "blockysize": 9008, "SPARSE_OK": True, "crs": "EPSG:32633"}
    options["transform"] = rasterio.transform.from_origin(5e5, 5e6, 0.5, 0.5)
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=9000, width=9000, dtype="float32", **options
    ):
        pass
    with pytest.raises(FileError, match="TILED=YES"):
        open_raster(path)


def test_a_geotiff_keeps_its_control_points(rasterio, tmp_path):
    scores = np.random.default_rng(0).random((1, 40, 50), np.float32)
    point = rasterio.control.GroundControlPoint
    points = [point(0, 0, 1, 2), point(0, 50, 3, 2), point(40, 0, 1, 6)]
    _write(rasterio, tmp_path / "scores.tif", scores, gcps=points, transform=None)
    out = fuse_large(tmp_path / "scores.tif", np.zeros((40, 50), int), tmp_path / "fused.tif")
    with rasterio.open(out) as file:
        found, system = file.gcps
    assert [(each.row, each.col, each.x, each.y) for each in found] == [
        (each.row, each.col, each.x, each.y) for each in points
    ]
    assert system.to_epsg() == 32633


@pytest.mark.parametrize(
    ("bands", "change", "error"),
    [
        (2, {"colorinterp": ["gray", "alpha"]}, ShapeError),
        (1, {"colorinterp": ["palette"]}, DTypeError),
        (1, {"scales": [0.5]}, DTypeError),
        (1, {"offsets": [-0.1]}, DTypeError),
    ],
)
def test_bands_that_are_no_scores_are_refused(bands, change, error, rasterio, tmp_path):
    _changed(rasterio, tmp_path / "scores.tif", bands, change)
    with pytest.raises(error, match="gdal_translate"):
        fuse_large(tmp_path / "scores.tif", np.zeros((40, 50), int), tmp_path / "fused.tif")
    assert not (tmp_path / "fused.tif").exists()


@pytest.mark.parametrize(
    ("bands", "change", "error"),
    [
        (1, {"colorinterp": ["palette"]}, DTypeError),
        (3, {"colorinterp": ["blue", "green", "red"]}, ShapeError),
    ],
)
def test_bands_that_are_no_colors_are_refused(bands, change, error, rasterio, tmp_path):
    _changed(rasterio, tmp_path / "image.tif", bands, change)
    with pytest.raises(error, match="gdal_translate"):
        propose_large(tmp_path / "image.tif", tmp_path / "regions", Levels())
    assert not (tmp_path / "regions").exists()


def _changed(rasterio, path, bands, change):
    _write(rasterio, path, np.ones((bands, 40, 50), np.uint8))
    with rasterio.open(path, "r+") as file:
        for name, value in change.items():
            if value == ["palette"]:
                file.write_colormap(1, {1: (255, 0, 0, 255)})
            elif name == "colorinterp":
                value = [rasterio.enums.ColorInterp[color] for color in value]
            setattr(file, name, value if value != ["palette"] else file.colorinterp)


@pytest.mark.parametrize(("nodata", "dtype"), [(0, np.uint8), (0, np.uint16), (255, np.uint8)])
def test_pixels_with_data_keep_them_where_they_are_rounded_to_the_nodata_value(
    nodata, dtype, rasterio, tmp_path
):
    scores = np.full((1, 40, 50), 3 if nodata == 0 else 254, dtype)
    scores[:, :5] = nodata
    _write(rasterio, tmp_path / "scores.tif", scores, nodata=nodata)
    calibration = Calibration.sigmoid(0.5, 0.001)  # to 0 below, to 1 above
    regions = np.zeros((40, 50), int)
    out = fuse_large(tmp_path / "scores.tif", regions, tmp_path / "fused.tif", calibration=calibration)
    with rasterio.open(out) as file:
        fused = file.read(1)
    assert (fused[:5] == nodata).all()
    assert (fused[5:] == (1 if nodata == 0 else 254)).all()

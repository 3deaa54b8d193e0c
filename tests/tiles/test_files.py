"""Rasters in files: what is read by windows, and what is refused."""

import numpy as np
import pytest

from csl_plugin.errors import CSLError, DTypeError, FileError, MissingExtraError, ShapeError
from csl_plugin.tiles import fuse_large, open_raster, propose_large
from tests.tiles.pictures import Levels, blobs

# Of rasterio's own arithmetic.
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")

ROWS, COLUMNS = slice(3, 17), slice(5, 30)


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2", "u1", ">u2", "?"])
@pytest.mark.parametrize("shape", [(40, 50), (4, 40, 50), (40, 50, 4)])
def test_a_window_of_a_file_is_that_of_its_array(dtype, shape, tmp_path):
    values = (np.random.default_rng(0).random(shape) * 200).astype(dtype)
    np.save(tmp_path / "a.npy", values)
    raster = open_raster(tmp_path / "a.npy", size=(40, 50))
    planes = values[None] if values.ndim == 2 else values
    planes = np.moveaxis(planes, 2, 0) if planes.shape[0] == 40 else planes
    assert raster.shape == planes.shape
    for rows, columns in ((ROWS, COLUMNS), (ROWS, slice(0, 50)), (slice(0, 40), slice(49, 50))):
        assert np.array_equal(raster.read(rows, columns), planes[:, rows, columns])
    assert raster.read(ROWS, COLUMNS).dtype.isnative


@pytest.mark.parametrize("shape", [(40, 50), (1, 40, 50), (4, 40, 50), (40, 50, 4), (40, 50, 1)])
def test_the_fused_map_has_the_axes_of_the_scores(shape, tmp_path):
    scores = np.random.default_rng(0).random(shape).astype(np.float16)
    np.save(tmp_path / "scores.npy", scores)
    raster = open_raster(tmp_path / "scores.npy", size=(40, 50))
    fused = np.load(fuse_large(raster, np.zeros((40, 50), int), tmp_path / "fused.npy"))
    assert fused.shape == shape
    assert fused.dtype == np.float16
    last = raster.channels_last
    planes = np.moveaxis(scores, 2, 0) if last else scores
    whole = np.load(fuse_large(planes, np.zeros((40, 50), int), tmp_path / "whole.npy"))
    assert np.array_equal(np.moveaxis(fused, 2, 0) if last else fused, whole)


@pytest.mark.parametrize("layout", ["last", "first", "gray", "four"])
def test_images_of_any_layout(layout, tmp_path):
    image = np.repeat(blobs(60, 70)[..., :1], 3, axis=2)
    stored = {
        "last": image,
        "first": np.moveaxis(image, 2, 0),
        "gray": image[..., 0],
        "four": np.concatenate([np.moveaxis(image, 2, 0), np.ones((1, 60, 70), np.uint8)]),
    }[layout]
    np.save(tmp_path / "image.npy", stored)
    [path] = propose_large(tmp_path / "image.npy", tmp_path, Levels(), tile=48, overlap=16)
    whole = propose_large(image, tmp_path / "whole", Levels(), tile=48, overlap=16)
    assert np.array_equal(np.load(path), np.load(whole[0]))


def _refused(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CSLError) as raised:
        open_raster(path)
    assert name in raised.value.argument
    return raised.value


def _npy(values):
    import io

    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def test_files_that_cannot_be_read_by_windows_are_refused(tmp_path):
    whole = _npy(np.ones((20, 30), np.float32))
    assert isinstance(_refused(tmp_path, "short.npy", whole[:-1]), FileError)
    assert isinstance(_refused(tmp_path, "long.npy", whole + b"x"), FileError)
    assert isinstance(_refused(tmp_path, "objects.npy", _npy(np.array([[{}]]))), DTypeError)
    assert isinstance(
        _refused(tmp_path, "columns.npy", _npy(np.asfortranarray(np.ones((20, 30))))), ShapeError
    )
    assert isinstance(_refused(tmp_path, "four.npy", _npy(np.ones((1, 1, 20, 30)))), ShapeError)
    assert isinstance(_refused(tmp_path, "empty.npy", _npy(np.ones((0, 30)))), FileError)
    assert isinstance(_refused(tmp_path, "text.npy", b"no array"), FileError)
    assert isinstance(_refused(tmp_path, "a.png", b"no raster"), FileError)
    declared = whole.replace(b"(20, 30), }", b"(20, 900000000), }")[: len(whole)]
    assert isinstance(_refused(tmp_path, "huge.npy", declared), FileError)
    with pytest.raises(FileError):
        open_raster(tmp_path)


def test_a_file_that_shrinks_meanwhile_is_an_error(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((20, 30), np.float32))
    raster = open_raster(tmp_path / "a.npy")
    with (tmp_path / "a.npy").open("rb+") as file:
        file.truncate(600)
    with pytest.raises(FileError, match="ends early"):
        raster.read(slice(0, 20), slice(0, 30))


def test_geotiff_without_rasterio_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "a.tif").write_bytes(b"II*\0")
    monkeypatch.setitem(__import__("sys").modules, "rasterio", None)
    with pytest.raises(MissingExtraError, match=r"csl-plugin\[raster\]"):
        open_raster(tmp_path / "a.tif")


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
    assert isinstance(_refused(tmp_path, "virtual.tif", text.encode()), FileError)


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

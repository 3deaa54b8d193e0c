"""Rasters in files: what is read by windows, and what is refused."""

import numpy as np
import pytest

from csl_plugin.errors import CSLError, DTypeError, FileError, MissingExtraError, ShapeError
from csl_plugin.tiles import fuse_large, open_raster, propose_large
from tests.tiles.pictures import Levels, blobs

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


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">u2"])
def test_an_array_of_the_other_byte_order_is_as_one_of_this(dtype, tmp_path):
    scores = (np.random.default_rng(0).random((40, 50)) * (1 if "f" in dtype else 65535)).astype(dtype)
    regions = (np.arange(40)[:, None] // 10).repeat(50, 1)
    native = fuse_large(scores.astype(dtype.replace(">", "=")), regions, tmp_path / "native.npy")
    fused = np.load(fuse_large(scores, regions.astype(">i4"), tmp_path / "fused.npy"))
    assert fused.dtype.isnative
    assert np.array_equal(fused, np.load(native))


def test_a_masked_array_is_refused(tmp_path):
    masked = np.ma.masked_greater(np.random.default_rng(0).random((40, 50)), 0.5)
    with pytest.raises(DTypeError, match="valid"):
        fuse_large(masked, np.zeros((40, 50), int), tmp_path / "fused.npy")
    with pytest.raises(DTypeError, match="valid"):
        propose_large(masked, tmp_path, Levels())


def test_numbers_beyond_those_of_torch_are_refused(tmp_path):
    wide = np.zeros((40, 50), np.longdouble)
    np.save(tmp_path / "wide.npy", wide)
    for scores in (wide, tmp_path / "wide.npy"):
        with pytest.raises(DTypeError):
            fuse_large(scores, np.zeros((40, 50), int), tmp_path / "fused.npy")

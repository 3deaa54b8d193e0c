"""What a visitor drops: read at the size at which the page works, or refused by name before it is decoded."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from csl_plugin.app import uploads
from csl_plugin.app.uploads import LEAST_SIDE, LONGEST_SIDE, read_map, read_photograph
from csl_plugin.errors import DTypeError, FileError, ScoreRangeError, ShapeError

SIZE = (48, 64)


def save(path, array):
    np.save(path, array)
    return path


def declared_png(path, width, height):
    """A PNG whose header declares a size, with bytes for a few of its rows only."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1 << 16))), (b"IEND", b""))
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    return path


def test_a_photograph_of_usual_size_is_not_changed(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    read, own = read_photograph(tmp_path / "a.png")
    assert np.array_equal(read, image)
    assert own == SIZE


def test_a_large_photograph_is_scaled_down(tmp_path):
    cv2.imwrite(str(tmp_path / "a.jpg"), np.full((600, 2400, 3), 90, np.uint8))
    read, own = read_photograph(tmp_path / "a.jpg")
    assert own == (600, 2400)
    assert read.shape == (LONGEST_SIDE // 4, LONGEST_SIDE, 3)
    assert np.abs(read.astype(int) - 90).max() <= 1


def test_a_size_beyond_the_limit_is_refused_by_its_header(tmp_path, monkeypatch):
    def decode(*_):
        raise AssertionError("decoded")

    monkeypatch.setattr(uploads, "read_image", decode)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8000, 7000), np.uint8))
    with pytest.raises(FileError, match="7000 x 8000 pixels, expected at most 50 million pixels"):
        read_photograph(tmp_path / "a.png")


def test_too_many_bytes_are_refused_unread(tmp_path):
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(uploads.LARGEST_UPLOAD + 1)
    with pytest.raises(FileError, match="expected at most 33554432 bytes"):
        read_photograph(tmp_path / "a.jpg")


@pytest.mark.parametrize("size", [(LEAST_SIDE - 1, 200), (200, 1)])
def test_a_photograph_without_room_for_regions_is_refused(tmp_path, size):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((*size, 3), np.uint8))
    with pytest.raises(FileError, match="at least 32 pixels"):
        read_photograph(tmp_path / "a.png")


@pytest.mark.parametrize(
    "content",
    [b"", b"GIF89a", b"<svg onload=alert(1)>", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0" + bytes(50)],
)
def test_what_is_no_photograph_is_refused(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(FileError):
        read_photograph(tmp_path / "a.png")


def test_a_header_that_lies_is_refused(tmp_path):
    with pytest.raises(FileError):
        read_photograph(declared_png(tmp_path / "a.png", 7000, 7000))


@pytest.mark.parametrize("shape", [SIZE, (1, *SIZE), (*SIZE, 1)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_map_of_one_class_in_any_layout(tmp_path, shape, dtype):
    values = np.random.default_rng(1).random(SIZE).astype(dtype)
    read, divisor = read_map(save(tmp_path / "a.npy", values.reshape(shape)), SIZE, SIZE)
    assert divisor == 1
    assert read.dtype == np.float32
    assert np.array_equal(read, values.astype(np.float32))


def test_a_gray_png_holds_fractions(tmp_path):
    values = np.random.default_rng(2).integers(0, 65536, SIZE).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), values)
    read, _ = read_map(tmp_path / "a.png", SIZE, SIZE)
    np.testing.assert_allclose(read, values / 65535, atol=1e-6)


def test_a_map_follows_the_size_at_which_the_page_works(tmp_path):
    coarse = np.random.default_rng(3).random((12, 16)).astype(np.float32)
    read, _ = read_map(save(tmp_path / "a.npy", coarse), SIZE, (24, 32))
    assert read.shape == (24, 32)
    np.testing.assert_allclose(read[1::2, 1::2].mean(), coarse.mean(), atol=0.05)


def test_values_above_one_are_divided_by_the_largest(tmp_path):
    values = np.linspace(0, 4, SIZE[0] * SIZE[1]).reshape(SIZE)
    read, divisor = read_map(save(tmp_path / "a.npy", values), SIZE, SIZE)
    assert divisor == 4
    assert read.max() == 1


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (np.zeros((64, 48), np.float32), ShapeError, "Height and width are exchanged"),
        (np.zeros((24, 64), np.float32), ShapeError, r"size \(24, 64\), expected the image's \(48, 64\)"),
        (np.zeros((3, *SIZE), np.float32), ShapeError, "one score for each pixel"),
        (np.full(SIZE, -0.5), ScoreRangeError, "scores down to -0.5"),
        (np.full(SIZE, np.nan), ScoreRangeError, "nan or infinity"),
        (np.full(SIZE, np.inf), ScoreRangeError, "nan or infinity"),
        (np.zeros(SIZE, complex), DTypeError, "a.npy"),
        (np.zeros(SIZE, np.int64), DTypeError, "a.npy"),
        (np.full(SIZE, None), DTypeError, "Pickled objects are never read"),
    ],
)
def test_a_map_that_does_not_fit_is_named(tmp_path, values, error, message):
    np.save(tmp_path / "a.npy", values, allow_pickle=True)
    with pytest.raises(error, match=message):
        read_map(tmp_path / "a.npy", SIZE, SIZE)


def test_a_map_whose_header_declares_more_than_the_file_holds(tmp_path):
    path = save(tmp_path / "a.npy", np.zeros(SIZE, np.float32))
    path.write_bytes(path.read_bytes().replace(b"(48, 64)", b"(9999, 9999)").replace(b"    }", b"}", 1))
    with pytest.raises(FileError):
        read_map(path, (9999, 9999), SIZE)


@pytest.mark.parametrize("name", ["a.npz", "a.pkl", "a"])
def test_other_forms_of_maps_are_refused_by_their_names(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(FileError, match=r"expected a \.npy or \.png file"):
        read_map(tmp_path / name, SIZE, SIZE)


def test_a_file_that_is_gone(tmp_path):
    for read in (read_photograph, lambda path: read_map(path, SIZE, SIZE)):
        with pytest.raises(FileError, match="No such file"):
            read(Path(tmp_path / "gone.png"))

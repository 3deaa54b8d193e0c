"""Images, score maps and atomic writing: round trips, and files that mean harm."""

import io
import pickle
import struct
import sys
import threading
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from csl_plugin import RegionMap
from csl_plugin.errors import CSLError, DTypeError, FileError, MissingExtraError, ScoreRangeError, ShapeError
from csl_plugin.io import (
    atomic_path,
    files_by_stem,
    image_batch,
    list_images,
    read_image,
    read_region_map,
    read_score_file,
    read_scores,
    write_png,
    write_region_map,
    write_scores,
)
from csl_plugin.io.formats import Damaged, read_layout
from tests.helpers.data import GOLDEN

RANDOM = np.random.default_rng(7)
PHOTO = cv2.GaussianBlur(RANDOM.integers(0, 256, (37, 53, 3)).astype(np.uint8), (5, 5), 2)
many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def encoded(suffix, image=PHOTO):
    return cv2.imencode(suffix, image)[1].tobytes()


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, bits=8, color=2, rest=b""):
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + rest + png_chunk(b"IEND", b"")


def npy_head(shape, descr="<f4"):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": descr, "fortran_order": False, "shape": tuple(shape)}
    )
    return stream.getvalue()


def leftovers(folder):
    return [path.name for path in folder.rglob("*") if path.name.endswith(".tmp")]


# --- images ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp", ".tiff", ".ppm"])
def test_lossless_formats_give_rgb(tmp_path, suffix):
    path = tmp_path / f"ä 画像{suffix}"
    quality = [cv2.IMWRITE_WEBP_QUALITY, 101] if suffix == ".webp" else []
    path.write_bytes(cv2.imencode(suffix, PHOTO[..., ::-1], quality)[1].tobytes())
    image = read_image(path)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, PHOTO)


def test_jpeg(tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded(".jpg", PHOTO[..., ::-1]))
    difference = read_image(tmp_path / "a.jpg").astype(int) - PHOTO
    assert np.abs(difference).mean() < 10


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tiff", ".ppm"])
def test_declared_size(suffix):
    layout, data = read_layout(encoded(suffix))
    assert layout.size == (37, 53)
    assert 0 < layout.needed <= layout.available
    pixels = [cv2.imdecode(np.frombuffer(given, np.uint8), 1) for given in (data, encoded(suffix))]
    np.testing.assert_array_equal(*pixels)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "CMYK"])
def test_other_modes_become_rgb(tmp_path, mode):
    pillow = pytest.importorskip("PIL.Image", reason="pillow makes the file")
    source = pillow.fromarray(PHOTO)
    source = source.quantize(16) if mode == "P" else source.convert(mode)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    source.save(path)
    expected = np.asarray(source.convert("RGB")).astype(int)
    image = read_image(path)
    assert image.shape == (37, 53, 3)
    assert np.abs(image - expected).max() <= 2


def test_16_bit_is_reduced_to_8(tmp_path):
    write_png(tmp_path / "a.png", np.array([[0, 65535, 0x8000]], np.uint16))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[0, :, 1], [0, 255, 128])


HOSTILE_IMAGES = {
    "empty": b"",
    "text": b"this is no picture\n" * 20,
    "huge png in 100 bytes": png(10**5, 10**5, rest=png_chunk(b"IDAT", zlib.compress(b"\0" * 500))),
    "huge bmp": encoded(".bmp")[:18] + struct.pack("<ii", 10**5, -(10**5)) + encoded(".bmp")[26:],
    "huge ppm": b"P6\n# a comment\n100000 100000\n255\n",
    "zero width": png(0, 5),
    "no data": png(5, 5),
    "gif": b"GIF89a" + bytes(60),
    "bigtiff": b"II+\0" + bytes(60),
    "tiff without directory": b"II*\0\xff\xff\xff\xff",
    "jpeg markers for ever": b"\xff\xd8" + b"\xff" * 5000,
    "jpeg with lengths of zero": b"\xff\xd8" + b"\xff\xe0\0\0" * 500,
    "long line": b"P6 " + b"#" * 100_000,
}


@pytest.mark.parametrize("kind", HOSTILE_IMAGES)
def test_hostile_images(tmp_path, kind):
    path = tmp_path / "holiday.png"
    path.write_bytes(HOSTILE_IMAGES[kind])
    tracemalloc.start()
    with pytest.raises(FileError, match="holiday") as caught:
        read_image(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(caught.value, OSError)
    assert peak < 5_000_000


def test_huge_image_names_the_limit(tmp_path):
    (tmp_path / "a.png").write_bytes(HOSTILE_IMAGES["huge png in 100 bytes"])
    with pytest.raises(
        FileError, match=r"a\.png: got .*\(100000, 100000\), expected at most 100000000 pixels"
    ):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tiff", ".ppm"])
@pytest.mark.parametrize("kept", [1, 4, 20, 0.5, -20, -1])
def test_truncated_images(tmp_path, suffix, kept):
    data = encoded(suffix)
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(data[: int(kept * len(data)) if isinstance(kept, float) else kept])
    with pytest.raises(FileError, match="cut"):
        read_image(path)


def test_folder_and_missing(tmp_path):
    (tmp_path / "x.png").mkdir()
    with pytest.raises(FileError, match=r"x\.png: got a folder"):
        read_image(tmp_path / "x.png")
    with pytest.raises(FileError, match=r"nothing\.png: got No such file"):
        read_image(tmp_path / "nothing.png")
    with pytest.raises(FileError, match="no regular file"):
        read_image("/dev/zero")


@many
@given(st.sampled_from([".png", ".jpg", ".bmp", ".webp", ".tiff", ".ppm"]), st.data())
def test_damaged_images_never_escape(tmp_path, suffix, data):
    damaged = bytearray(encoded(suffix))
    for place in data.draw(st.lists(st.integers(0, min(len(damaged), 400) - 1), min_size=1, max_size=4)):
        damaged[place] = data.draw(st.integers(0, 255))
    path = tmp_path / "a"
    path.write_bytes(bytes(damaged))
    try:
        image = read_image(path)
    except CSLError:
        return
    assert image.dtype == np.uint8
    assert image.shape[2] == 3


@given(st.binary(max_size=200))
def test_declared_size_takes_anything(data):
    for start in (b"", b"\xff\xd8", b"II*\0", b"MM\0*", b"BM", b"RIFF\0\0\0\0WEBPVP8X", b"P5 "):
        try:
            found = read_layout(start + data)
        except Damaged:
            continue
        assert found is None or all(side >= 0 for side in found[0].size)


def test_image_batch():
    batch = image_batch(PHOTO)
    assert batch.shape == (1, 3, 37, 53)
    assert batch.is_contiguous()
    np.testing.assert_array_equal((batch[0].permute(1, 2, 0) * 255).round().byte().numpy(), PHOTO)


def test_write_png_round_trip_and_refusals(tmp_path):
    write_png(tmp_path / "new" / "a.png", PHOTO)
    np.testing.assert_array_equal(read_image(tmp_path / "new" / "a.png"), PHOTO)
    with pytest.raises(DTypeError, match="uint8"):
        write_png(tmp_path / "b.png", PHOTO.astype(float))
    with pytest.raises(ShapeError, match="channels last"):
        write_png(tmp_path / "b.png", PHOTO.transpose(2, 0, 1))
    assert not (tmp_path / "b.png").exists()


# --- listing --------------------------------------------------------------------------------------------


def test_listing(tmp_path):
    for name in ("b.PNG", "a.jpg", "c.d.jpeg", ".hidden.png", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "z.png").mkdir()
    assert [path.name for path in list_images(tmp_path).values()] == ["a.jpg", "b.PNG", "c.d.jpeg", "z.png"]
    assert list(list_images(tmp_path)) == ["a", "b", "c.d", "z"]
    assert list(list_images(tmp_path / "a.jpg")) == ["a"]


def test_listing_refuses(tmp_path):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "a.png").touch()
    with pytest.raises(FileError, match=r"a\.jpg and a\.png.*one file of each stem"):
        list_images(tmp_path)
    with pytest.raises(FileError, match="nothing there"):
        list_images(tmp_path / "none")
    with pytest.raises(FileError, match=r"one of \.npy"):
        files_by_stem(tmp_path / "a.jpg", (".npy",))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match="without an image"):
        list_images(tmp_path / "empty")


# --- atomic writing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_atomic_write_fails_whole(tmp_path, error):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(error), atomic_path(target) as path:  # noqa: PT012 - the write is what fails
        path.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert not leftovers(tmp_path)


def test_atomic_write_by_many_threads(tmp_path):
    target = tmp_path / "a.bin"

    def write(number):
        for _ in range(10):
            with atomic_path(target) as path:
                path.write_bytes(bytes([number]) * 10_000)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(target.read_bytes())) == 1
    assert target.stat().st_size == 10_000
    assert not leftovers(tmp_path)


def test_atomic_write_into_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="a writable path"), atomic_path(tmp_path / "file" / "a"):
        pass
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileError, match="folder"), atomic_path(tmp_path / "folder") as path:
        path.touch()
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".hdf5", ".png"])
def test_full_disk(tmp_path, suffix):
    resource = pytest.importorskip("resource", reason="only POSIX can limit the size of files")
    if suffix == ".hdf5":
        pytest.importorskip("h5py", reason="the extra hdf5 is not installed")
    path = tmp_path / f"a{suffix}"
    write_scores(path, np.ones((2, 2)))
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(FileError, match="a writable path"):
            write_scores(path, RANDOM.random((200, 300)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert not leftovers(tmp_path)


# --- scores ---------------------------------------------------------------------------------------------

floats = st.sampled_from([np.float16, np.float32, np.float64])
shapes = hnp.array_shapes(min_dims=2, max_dims=3, max_side=6)


@many
@given(st.data(), floats, shapes, st.sampled_from([".npy", ".npz", ".hdf5", ".h5"]))
def test_float_scores_round_trip(tmp_path, data, dtype, shape, suffix):
    if suffix in (".hdf5", ".h5"):
        pytest.importorskip("h5py", reason="the extra hdf5 is not installed")
    scores = data.draw(hnp.arrays(dtype, shape, elements={"allow_nan": True}))
    path = tmp_path / f"a{suffix}"
    write_scores(path, scores)
    again, storage = read_score_file(path)
    assert again.dtype == storage.dtype == dtype
    expected = np.moveaxis(scores, -1, 0) if storage.channels_last else scores
    np.testing.assert_array_equal(again, expected)
    write_scores(
        path,
        again,
        dtype=storage.dtype,
        key=storage.key,
        compressed=storage.compressed,
        channels_last=storage.channels_last,
    )
    np.testing.assert_array_equal(read_scores(path), expected)


@many
@given(hnp.arrays(st.sampled_from([np.uint8, np.uint16]), hnp.array_shapes(min_dims=2, max_dims=2)))
def test_png_scores_round_trip(tmp_path, stored):
    path = tmp_path / "a.png"
    write_png(path, stored)
    scores, storage = read_score_file(path)
    assert storage.dtype == stored.dtype
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, stored.astype(np.float32) / np.iinfo(stored.dtype).max)
    write_scores(path, scores, dtype=storage.dtype)
    np.testing.assert_array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), stored)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_integer_arrays_are_fractions(tmp_path, suffix):
    stored = np.array([[0, 128, 255]], np.uint8)
    path = tmp_path / f"a{suffix}"
    np.save(path, stored) if suffix == ".npy" else np.savez(path, stored)
    scores, storage = read_score_file(path)
    np.testing.assert_allclose(scores, stored / 255, rtol=1e-6)
    write_scores(path, scores, dtype=storage.dtype, key=storage.key)
    loaded = np.load(path)
    np.testing.assert_array_equal(loaded if suffix == ".npy" else loaded["arr_0"], stored)


def test_scores_are_rounded_and_clipped(tmp_path):
    write_scores(tmp_path / "a.png", np.array([[-0.1, 0.5, 1.7, np.inf]]), dtype=np.uint8)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "a.png"), -1), [[0, 128, 255, 255]])
    write_scores(tmp_path / "b.png", np.array([[0.25]]))
    assert cv2.imread(str(tmp_path / "b.png"), -1) == 16384


def test_npz_keeps_key_and_compression(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, anomaly=np.ones((2, 3), ">f2"))
    scores, storage = read_score_file(path)
    assert (storage.key, storage.compressed, scores.dtype.isnative) == ("anomaly", True, True)
    write_scores(path, scores, dtype=storage.dtype, key="file", compressed=storage.compressed)
    assert np.load(path)["file"].dtype == np.float16
    with pytest.raises(FileError, match=r"'file'.*expected the array 'other'"):
        read_scores(path, key="other")
    np.savez(path, a=np.ones((2, 2)), b=np.zeros((2, 2)))
    with pytest.raises(FileError, match="'a', 'b', expected one array"):
        read_scores(path)
    assert read_scores(path, key="b").sum() == 0


def test_equal_arrays_give_equal_files(tmp_path):
    for suffix in (".npy", ".npz", ".png"):
        for name in "ab":
            write_scores(tmp_path / (name + suffix), np.full((9, 9), 0.5))
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_fortran_order(tmp_path):
    scores = np.asfortranarray(RANDOM.random((4, 5)))
    np.save(tmp_path / "a.npy", scores)
    np.savez(tmp_path / "a.npz", scores)
    for suffix in (".npy", ".npz"):
        again = read_scores(tmp_path / f"a{suffix}")
        assert again.flags.c_contiguous
        np.testing.assert_array_equal(again, scores)


def test_half_precision_overflow_is_named(tmp_path):
    with pytest.raises(ScoreRangeError, match=r"9e\+04, expected at most 6\.55e\+04.*geometric"):
        write_scores(tmp_path / "a.npy", np.array([[9e4, np.inf]], np.float32), dtype=np.float16)
    write_scores(tmp_path / "a.npy", np.array([[1e-9, np.inf, np.nan]], np.float32), dtype=np.float16)
    assert not leftovers(tmp_path)


def test_refused_writes(tmp_path):
    ones = np.ones((2, 3), np.float32)
    with pytest.raises(ShapeError, match=r"for \.png"):
        write_scores(tmp_path / "a.png", ones[None])
    with pytest.raises(ShapeError, match=r"for \.png"):
        write_scores(tmp_path / "a.png", ones, dtype=np.float32)
    with pytest.raises(DTypeError, match="float16, float32 or float64"):
        write_scores(tmp_path / "a.npy", ones.astype(int))
    with pytest.raises(DTypeError, match="array of int64"):
        write_scores(tmp_path / "a.npy", ones, dtype=np.int64)
    with pytest.raises(ScoreRangeError, match="nan"):
        write_scores(tmp_path / "a.png", ones * np.nan)
    with pytest.raises(FileError, match=r"suffix '\.txt'"):
        write_scores(tmp_path / "a.txt", ones)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "dtype", [np.int32, np.int64, np.uint32, np.complex64, bool, "U3", "M8[s]", np.longdouble]
)
def test_refused_element_types(tmp_path, dtype):
    array = np.zeros((2, 3), dtype)
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", array)
    for suffix in (".npy", ".npz"):
        with pytest.raises(DTypeError, match="float16, float32 or float64"):
            read_scores(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("shape", [(5,), (1, 1, 2, 2)])
def test_refused_shapes(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.zeros(shape))
    with pytest.raises(ShapeError, match=r"\(H, W\) or \(C, H, W\)"):
        read_scores(tmp_path / "a.npy")


class Canary:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    "call",
    [
        read_image,
        lambda name: read_scores(f"{name}.npy"),
        lambda name: read_region_map(f"{name}.png"),
        lambda name: write_scores(f"{name}.npy", np.zeros((3, 4), np.float32)),
        lambda name: write_region_map(f"{name}.npz", np.zeros((3, 4), np.int32)),
    ],
)
def test_a_name_that_no_file_can_have(tmp_path, call):
    for name in ("a\0b", "\ud800", "a\0/b"):
        with pytest.raises(FileError, match=r"null byte|surrogates|no file can have"):
            call(str(tmp_path / name))
    assert list(tmp_path.iterdir()) == []


def test_tensors_are_written_and_what_is_no_array_is_refused(tmp_path):
    ids = torch.tensor([[0, 7], [-1, 2]])
    write_region_map(tmp_path / "a.png", ids)
    assert read_region_map(tmp_path / "a.png").tolist() == ids.tolist()
    scores = torch.rand(3, 4, requires_grad=True)
    write_scores(tmp_path / "a.npy", scores)
    np.testing.assert_array_equal(read_scores(tmp_path / "a.npy"), scores.detach().numpy())
    with pytest.raises(DTypeError, match=r"RegionMap.*regions\.labels\[0\]"):
        write_region_map(tmp_path / "b.png", RegionMap(ids[None]))
    for value in ([[1]], None, "x", torch.zeros(3, 4, device="meta"), np.ma.masked_array(np.zeros((3, 4)))):
        with pytest.raises(CSLError, match=r"^labels"):
            write_region_map(tmp_path / "b.png", value)
        with pytest.raises(CSLError, match=r"^scores"):
            write_scores(tmp_path / "b.npy", value)
    assert {file.name for file in tmp_path.iterdir()} == {"a.png", "a.npy"}


def test_no_pickle_is_ever_loaded(tmp_path):
    canary = tmp_path / "canary"
    array = np.empty((2, 2), object)
    array[:] = Canary(canary)
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", array)
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Canary(canary)))
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Canary(canary)))
    structured = npy_head((2, 2), [("x", "|O")]) + pickle.dumps(Canary(canary))
    (tmp_path / "c.npy").write_bytes(structured)
    for path in sorted(tmp_path.glob("?.np?")):
        with pytest.raises(CSLError, match=path.name):
            read_scores(path)
    assert not canary.exists()


def crafted_npz(member, name="a.npy", method=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr(name, member)
    return stream.getvalue()


HOSTILE_ARRAYS = {
    "2^40 elements.npy": npy_head((2**20, 2**20)),
    "many classes.npy": npy_head((2**20, 1024, 1024)),
    "negative.npy": npy_head((-1, 5)),
    "empty axis.npy": npy_head((0, 5)),
    "cut.npy": npy_head((50, 50)) + bytes(9_999),
    "longer.npy": npy_head((50, 50)) + bytes(10_001),
    "long header.npy": b"\x93NUMPY\x02\0" + struct.pack("<I", 2**31) + b"{" * 5000,
    "version 9.npy": b"\x93NUMPY\x09\0" + bytes(50),
    "header of code.npy": b"\x93NUMPY\x01\0" + struct.pack("<H", 40) + b"__import__('os').getcwd()".ljust(40),
    "zero bytes.npy": b"",
    "text.npz": b"no archive",
    "bomb.npz": crafted_npz(npy_head((4, 4)) + bytes(200_000_000)),
    "declared bomb.npz": crafted_npz(npy_head((2**16, 2**16)) + bytes(1000)),
    "no arrays.npz": crafted_npz(b"text", "readme.txt"),
    "lying size.npz": crafted_npz(npy_head((4, 4)) + bytes(64)).replace(
        struct.pack("<I", len(npy_head((4, 4))) + 64), struct.pack("<I", 2**31)
    ),
    "damaged.npz": crafted_npz(npy_head((40, 40)) + bytes(6400), method=zipfile.ZIP_STORED).replace(
        bytes(100), b"\1" + bytes(99)
    ),
    "text.hdf5": b"no hdf5",
    "cut.hdf5": b"\x89HDF\r\n\x1a\n" + bytes(30),
    "color.png": encoded(".png"),
    "huge.png": png(10**5, 10**5, 16, 0),
    "4 bit.png": png(2, 2, 4, 0),
    "palette.png": png(2, 2, 8, 3),
    "jpeg.png": encoded(".jpg", PHOTO[..., 0]),
    "unknown.exr": b"...",
}


@pytest.mark.parametrize("name", HOSTILE_ARRAYS)
def test_hostile_score_files(tmp_path, name):
    if name.endswith("hdf5"):
        pytest.importorskip("h5py", reason="the extra hdf5 is not installed")
    path = tmp_path / name
    path.write_bytes(HOSTILE_ARRAYS[name])
    tracemalloc.start()
    with pytest.raises(FileError) as caught:
        read_scores(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert name in str(caught.value)
    assert peak < 5_000_000


@many
@given(st.sampled_from([".npy", ".npz"]), st.data())
def test_damaged_arrays_never_escape(tmp_path, suffix, data):
    path = tmp_path / f"a{suffix}"
    write_scores(path, np.zeros((3, 5)), compressed=data.draw(st.booleans()))
    damaged = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=4)):
        damaged[place] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))
    try:
        scores = read_scores(path)
    except CSLError:
        return
    assert scores.ndim in (2, 3)


def test_the_official_hdf5(tmp_path):
    h5py = pytest.importorskip("h5py", reason="the extra hdf5 is not installed")
    scores, storage = read_score_file(GOLDEN / "format_score_sample.hdf5")
    assert storage.dtype == scores.dtype == np.float16
    assert storage.key == "value"
    np.testing.assert_array_equal(scores, np.load(GOLDEN / "format_score_sample.npy"))
    write_scores(tmp_path / "a.hdf5", scores, dtype=storage.dtype, key=storage.key)
    with h5py.File(GOLDEN / "format_score_sample.hdf5") as ours, h5py.File(tmp_path / "a.hdf5") as theirs:
        for file in (ours, theirs):
            dataset = file["value"]
            assert (list(file), dict(file.attrs), dict(dataset.attrs)) == (["value"], {}, {})
            assert (dataset.dtype, dataset.compression, dataset.compression_opts) == (np.float16, "gzip", 9)
        np.testing.assert_array_equal(ours["value"], theirs["value"])


def test_hdf5_never_leaves_its_file(tmp_path):
    h5py = pytest.importorskip("h5py", reason="the extra hdf5 is not installed")
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(range(64)))
    write_scores(tmp_path / "secret.hdf5", np.ones((4, 4)))
    with h5py.File(tmp_path / "external.hdf5", "w") as file:
        file.create_dataset("value", (4, 4), "f4", external=[(str(secret), 0, 64)])
    with h5py.File(tmp_path / "virtual.hdf5", "w") as file:
        layout = h5py.VirtualLayout((4, 4), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.hdf5"), "value", (4, 4))
        file.create_virtual_dataset("value", layout)
    with h5py.File(tmp_path / "link.hdf5", "w") as file:
        file["value"] = h5py.ExternalLink(str(tmp_path / "secret.hdf5"), "value")
    for name, got in (("external", "in other files"), ("virtual", "in other files"), ("link", "arrays none")):
        with pytest.raises(FileError, match=f"{name}.hdf5: got .*{got}"):
            read_scores(tmp_path / f"{name}.hdf5")


def test_hdf5_sizes_are_checked_first(tmp_path):
    h5py = pytest.importorskip("h5py", reason="the extra hdf5 is not installed")
    with h5py.File(tmp_path / "huge.hdf5", "w") as file:
        file.create_dataset("value", (10**5, 10**5), "f4", chunks=(10, 10))
    with h5py.File(tmp_path / "chunk.hdf5", "w") as file:
        file.create_dataset("value", (1, 1), "f4", chunks=(20_000, 20_000), maxshape=(None, None))
    for name in ("huge", "chunk"):
        with pytest.raises(FileError, match=f"{name}.hdf5: got a declared shape"):
            read_scores(tmp_path / f"{name}.hdf5")
    with h5py.File(tmp_path / "objects.hdf5", "w") as file:
        file.create_dataset("value", data=[["a", "b"]])
    with pytest.raises(DTypeError, match=r"objects\.hdf5"):
        read_scores(tmp_path / "objects.hdf5")


def test_hdf5_without_h5py(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'csl-plugin\[hdf5\]'") as caught:
        write_scores(tmp_path / "a.hdf5", np.ones((2, 2)))
    assert isinstance(caught.value, ImportError)

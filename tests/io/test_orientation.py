"""Photographs that a camera stored turned: pixels as viewers and cv2.imread show them."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest

from csl_plugin.errors import ShapeError
from csl_plugin.io import read_image, read_label_png, read_region_map, read_scores, write_png
from csl_plugin.io.formats.exif import exif_orientation
from csl_plugin.io.orientation import check_orientation, stored_orientation

RANDOM = np.random.default_rng(3)
SMOOTH = cv2.resize(
    RANDOM.integers(0, 256, (4, 5, 3)).astype(np.uint8), (40, 24), interpolation=cv2.INTER_CUBIC
)
ORIENTATIONS = range(1, 9)


def block(value, order="<", kind=3, **others):
    """An EXIF block with entries of the orientation."""
    values = [value, *others.values()]
    entries = b"".join(
        struct.pack(order + "HHI", 0x112, kind, 1) + struct.pack(order + "HH", v, 0) for v in values
    )
    mark = b"II" if order == "<" else b"MM"
    return mark + struct.pack(order + "HIH", 42, 8, len(values)) + entries + bytes(4)


def jpeg(*segments, pixels=SMOOTH):
    data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    return data[:2] + b"".join(b"\xff\xe1" + struct.pack(">H", len(s) + 2) + s for s in segments) + data[2:]


def png(value, pixels=SMOOTH, *, late=False):
    data = cv2.imencode(".png", pixels)[1].tobytes()
    body = b"eXIf" + block(value)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    at = len(data) - 12 if late else 33
    return data[:at] + chunk + data[at:]


def webp(value):
    data = cv2.imencode(".webp", SMOOTH, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()[12:]
    height, width = SMOOTH.shape[:2]
    extended = (
        b"VP8X"
        + struct.pack("<II", 10, 8)
        + (width - 1).to_bytes(3, "little")
        + (height - 1).to_bytes(3, "little")
    )
    exif = block(value)
    body = b"WEBP" + extended + data + b"EXIF" + struct.pack("<I", len(exif)) + exif + bytes(len(exif) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


FILES = {
    "jpeg": lambda value: jpeg(b"Exif\0\0" + block(value)),
    "jpeg, big end first": lambda value: jpeg(b"Exif\0\0" + block(value, ">")),
    "jpeg after XMP": lambda value: jpeg(b"http://ns.adobe.com/xap/1.0/\0<x/>", b"Exif\0\0" + block(value)),
    "jpeg with two blocks": lambda value: jpeg(b"Exif\0\0" + block(value), b"Exif\0\0" + block(3)),
    "jpeg with two entries": lambda value: jpeg(b"Exif\0\0" + block(value, again=3)),
    "png": png,
    "png, after the pixels": lambda value: png(value, late=True),
    "webp": webp,
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("value", [*ORIENTATIONS, 0, 9])
def test_pixels_are_those_of_opencv(tmp_path, kind, value):
    path = tmp_path / "a"
    path.write_bytes(FILES[kind](6))
    if kind not in ("jpeg", "jpeg, big end first") and cv2.imread(str(path)).shape == SMOOTH.shape:
        pytest.skip("this version of OpenCV reads the orientation at the start of JPEG files alone")
    path.write_bytes(FILES[kind](value))
    seen = cv2.imread(str(path))
    assert value < 5 or value > 8 or seen.shape == (40, 24, 3)
    np.testing.assert_array_equal(read_image(path), seen[..., ::-1])


@pytest.mark.parametrize("value", ORIENTATIONS)
@pytest.mark.parametrize(
    ("form", "options"), [("JPEG", {}), ("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True})]
)
def test_pixels_are_those_of_pillow(tmp_path, value, form, options):
    pillow = pytest.importorskip("PIL.Image", reason="pillow makes the file")
    from PIL import ImageOps

    exif = pillow.Exif()
    exif[0x112] = value
    stream = io.BytesIO()
    pillow.fromarray(SMOOTH).save(stream, form, exif=exif, **options)
    (tmp_path / "a").write_bytes(stream.getvalue())
    shown = np.asarray(ImageOps.exif_transpose(pillow.open(stream)).convert("RGB"))
    found = read_image(tmp_path / "a")
    assert found.shape == shown.shape
    assert np.abs(found.astype(int) - shown).max() <= (20 if form == "JPEG" else 0)


@pytest.mark.parametrize(
    "data",
    [
        block(6)[:20],
        block(6)[:18],
        b"XX" + block(6)[2:],
        block(6).replace(b"*", b"+"),
        block(6, kind=4),
        block(6, ">", kind=1),
        b"",
        b"II*\0\xff\xff\xff\xff",
    ],
)
def test_strange_blocks_are_read_as_opencv_reads_them(tmp_path, data):
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(b"Exif\0\0" + data))
    turned = cv2.imread(str(path)).shape == (40, 24, 3)
    assert (exif_orientation(data) == 6) == turned
    assert read_image(path).shape == cv2.imread(str(path)).shape


def test_arrays_in_png_files_are_as_stored(tmp_path):
    path = tmp_path / "a.png"
    gray = RANDOM.integers(0, 256, (5, 9)).astype(np.uint8)
    path.write_bytes(png(6, gray))
    for read in (read_label_png, read_region_map):
        np.testing.assert_array_equal(read(path), gray)
    np.testing.assert_array_equal(np.rint(read_scores(path) * 255), gray)
    np.testing.assert_array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), gray)


@pytest.mark.parametrize("value", [5, 6, 7, 8])
def test_scores_of_the_stored_pixels_are_named(tmp_path, value):
    path = tmp_path / "photo.jpg"
    path.write_bytes(jpeg(b"Exif\0\0" + block(value)))
    shown = read_image(path)
    assert stored_orientation(path) == value
    stored = SMOOTH.astype(np.float32).transpose(2, 0, 1)
    with pytest.raises(
        ShapeError, match=f"photo.jpg: its EXIF orientation is {value}.*cv2.imread show"
    ) as error:
        check_orientation("a.npy", stored.shape, path, shown.shape)
    # The hint gives the array that fits.
    turn = error.value.hint.partition("turn it: ")[2].rstrip(".")
    mended = eval(turn, {"numpy": np, "a": stored})  # noqa: S307
    difference = mended.transpose(1, 2, 0)[..., ::-1] - shown.astype(np.float32)
    assert np.abs(difference).mean() < 10
    check_orientation("a.npy", shown.shape[:2], path, shown.shape)
    check_orientation("a.npy", (7, 7), path, shown.shape)
    with pytest.raises(ShapeError, match="EXIF orientation"):
        check_orientation("a.npy", (6, 10), path, shown.shape, scaled=True)
    check_orientation("a.npy", (10, 6), path, shown.shape, scaled=True)


def test_without_orientation_a_transposed_size_is_no_such_error(tmp_path):
    write_png(tmp_path / "a.png", SMOOTH)
    check_orientation("a.npy", (40, 24), tmp_path / "a.png", SMOOTH.shape)
    assert stored_orientation(tmp_path / "none.png") == 1

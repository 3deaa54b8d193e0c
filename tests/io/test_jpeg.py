"""JPEG files that a tool ended properly, whole and not: an incomplete picture is never a picture."""

import contextlib
import struct

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from csl_plugin.errors import FileError
from csl_plugin.io import read_image
from csl_plugin.io.formats import Damaged, read_layout

RANDOM = np.random.default_rng(11)
PHOTO = cv2.GaussianBlur(RANDOM.integers(0, 256, (83, 117, 3)).astype(np.uint8), (5, 5), 2)
FLAT = np.full((83, 117, 3), 128, np.uint8)
SKY = np.where(np.arange(83)[:, None, None] < 40, PHOTO, 128).astype(np.uint8)
BLACK = np.where(np.arange(83)[:, None, None] < 40, PHOTO, 0).astype(np.uint8)
END = b"\xff\xd9"

KINDS = {
    "plain": [],
    "coarse": [cv2.IMWRITE_JPEG_QUALITY, 30],
    "fine": [cv2.IMWRITE_JPEG_QUALITY, 100],
    "own codes": [cv2.IMWRITE_JPEG_OPTIMIZE, 1],
    "restarts": [cv2.IMWRITE_JPEG_RST_INTERVAL, 3],
    "4:4:4": [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444],
    "4:1:1": [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411],
    "progressive": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
    "progressive, fine": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_QUALITY, 99],
    "progressive, restarts": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 3],
}
PICTURES = {"photo": PHOTO, "gray end": SKY, "black end": BLACK, "gray": FLAT, "luma": PHOTO[..., 0]}


def encoded(picture, options):
    return cv2.imencode(".jpg", picture, options)[1].tobytes()


def scans(data):
    """Where the data of every scan starts and ends."""
    found, at = [], 0
    while (at := data.find(b"\xff\xda", at)) >= 0:
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
        end = at
        while data[end] != 0xFF or data[end + 1] == 0 or 0xD0 <= data[end + 1] <= 0xD7:
            end += 1
        found.append((at, end))
    return found


def read(folder, data):
    (folder / "half.jpg").write_bytes(data)
    return read_image(folder / "half.jpg")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("picture", PICTURES)
def test_whole_files_are_read(tmp_path, kind, picture):
    data = encoded(PICTURES[picture], KINDS[kind])
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(read(tmp_path, data), expected)
    np.testing.assert_array_equal(read(tmp_path, data + b"a thumbnail behind the end" + END), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (8, 8), (16, 16), (17, 1)])
@pytest.mark.parametrize("channels", [..., 0])
def test_pictures_of_a_few_blocks_are_read(tmp_path, kind, size, channels):
    data = encoded(FLAT[: size[0], : size[1], channels], KINDS[kind])
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(read(tmp_path, data), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("picture", ["photo", "luma"])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("all_scans", [True, False])
def test_half_a_file_that_was_ended_properly(tmp_path, kind, picture, kept, all_scans):
    data = encoded(PICTURES[picture][:80, :112], KINDS[kind])
    found = scans(data)
    start, end = (found[0][0] if all_scans else found[-1][0]), found[-1][1]
    cut = data[: start + int(kept * (end - start))].rstrip(b"\xff") + END
    with pytest.raises(FileError, match=r"half\.jpg: got .*(missing|incomplete|ends early|too few)"):
        read(tmp_path, cut)


@pytest.mark.parametrize("restart", [0, 5, -1])
def test_a_part_between_restarts_is_missing(tmp_path, restart):
    data = encoded(PHOTO, KINDS["restarts"])
    start, end = scans(data)[0]
    marks = [n for n in range(start, end) if data[n] == 0xFF and 0xD0 <= data[n + 1] <= 0xD7]
    places = [start, *marks, end]
    first, second = places[restart if restart >= 0 else -2], places[restart + 1 if restart >= 0 else -1]
    with pytest.raises(FileError, match=r"parts are missing|ends early"):
        read(tmp_path, data[:first] + data[second:])


@pytest.mark.parametrize("kind", ["plain", "4:4:4", "own codes"])
def test_a_hole_in_the_file(tmp_path, kind):
    data = bytearray(encoded(cv2.resize(PHOTO, (640, 480)), KINDS[kind]))
    middle = sum(scans(bytes(data))[0]) // 2
    data[middle : middle + 1024] = bytes(1024)
    with pytest.raises(FileError, match=r"missing|too many|no code"):
        read(tmp_path, bytes(data))


@pytest.mark.parametrize("scan", range(10))
def test_a_progressive_file_without_a_scan(tmp_path, scan):
    data = encoded(PHOTO, KINDS["progressive"])
    start, end = scans(data)[scan]
    start = data.rfind(b"\xff\xda", 0, start)
    with pytest.raises(FileError, match=r"without its last scans|do not follow|without a picture"):
        read(tmp_path, data[:start] + data[end:])


def test_components_in_scans_of_their_own(tmp_path):
    pillow = pytest.importorskip("PIL.Image", reason="pillow makes the file")
    pillow.fromarray(PHOTO).convert("CMYK").save(tmp_path / "a.jpg", progressive=True)
    data = (tmp_path / "a.jpg").read_bytes()
    assert read(tmp_path, data).shape == PHOTO.shape
    for start, end in scans(data)[1:]:
        with pytest.raises(FileError):
            read(tmp_path, data[: (start + end) // 2].rstrip(b"\xff") + END)


def test_a_thousand_scans_are_refused_at_once():
    data = encoded(np.full((640, 640), 128, np.uint8), KINDS["progressive"])
    start, end = scans(data)[-1]
    scan = data[data.rfind(b"\xff\xda", 0, start) : end]
    scan = scan[: start - end - 1] + b"\x00" + scan[start - end :]  # again, not a refinement
    read_layout(data[:-2] + 5 * scan + END)
    with pytest.raises(Damaged, match="more than 100 scans, more than any common file"):
        read_layout(data[:-2] + 1000 * scan + END)


def test_a_size_beyond_what_the_bytes_can_hold(tmp_path):
    data = encoded(FLAT, [])
    frame = data.find(b"\xff\xc0") + 5
    for side in (600, 9000):
        with pytest.raises(FileError, match="too few bytes for a declared size"):
            read(tmp_path, data[:frame] + struct.pack(">HH", side, side) + data[frame + 4 :])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(KINDS)), st.data())
def test_damaged_files_end_in_a_file_error(tmp_path, kind, data):
    damaged = bytearray(encoded(SKY, KINDS[kind]))
    for place in data.draw(st.lists(st.integers(2, len(damaged) - 1), min_size=1, max_size=4)):
        damaged[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(FileError):
        assert read(tmp_path, bytes(damaged)).ndim == 3

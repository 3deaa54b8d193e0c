"""Region maps in files, and a folder of them as a proposer."""

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from csl_plugin.errors import DTypeError, FileError, OptionError, ScoreRangeError, ShapeError
from csl_plugin.io import read_region_map, write_png, write_region_map
from csl_plugin.proposers import RegionMapFolder

many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
sizes = hnp.array_shapes(min_dims=2, max_dims=2, max_side=8)


@many
@given(hnp.arrays(np.int32, sizes, elements=st.integers(-1, 65534)), st.sampled_from(["png", "npz"]))
def test_round_trip(tmp_path, labels, suffix):
    path = tmp_path / f"ü.{suffix}"
    write_region_map(path, labels)
    again = read_region_map(path)
    assert again.dtype == np.int32
    np.testing.assert_array_equal(again, labels)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.uint32, np.int64, ">i4"])
def test_any_integer_type(tmp_path, dtype):
    labels = np.array([[0, 1], [2, 3]], dtype)
    write_region_map(tmp_path / "a.png", labels)
    np.savez(tmp_path / "a.npz", labels)
    np.testing.assert_array_equal(read_region_map(tmp_path / "a.png"), labels)
    np.testing.assert_array_equal(read_region_map(tmp_path / "a.npz"), labels)


def test_png_is_16_bit_with_65535_for_unassigned(tmp_path):
    write_region_map(tmp_path / "a.png", np.array([[-1, 0, 65534]]))
    stored = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    assert stored.dtype == np.uint16
    np.testing.assert_array_equal(stored, [[65535, 0, 65534]])


def test_8_bit_png_holds_ids_only(tmp_path):
    write_png(tmp_path / "a.png", np.array([[0, 254, 255]], np.uint8))
    np.testing.assert_array_equal(read_region_map(tmp_path / "a.png"), [[0, 254, 255]])


def test_uint16_npz_holds_ids_only(tmp_path):
    np.savez(tmp_path / "a.npz", np.array([[65535]], np.uint16))
    assert read_region_map(tmp_path / "a.npz") == 65535


def test_npz_prefers_labels(tmp_path):
    np.savez(tmp_path / "a.npz", labels=np.array([[4]]), other=np.array([[5]]))
    assert read_region_map(tmp_path / "a.npz") == 4
    np.savez(tmp_path / "a.npz", one=np.array([[4]]), other=np.array([[5]]))
    with pytest.raises(FileError, match="'one', 'other', expected one array, or 'labels'"):
        read_region_map(tmp_path / "a.npz")


def test_too_many_regions_for_png(tmp_path):
    labels = np.arange(65536).reshape(256, 256)
    with pytest.raises(ScoreRangeError, match=r"the id 65535 for a\.png, .* 65535 regions.*\.npz"):
        write_region_map(tmp_path / "a.png", labels)
    assert not list(tmp_path.iterdir())
    write_region_map(tmp_path / "a.npz", labels)
    np.testing.assert_array_equal(read_region_map(tmp_path / "a.npz"), labels)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (np.zeros((2, 2)), DTypeError, "integer region ids"),
        (np.zeros((2, 2), bool), DTypeError, "integer region ids"),
        (np.zeros((1, 2, 2), int), ShapeError, r"\(H, W\)"),
        (np.zeros((0, 2), int), ShapeError, "at least 1"),
        (np.array([[-2]]), ScoreRangeError, "from -2 to -2"),
        (np.array([[2**31 - 1]]), ScoreRangeError, "from -1 to 2147483646"),
        (np.array([[2**63]], np.uint64), ScoreRangeError, "from -1 to 2147483646"),
    ],
)
def test_refusals(tmp_path, labels, error, message):
    with pytest.raises(error, match=message):
        write_region_map(tmp_path / "a.npz", labels)
    assert not list(tmp_path.iterdir())
    if labels.size:
        np.savez(tmp_path / "b.npz", labels)
        with pytest.raises(error, match=message):
            read_region_map(tmp_path / "b.npz")


def test_refused_files(tmp_path):
    write_png(tmp_path / "rgb.png", np.zeros((3, 3, 3), np.uint8))
    with pytest.raises(FileError, match=r"rgb\.png: got 8-bit RGB, expected an 8- or 16-bit gray PNG"):
        read_region_map(tmp_path / "rgb.png")
    (tmp_path / "text.npz").write_text("nothing")
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps([1]))
    for name in ("text.npz", "pickle.npz"):
        with pytest.raises(FileError, match=name):
            read_region_map(tmp_path / name)
    for read in (read_region_map, lambda path: write_region_map(path, np.zeros((1, 1), int))):
        with pytest.raises(FileError, match=r"suffix '\.jpg'"):
            read(tmp_path / "a.jpg")


# --- the folder as a proposer ---------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    write_region_map(tmp_path / "a.png", np.array([[0, 0, 1], [2, -1, 1]]))
    write_region_map(tmp_path / "straße 2.npz", np.array([[7, 7, 7], [7, 7, 70000]]))
    write_region_map(tmp_path / "small.png", np.array([[0]]))
    return RegionMapFolder(tmp_path)


def test_folder_gives_a_batch(folder):
    (regions,) = folder(torch.rand(2, 3, 2, 3), names=["straße 2", "a"])
    assert regions.labels.dtype == torch.int32
    assert regions.labels.tolist() == [[[7, 7, 7], [7, 7, 70000]], [[0, 0, 1], [2, -1, 1]]]
    assert regions.num_regions == 70001
    assert len(folder) == 3
    assert folder(torch.rand(1, 3, 1, 1), names=["small"])[0].size == (1, 1)


def test_folder_follows_the_images_device(folder):
    assert folder(torch.rand(1, 3, 2, 3, device="meta"), names=["a"])[0].device.type == "meta"


@pytest.mark.parametrize("names", [None, ["a"], ["a", "a", "a"], "aa"])
def test_folder_needs_names(folder, names):
    with pytest.raises(OptionError, match=r"proposer\(images, names=\[stem, \.\.\.\]\)"):
        folder(torch.rand(2, 3, 2, 3), names=names)


def test_folder_errors(folder, tmp_path):
    with pytest.raises(FileError, match="no region map named 'b'"):
        folder(torch.rand(1, 3, 2, 3), names=["b"])
    with pytest.raises(ShapeError, match=r"small\.png: got size \(1, 1\), expected the image's, \(2, 3\)"):
        folder(torch.rand(1, 3, 2, 3), names=["small"])
    with pytest.raises(FileError, match=r"nowhere: got nothing there"):
        RegionMapFolder(tmp_path / "nowhere")
    with pytest.raises(FileError, match=r"a\.png: got a file"):
        RegionMapFolder(tmp_path / "a.png")
    Path(tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match="csl-plugin propose"):
        RegionMapFolder(tmp_path / "empty")
    write_region_map(tmp_path / "a.npz", np.array([[0]]))
    with pytest.raises(FileError, match=r"a\.npz and a\.png"):
        RegionMapFolder(tmp_path)

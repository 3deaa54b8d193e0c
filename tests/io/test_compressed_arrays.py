"""Compressed arrays: every honest way to store them is read, and what a chunk unpacks to is counted first."""

import io
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from csl_plugin.errors import FileError
from csl_plugin.io import read_scores
from csl_plugin.io.numpy_files import read_arrays
from csl_plugin.io.zip_directory import directory_bytes

RANDOM = np.random.default_rng(5)
NOISE = RANDOM.random((70, 90)).astype(np.float32)
SMOOTH = np.add.outer(np.arange(70), np.arange(90)).astype(np.float32) / 160


@pytest.mark.parametrize("compression", [None, "gzip", "lzf"])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("fletcher32", [False, True])
@pytest.mark.parametrize("chunks", [(70, 90), (32, 32), None])
@pytest.mark.parametrize("scores", [NOISE, SMOOTH, SMOOTH.astype(np.float16)], ids=["noise", "ramp", "half"])
def test_every_usual_hdf5_storage(tmp_path, compression, shuffle, fletcher32, chunks, scores):
    h5py = pytest.importorskip("h5py", reason="the extra hdf5 is not installed")
    settings = {"compression": compression, "shuffle": shuffle, "fletcher32": fletcher32, "chunks": chunks}
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file.create_dataset("value", data=scores, **settings)
    np.testing.assert_array_equal(read_scores(tmp_path / "a.hdf5"), scores)


@pytest.mark.parametrize("kept", [0, 200, -4])
def test_a_chunk_that_was_cut(tmp_path, kept):
    h5py = pytest.importorskip("h5py", reason="the extra hdf5 is not installed")
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        made = file.create_dataset("value", SMOOTH.shape, "f4", chunks=SMOOTH.shape, compression="gzip")
        packed = zlib.compress(SMOOTH.tobytes())
        made.id.write_direct_chunk((0, 0), packed[:kept] if kept else packed)
    if kept == 0:
        np.testing.assert_array_equal(read_scores(tmp_path / "a.hdf5"), SMOOTH)
        return
    with pytest.raises(FileError, match="a chunk of other than its 25200 bytes"):
        read_scores(tmp_path / "a.hdf5")


def test_values_that_were_never_written(tmp_path):
    h5py = pytest.importorskip("h5py", reason="the extra hdf5 is not installed")
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        made = file.create_dataset("value", (64, 64), "f4", chunks=(32, 32))
        made[:32] = 1
    with pytest.raises(FileError, match=r"8192 stored bytes|2 of 4 chunks"):
        read_scores(tmp_path / "a.hdf5")


def test_maps_of_one_value_are_read(tmp_path):
    constant = np.full((19, 512, 512), 0.5, np.float16)
    np.savez_compressed(tmp_path / "a.npz", constant)
    np.testing.assert_array_equal(read_scores(tmp_path / "a.npz"), constant)


@pytest.mark.parametrize("comment", [b"", b"a comment"])
@pytest.mark.parametrize("most", [2, 65535])
def test_the_length_of_the_list_is_read_from_its_end(comment, most, monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", most)  # beyond it, in the form of 64 bits
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number in range(3):
            archive.writestr(f"{number:05}", b"")
        archive.comment = comment
    with zipfile.ZipFile(stream) as archive:
        members = len(archive.namelist())
    assert directory_bytes(stream) == members * (46 + 5)
    assert directory_bytes(io.BytesIO(b"PK\5\6")) == 0
    assert directory_bytes(io.BytesIO(b"")) == 0


HEADERS = {
    "numpy": "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
    "another order": '{"shape":(2,3),"fortran_order":False,"descr":"<f4"}',
    "Python 2": "{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 3L), }",
    "Fortran": "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }",
}


@pytest.mark.parametrize("kind", HEADERS)
@pytest.mark.parametrize("version", [1, 2])
def test_headers_of_other_writers(tmp_path, kind, version):
    header = HEADERS[kind].encode().ljust(100) + b"\n"
    start = b"\x93NUMPY" + bytes([version, 0]) + len(header).to_bytes(2 if version == 1 else 4, "little")
    values = np.arange(6, dtype="<f4")
    (tmp_path / "a.npy").write_bytes(start + header + values.tobytes())
    expected = values.reshape((2, 3), order="F" if kind == "Fortran" else "C")
    np.testing.assert_array_equal(read_scores(tmp_path / "a.npy"), expected)


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1" * 40_000,
        "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1, " * 10_000 + "), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'shape': (2, 3), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2 3), }",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3), }",
        "{'descr': 'nonsense', 'fortran_order': False, 'shape': (2, 3), }",
        "{'descr': '<f4', 'fortran_order': __import__('os'), 'shape': (2, 3), }",
        "{" * 60_000,
    ],
)
def test_headers_that_no_writer_makes(tmp_path, header):
    text = header.encode()
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\2\0" + len(text).to_bytes(4, "little") + text + bytes(24))
    with pytest.raises(FileError, match=r"a\.npy"):
        read_scores(tmp_path / "a.npy")


def test_many_threads_read_at_once(tmp_path):
    np.save(tmp_path / "a.npy", SMOOTH)
    with ThreadPoolExecutor(16) as pool:
        for found in pool.map(read_scores, [tmp_path / "a.npy"] * 400):
            np.testing.assert_array_equal(found, SMOOTH)


def test_the_arrays_of_a_name_are_read_in_any_shape(tmp_path):
    held = {
        "a/bins": np.arange(6).reshape(2, 3),
        "a/none": np.zeros((0, 4)),
        "a/one": np.array(3.5),
        "b/x": NOISE,
    }
    np.savez_compressed(tmp_path / "a.npz", **held)
    found = read_arrays(tmp_path / "a.npz", "a/")
    assert list(found) == ["bins", "none", "one"]
    for name, values in found.items():
        np.testing.assert_array_equal(values, held[f"a/{name}"])
        assert values.dtype == held[f"a/{name}"].dtype


def test_arrays_are_counted_together_before_they_are_read(tmp_path):
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": (3 << 30,)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name in ("a/x", "a/y"):
            archive.writestr(f"{name}.npy", head.getvalue())
    with pytest.raises(FileError, match="declares 3221225600"):
        read_arrays(tmp_path / "a.npz", "a/x")
    np.savez_compressed(tmp_path / "b.npz", **{"a/x": np.zeros(300 << 20, np.uint8)})
    with pytest.raises(FileError, match="in memory"):
        read_arrays(tmp_path / "b.npz", "a/")
    (tmp_path / "c.npz").write_bytes(b"PK")
    with pytest.raises(FileError, match="cannot be read"):
        read_arrays(tmp_path / "c.npz", "a/")

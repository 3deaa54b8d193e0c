"""HDF5 files of one dataset, as the official SegmentMeIfYouCan tool writes and reads them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from csl_plugin.errors import FileError, MissingExtraError
from csl_plugin.io.atomic import atomic_path
from csl_plugin.io.hdf5_chunks import check_storage
from csl_plugin.io.limits import as_file_error, check_extent
from csl_plugin.io.numpy_files import Check, pick_key
from csl_plugin.io.opening import opened
from csl_plugin.places import AnyPath, place_of

OFFICIAL_KEY = "value"


def read_hdf5(path: AnyPath, check: Check, key: str | None = None) -> tuple[NDArray[Any], str]:
    """One dataset of an HDF5 file and its key.

    Datasets in other files (external links, external or virtual storage) are not followed. Sizes are checked
    before memory is allocated, and every chunk is unpacked within its declared size first. But the HDF5
    library itself parses the structure, and it is not hardened: a forged file can make it loop forever.
    Prefer .npy for files from unknown sources.

    Args:
        path: The file.
        check: Called with the declared shape and element type before the values are read.
        key: The dataset. Default: `value` if the file has it, else its only dataset.

    Raises:
        FileError: Missing, damaged, too large, no such dataset, or a dataset in another file.
        MissingExtraError: h5py is not installed.
    """
    h5py = _h5py(path)
    path = place_of(path)
    with (
        as_file_error(path, "an HDF5 file"),
        opened(path) as (stream, total),
        h5py.File(path if isinstance(path, Path) else stream, "r") as file,
    ):
        own = [name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)]
        key = pick_key(
            path, [name for name in own if isinstance(file[name], h5py.Dataset)], key, OFFICIAL_KEY
        )
        dataset = file[key]
        if dataset.external or dataset.is_virtual:
            got = f"a dataset {key!r} with values in other files"
            raise FileError(str(path), got, "values in the file itself", "Copy them into one file.")
        shape = tuple(int(axis) for axis in dataset.shape or (0,))
        check_extent(path, shape, dataset.dtype.itemsize)
        check(shape, dataset.dtype)
        check_storage(path, dataset, total)
        return np.asarray(dataset[...]), key


def write_hdf5(path: AnyPath, array: NDArray[Any], key: str = OFFICIAL_KEY) -> None:
    """Write an HDF5 file of one dataset (gzip level 9, no attributes) atomically.

    Raises:
        FileError: The path cannot be written.
        MissingExtraError: h5py is not installed.
    """
    h5py = _h5py(path)
    # Built in memory: on a full disk h5py can neither write nor close an open file.
    # The name must be unique: two threads would share the file otherwise.
    with h5py.File(f"memory-{uuid4().hex}", "w", driver="core", backing_store=False) as file:
        file.create_dataset(key, data=array, compression="gzip", compression_opts=9)
        file.flush()
        image = file.id.get_file_image()
    with atomic_path(path) as temporary:
        temporary.write_bytes(image)


def _h5py(path: AnyPath) -> ModuleType:
    try:
        import h5py
    except ImportError as error:
        hint = "Install it with: pip install 'csl-plugin[hdf5]'"
        raise MissingExtraError(str(path), "no module h5py", "the extra `hdf5`", hint) from error
    return h5py  # type: ignore[no-any-return]

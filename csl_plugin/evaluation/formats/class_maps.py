"""Predicted classes as 8-bit PNG: class indices, or the label ids that the Cityscapes evaluator reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from csl_plugin.errors import FileError
from csl_plugin.io import write_png
from csl_plugin.io.images import read_gray_png

_NONE = 255


def write_classes(path: Path, classes: NDArray[np.uint8], ids: Sequence[int] | None = None) -> None:
    """Write class indices, or their ids. 255 stays 255; with ids it becomes 0, Cityscapes' "unlabeled".

    Args:
        path: A .png file.
        classes: (H, W) class indices, 255 for none.
        ids: The id of each index, in 0 ... 254.

    Raises:
        FileError: The path cannot be written.
    """
    write_png(path, classes if ids is None else _table(ids)[classes])


def read_classes(path: Path, ids: Sequence[int] | None = None) -> NDArray[np.uint8]:
    """Read the class indices that `write_classes` wrote.

    Raises:
        FileError: The file cannot be read, or is not an 8-bit PNG.
    """
    stored = read_gray_png(path)
    if stored.dtype != np.uint8:
        raise FileError(str(path), "a 16-bit PNG", "an 8-bit one", "Recompute it with --overwrite.")
    if ids is None:
        return np.asarray(stored, dtype=np.uint8)
    indices = np.full(256, _NONE, np.uint8)
    indices[list(ids)] = np.arange(len(ids), dtype=np.uint8)
    return np.asarray(indices[stored], dtype=np.uint8)


def _table(ids: Sequence[int]) -> NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    table[: len(ids)] = ids
    return table

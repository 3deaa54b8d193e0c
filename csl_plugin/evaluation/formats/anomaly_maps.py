"""Fused anomaly maps in the formats of the official tools: SegmentMeIfYouCan's HDF5 and Fishyscapes' .npy."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from csl_plugin.evaluation.records import file_stem
from csl_plugin.io import write_scores


def anomaly_path(folder: Path, method: str, output_name: str, frame: str, *, fishyscapes: bool) -> Path:
    """The path of a frame's map.

    `scores/<method>/<output_name>/<frame>.hdf5` is the tree `outputs/anomaly_p` of the SegmentMeIfYouCan
    tool; without h5py the suffix is `.npy`. Fishyscapes requires `<frame>_anomaly.npy`.

    Example:
        >>> anomaly_path(Path("out"), "m", "FS", "0001_a", fishyscapes=True).as_posix()
        'out/scores/m/FS/0001_a_anomaly.npy'
    """
    official = ".hdf5" if importlib.util.find_spec("h5py") else ".npy"
    ending = "_anomaly.npy" if fishyscapes else official
    return folder / "scores" / file_stem(method) / file_stem(output_name) / f"{file_stem(frame)}{ending}"


def write_anomaly(path: Path, stored: NDArray[np.float16], *, fishyscapes: bool) -> None:
    """Write a map atomically: float16, as the SegmentMeIfYouCan tool stores it, or float32 for Fishyscapes.

    Args:
        path: From `anomaly_path`.
        stored: (H, W), from `csl_plugin.evaluation.formats.float16.to_float16`.
        fishyscapes: Whether it is for Fishyscapes.

    Raises:
        FileError: The path cannot be written.
    """
    write_scores(path, stored.astype(np.float32) if fishyscapes else stored)

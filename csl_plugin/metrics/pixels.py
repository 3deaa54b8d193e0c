"""One frame's scores and labels, and the scores of its anomalous and normal pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.arrays import Array, as_array, describe
from csl_plugin.errors import DTypeError, ShapeError

_DTYPES = (np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.uint8))


def read_frame(scores: Array, labels: Array) -> tuple[NDArray[Any], NDArray[Any]]:
    """Scores and labels as numpy arrays of one shape.

    Args:
        scores: (H, W) float16, bfloat16, float32, float64 or uint8; higher is more anomalous.
        labels: (H, W) integers: 0 normal, 1 anomaly, everything else void.

    Returns:
        The scores in their own element type (bfloat16 as float32), and the labels.

    Raises:
        ShapeError: Not (H, W), or not the same.
        DTypeError: Scores or labels of another element type.
    """
    score_map, label_map = _to_numpy("scores", scores), read_labels(labels)
    if score_map.dtype not in _DTYPES:
        hint = "Convert them with .astype(numpy.float32)."
        raise DTypeError("scores", describe(scores), "floating-point or uint8 scores", hint)
    _check_frame("scores", score_map, scores)
    if score_map.shape != label_map.shape:
        hint = "Resize the scores to the size of the labels first."
        raise ShapeError("scores", f"shape {score_map.shape}", f"the labels', {label_map.shape}", hint)
    return score_map, label_map


def read_labels(labels: Array) -> NDArray[Any]:
    """Labels as an (H, W) numpy array.

    Args:
        labels: (H, W) integers: 0 normal, 1 anomaly, everything else void.

    Raises:
        ShapeError: Not (H, W), or empty.
        DTypeError: Not integers.
    """
    label_map = _to_numpy("labels", labels)
    if label_map.dtype.kind not in "iub":
        hint = "Pass 0 for normal, 1 for anomalous and 255 for void pixels."
        raise DTypeError("labels", describe(labels), "integers", hint)
    _check_frame("labels", label_map, labels)
    return label_map


def scores_by_label(scores: Array, labels: Array) -> tuple[NDArray[Any], NDArray[Any]]:
    """The scores of a frame's anomalous pixels and of its normal pixels, one-dimensional.

    Raises:
        ShapeError, DTypeError: As for `read_frame`.
    """
    score_map, label_map = read_frame(scores, labels)
    return score_map[label_map == 1], score_map[label_map == 0]


def _to_numpy(argument: str, value: Array) -> NDArray[Any]:
    if isinstance(value, np.ndarray) and type(value) in (np.ndarray, np.memmap):
        return np.asarray(value, value.dtype.newbyteorder("="))
    return as_array(argument, value)


def _check_frame(argument: str, array: NDArray[Any], given: Array) -> None:
    if array.ndim != 2 or 0 in array.shape:
        hint = "Pass one frame at a time, without batch and channel axes."
        raise ShapeError(argument, describe(given), "(H, W), every axis at least 1", hint)

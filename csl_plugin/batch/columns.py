"""The columns of a batch: one array for each row, of one size or of several."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from csl_plugin.arrays import as_array, describe, shown
from csl_plugin.errors import DTypeError, OptionError, ScoreRangeError, ShapeError

_NAMED = 8
_OTHER_COLORS = ("YCbCr", "LAB", "HSV")  # which have three channels too
_OF_A_DICT = "Pass {name: column}, as Ray Data's batch_format='numpy' and datasets' batched=True do."


def rows_of(batch: MutableMapping[str, Any], names: Sequence[str]) -> list[tuple[Any, ...]]:
    """The rows of a batch: for each the values of the named columns.

    Args:
        batch: Columns by name, each a stacked array, an array of objects or a list.
        names: Of the columns that are read.

    Raises:
        DTypeError: No dict of columns.
        OptionError: A column is missing.
        ShapeError: Columns of different lengths.
    """
    if not isinstance(batch, MutableMapping):
        raise DTypeError("batch", describe(batch), "a dict of columns", _OF_A_DICT)
    for name in names:
        if name not in batch:
            held = ", ".join(map(shown, list(batch)[:_NAMED])) + (", ..." if len(batch) > _NAMED else "")
            hint = f"Name the column where the Fuser is made, as in Fuser(image={name!r})."
            raise OptionError("batch", f"the columns {held or 'none'}", f"a column {name!r}", hint)
    columns = [batch[name] for name in names]
    for name, column in zip(names, columns, strict=True):
        if not hasattr(column, "__len__") or getattr(column, "ndim", 1) == 0:
            raise DTypeError(name, shown(column), "a column of one value for each row", _OF_A_DICT)
    counts = {name: len(column) for name, column in zip(names, columns, strict=True)}
    if len(set(counts.values())) > 1:
        got = ", ".join(f"{count} rows of {name!r}" for name, count in counts.items())
        raise ShapeError("batch", got, "columns of one length", "Give every row one value of each column.")
    return list(zip(*columns, strict=True))


def dense(column: str, value: Any) -> NDArray[Any]:
    """The value of a row as an array: an array, a tensor, a picture of Pillow, or nested lists of numbers.

    Raises:
        DTypeError: No numbers, as where a value is missing, or a masked array.
        ShapeError: Rows of different lengths.
    """
    if isinstance(value, (torch.Tensor, np.ma.MaskedArray)):  # numpy drops masks, and takes not all tensors
        value = as_array(column, value)
    try:
        array = np.asarray(value)
    except ValueError as error:  # lists of different lengths
        raise ShapeError(column, "rows of different lengths", "an array", "See how it is stored.") from error
    if array.dtype == object and array.ndim:  # Arrow gives nested lists as arrays of arrays
        parts = [dense(column, part) for part in array]
        if len({part.shape for part in parts}) > 1:
            got = "rows of different lengths"
            raise ShapeError(column, got, "an array", "See how the column is stored.")
        array = np.stack(parts) if parts else np.empty(0)
    if array.dtype.kind not in "biuf":
        got = describe(array) if array.ndim else shown(value)
        raise DTypeError(column, got, "an array of numbers", "Decode it first; drop rows without a value.")
    return array


def pixels_of(column: str, value: Any) -> NDArray[np.uint8]:
    """The image of a row.

    Returns:
        (H, W, 3) uint8.

    Raises:
        DTypeError: No integers.
        ShapeError: Not (H, W, 3), or an empty axis.
        ScoreRangeError: Integers that are no bytes.
    """
    mode = getattr(value, "mode", None)  # of a picture of Pillow
    if isinstance(mode, str) and mode in _OTHER_COLORS:
        raise ShapeError(column, f"a picture in {mode}", "RGB", "Convert it: image.convert('RGB').")
    image = dense(column, value)
    if image.dtype.kind not in "iu":
        hint = "Undo the normalization: (255 * image).round().astype(numpy.uint8)."
        raise DTypeError(column, describe(image), "integers from 0 to 255", hint)
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        hint = "Convert it to RGB, channels last: image.convert('RGB') of Pillow does."
        raise ShapeError(column, f"shape {image.shape}", "(H, W, 3), every axis at least 1", hint)
    if image.dtype != np.uint8:  # datasets gives every integer as int64
        low, high = int(image.min()), int(image.max())
        if low < 0 or high > 255:
            hint = "Scale it to 8 bits."
            raise ScoreRangeError(column, f"values from {low} to {high}", "integers from 0 to 255", hint)
        image = image.astype(np.uint8)
    return image


def as_column(rows: list[NDArray[Any]]) -> NDArray[Any] | list[NDArray[Any]]:
    """One array for all rows where they have one shape and type, else the list of them."""
    alike = len({(row.shape, row.dtype) for row in rows}) == 1
    return np.stack(rows) if alike else rows

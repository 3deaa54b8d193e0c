"""The columns of a batch: one array for each row, of one size or of several."""

from __future__ import annotations

import os
from collections.abc import MutableMapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from csl_plugin.arrays import as_array, describe, shown
from csl_plugin.errors import DTypeError, OptionError, ScoreRangeError, ShapeError
from csl_plugin.io.pillow_pictures import is_picture
from csl_plugin.proposers.images import read_images

_NAMED = 8
_OF_A_DICT = "Pass {name: column}, as Ray Data's batch_format='numpy' and datasets' batched=True do."
_OF_ROWS = "Give every column an axis of rows first: {name: value[None]}, or a list of one value."


def rows_of(batch: MutableMapping[str, Any], names: Sequence[str]) -> list[tuple[Any, ...]]:
    """The rows of a batch: for each the values of the named columns.

    Args:
        batch: Columns by name, each a stacked array, an array of objects or a list.
        names: Of the columns that are read: of images, of scores, others.

    Raises:
        DTypeError: No dict of columns.
        OptionError: A column is missing.
        ShapeError: Columns of different lengths, or without an axis of rows.
    """
    if not isinstance(batch, MutableMapping):
        raise DTypeError("batch", describe(batch), "a dict of columns", _OF_A_DICT)
    for name in names:
        if name not in batch:
            held = ", ".join(map(shown, list(batch)[:_NAMED])) + (", ..." if len(batch) > _NAMED else "")
            hint = f"Name the column where the Fuser is made, as in Fuser(image={name!r})."
            raise OptionError("batch", f"the columns {held or 'none'}", f"a column {name!r}", hint)
    columns = [batch[name] for name in names]
    check_rows(names[0], columns[0], names[1], columns[1])
    for name, column in zip(names, columns, strict=True):
        if not hasattr(column, "__len__") or getattr(column, "ndim", 1) == 0:
            raise DTypeError(name, shown(column), "a column of one value for each row", _OF_ROWS)
    counts = {name: len(column) for name, column in zip(names, columns, strict=True)}
    if len(set(counts.values())) > 1:
        got = ", ".join(f"{count} rows of {name!r}" for name, count in counts.items())
        raise ShapeError("batch", got, "columns of one length", "Give every row one value of each column.")
    return list(zip(*columns, strict=True))


def check_rows(column: str, images: Any, scores_column: str, scores: Any) -> None:
    """Refuse columns of one row without the axis of rows: an image (H, W, 3), or scores (H, W).

    Raises:
        ShapeError: They are such.
    """
    if getattr(images, "ndim", 0) == 3 and images.shape[-1] == 3:
        got = f"one image of size {tuple(images.shape)}"
        raise ShapeError(column, got, "a column of images, such as (rows, H, W, 3)", _OF_ROWS)
    if getattr(scores, "ndim", 0) == 2:
        expected = "a column of maps, (rows, H, W) or (rows, C, H, W)"
        raise ShapeError(scores_column, f"one map of size {tuple(scores.shape)}", expected, _OF_ROWS)


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


def image_of(column: str, value: Any) -> Tensor:
    """The image of a row: as `csl_plugin.proposers.Proposer` names it, or as nested lists or wide integers.

    Returns:
        (1, 3, H, W) floating point in [0, 1].

    Raises:
        CSLError: As `csl_plugin.proposers.images.read_images`.
        ShapeError: Several images.
    """
    if isinstance(value, (str, os.PathLike)) or is_picture(value):
        return read_images(value, column)
    array = dense(column, value)
    if array.dtype.kind in "iu" and array.dtype != np.uint8:  # datasets gives every integer as int64
        low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
        if low < 0 or high > 255:
            hint = "Scale it to 8 bits."
            raise ScoreRangeError(column, f"values from {low} to {high}", "integers from 0 to 255", hint)
        array = array.astype(np.uint8)
    image = read_images(array, column)
    if len(image) != 1:
        raise ShapeError(column, f"{len(image)} images", "one image for each row", "Give each its own row.")
    return image


def as_column(rows: list[NDArray[Any]]) -> NDArray[Any] | list[NDArray[Any]]:
    """One array for all rows where they have one shape and type, else the list of them."""
    alike = len({(row.shape, row.dtype) for row in rows}) == 1
    return np.stack(rows) if alike else rows

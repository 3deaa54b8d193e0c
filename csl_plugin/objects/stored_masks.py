"""Masks between `Objects` and run lengths as files hold them; no dense mask of an image is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.errors import CSLError
from csl_plugin.io.coco_rle import compressed_run_lengths, read_run_lengths
from csl_plugin.io.json_schema import Place
from csl_plugin.objects.border import border_share
from csl_plugin.objects.instances import Objects, sorted_objects
from csl_plugin.objects.run_lengths import RunLengths, box_of_runs


def stored_masks(objects: Objects) -> list[dict[str, Any]]:
    """The mask of each object as COCO's compressed run lengths, {"size": [H, W], "counts": text}."""
    size = list(objects.size)
    return [{"size": size, "counts": compressed_run_lengths(runs)} for runs in objects.runs]


def read_mask(value: Any, place: Place) -> tuple[tuple[int, int], RunLengths]:
    """Size and runs of a mask in a JSON value, {"size": [H, W], "counts": compressed or a list}.

    Raises:
        FileError, DTypeError: As `read_run_lengths`, with the place.
        FileError: No pixel is set.
    """
    try:
        size, counts = read_run_lengths(value)
    except CSLError as error:
        raise type(error)(str(place), error.got, error.expected, error.hint) from error
    runs = canonical_runs(counts)
    if len(runs) < 2:
        raise place.error("a mask without a pixel", "at least one", "Leave out objects that are empty.")
    return size, runs


def objects_of_runs(size: tuple[int, int], runs: Sequence[RunLengths], scores: Sequence[float]) -> Objects:
    """The objects of run lengths as `canonical_runs` gives them, none of them empty.

    Args:
        size: (H, W) of the image.
        runs: Of each.
        scores: Of each, finite.
    """
    border = [border_share(each, size) for each in runs]
    return sorted_objects(size, runs, np.array(scores, np.float64), border)


def canonical_runs(counts: NDArray[np.int64]) -> RunLengths:
    """Run lengths of the same mask without runs of length 0, but for the first; (1,) for an empty mask.

    Example:
        >>> canonical_runs(np.array([2, 1, 0, 3, 4, 0])).tolist()
        [2, 4, 4]
    """
    ends = np.cumsum(counts)
    starts, stops = ends[0::2][: len(counts) // 2], ends[1::2]
    starts, stops = starts[stops > starts], stops[stops > starts]
    apart = starts[1:] > stops[:-1]
    starts, stops = starts[np.append(True, apart)[: len(starts)]], stops[np.append(apart, True)[: len(stops)]]
    turns = np.stack([starts, stops], axis=1).ravel()
    lengths = np.diff(turns, prepend=0, append=int(ends[-1]))
    return lengths if len(lengths) == 1 or lengths[-1] else lengths[:-1]


def crop_of_runs(runs: RunLengths, size: tuple[int, int]) -> tuple[NDArray[np.bool_], int, int]:
    """A mask inside of its box, with the box's first row and column.

    Returns:
        (h, w), top, left.
    """
    height = size[0]
    left, top, right, bottom = box_of_runs(runs, size)
    ends = np.clip(np.cumsum(runs) - left * height, 0, (right - left) * height)
    lengths = np.diff(ends, prepend=0, append=(right - left) * height)
    inside = np.arange(len(lengths)) % 2 == 1
    inside[-1] &= len(runs) % 2 == 1
    columns = np.repeat(inside, lengths).reshape(right - left, height)
    return np.ascontiguousarray(columns[:, top:bottom].T), top, left

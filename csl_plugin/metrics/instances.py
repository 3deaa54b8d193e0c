"""Predicted instances as run lengths, checked against the labels of their frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from csl_plugin.arrays import shown
from csl_plugin.errors import DTypeError, ScoreRangeError, ShapeError


class Instances(Protocol):
    """The predicted instances of one image, such as `csl_plugin.Objects`."""

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the image."""
        ...

    @property
    def runs(self) -> Sequence[NDArray[np.int64]]:
        """The mask of each: lengths of runs, alternately outside and inside, down the columns."""
        ...

    @property
    def scores(self) -> NDArray[np.float64]:
        """(N,) finite, by falling score."""
        ...


def read_spans(objects: Instances, size: tuple[int, ...]) -> list[NDArray[np.int64]]:
    """The pixels of each instance as (2, K) first and last + 1 of its runs, counted down the columns.

    Args:
        objects: Predicted instances.
        size: (H, W) of the labels.

    Raises:
        DTypeError: No instances.
        ShapeError: Of an image of another size, another number of scores, or runs that do not fill the image.
        ScoreRangeError: A score is not finite.
    """
    try:
        own, runs, scores = tuple(objects.size), tuple(objects.runs), np.asarray(objects.scores)
    except (AttributeError, TypeError):
        hint = "Use find_objects, or Objects.from_masks for masks of any origin."
        raise DTypeError("objects", shown(objects), "the Objects of one image", hint) from None
    if own != tuple(size):
        hint = "Find the objects in a map of the size of the labels."
        raise ShapeError("objects", f"objects of an image {own}", f"the labels', {tuple(size)}", hint)
    if scores.shape != (len(runs),):
        hint = "Pass one score for each object."
        raise ShapeError("objects", f"scores of shape {scores.shape}", f"({len(runs)},)", hint)
    if not np.isfinite(scores).all():
        hint = "Leave such objects out."
        raise ScoreRangeError("objects", "a score that is nan or infinite", "finite scores", hint)
    return [_spans(counts, own[0] * own[1]) for counts in runs]


def object_ids(objects: Instances, size: tuple[int, ...]) -> NDArray[np.int32]:
    """(H, W): 0 where there is no object, else 1 + the index of the first object with the pixel.

    Raises:
        DTypeError, ShapeError, ScoreRangeError: As `read_spans`.
    """
    flat = np.zeros(size[0] * size[1], np.int32)
    spans = read_spans(objects, size)
    for place in range(len(spans) - 1, -1, -1):
        for start, stop in spans[place].T.tolist():
            flat[start:stop] = place + 1
    return np.ascontiguousarray(flat.reshape(size[1], size[0]).T)


def pixels_of(spans: NDArray[np.int64]) -> NDArray[np.int64]:
    """The pixels of an instance, counted down the columns."""
    lengths = spans[1] - spans[0]
    before = np.cumsum(lengths) - lengths
    return np.repeat(spans[0] - before, lengths) + np.arange(lengths.sum())


def _spans(counts: Any, pixels: int) -> NDArray[np.int64]:
    lengths = np.asarray(counts)
    if lengths.dtype.kind not in "iu" or lengths.ndim != 1 or (lengths < 0).any() or lengths.sum() != pixels:
        got = (
            f"runs of {int(lengths.sum())} pixels" if lengths.dtype.kind in "iu" else f"{lengths.dtype} runs"
        )
        hint = "Use Objects.from_masks for masks of any origin."
        raise ShapeError("objects", got, f"runs that add up to {pixels} pixels", hint)
    ends = np.cumsum(lengths)
    stops = ends[1::2]
    return np.stack([ends[0::2][: stops.size], stops])

"""Masks of one image as runs of pixels: from arrays, from records with run lengths, from maps of ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from csl_plugin.arrays import as_array, as_tensor, describe
from csl_plugin.errors import DTypeError, ScoreRangeError, ShapeError
from csl_plugin.io.coco_rle import read_run_lengths

_SCORES = ("predicted_iou", "score")
_LABELS = "A map of ids is a partition itself: pass it to fuse as integer labels, -1 where there is none."


class Mask(NamedTuple):
    """A mask as runs of pixels along rows or columns, and its score."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    by_columns: bool
    score: float

    @property
    def area(self) -> int:
        """The number of pixels inside."""
        return int((self.ends - self.starts).sum())


Masks = tuple[list[Mask], tuple[int, int] | None]
"""The masks of an image, and its (H, W) where they have one."""


def of_records(records: Sequence[Mapping[str, Any]]) -> Masks:
    """Of records with "segmentation" as an array (H, W) or run lengths, in the formats of COCO and SAM."""
    images = {str(record["image_id"]) for record in records if record.get("image_id") is not None}
    if len(images) > 1:
        hint = "Group the records by image_id first."
        raise ShapeError("masks", f"records of {len(images)} images", "the masks of one image", hint)
    found, sizes = [], set()
    scores = [
        next((record[key] for key in _SCORES if record.get(key) is not None), 1.0) for record in records
    ]
    for record, score in zip(records, _finite(scores, len(records)), strict=True):
        segmentation = record["segmentation"]
        if isinstance(segmentation, (Tensor, np.ndarray)):
            (mask,), size = of_array(segmentation[None], [score])
        else:
            size, lengths = read_run_lengths(segmentation)
            bounds = np.cumsum(lengths)
            starts, ends = bounds[: 2 * (bounds.size // 2) : 2], bounds[1::2]
            mask = Mask(starts, ends, True, score)
        found.append(mask)
        sizes.add(size)
    return found, _one_size(sizes)


def of_list(masks: Sequence[Any], scores: Any) -> Masks:
    """Of arrays (H, W), one for each mask."""
    if not masks:
        _finite([] if scores is None else scores, 0)
        return [], None
    planes = [as_tensor("masks", mask) for mask in masks]
    _one_size({tuple(plane.shape) for plane in planes})
    if len({plane.dtype for plane in planes}) > 1:
        got = ", ".join(sorted({str(plane.dtype) for plane in planes}))
        raise DTypeError("masks", f"masks of {got}", "one type", "Convert them all to booleans.")
    return of_array(torch.stack(planes), scores)


def of_array(masks: Any, scores: Any) -> tuple[list[Mask], tuple[int, int]]:
    """Of an array (N, H, W): booleans, two values of integers a mask, or floats in [0, 1]."""
    stack = torch.from_numpy(as_array("masks", masks))
    if stack.ndim != 3 or 0 in stack.shape[1:]:
        hint = "Pass the masks of one image, without a batch axis."
        if stack.ndim == 2:
            hint = "Pass one mask as masks[None]. " + _LABELS
        raise ShapeError("masks", f"shape {tuple(stack.shape)}", "(N, H, W)", hint)
    inside = _inside(stack)
    values = [1.0] * len(stack) if scores is None else _finite(scores, len(stack))
    size = (int(stack.shape[1]), int(stack.shape[2]))
    return [_of_plane(mask.numpy(), score) for mask, score in zip(inside, values, strict=True)], size


def of_ids(ids: Any, known: Sequence[int]) -> tuple[list[Mask], tuple[int, int]]:
    """Of a map of ids (H, W), a mask for each known id; 0 and -1 mean none where they are not known.

    Raises:
        ShapeError: It is no map.
        ScoreRangeError: An id is not known, or not an integer.
    """
    plane = as_array("masks", ids)
    if plane.ndim != 2 or 0 in plane.shape:
        raise ShapeError("masks", f"a map of ids of shape {plane.shape}", "(H, W)", "Pass one image's.")
    values = np.unique(plane)
    strange = [f"{value:g}" for value in values.tolist() if value not in {-1, 0, *known}]
    if strange:
        got = f"pixels of the ids {', '.join(strange[:5])}, which segments_info does not have"
        hint = "Pass the map with its own segments_info, not resized by interpolation."
        raise ScoreRangeError("masks", got, f"the ids {', '.join(map(str, known)) or 'none'}", hint)
    return [_of_plane(plane == value, 1.0) for value in known], (int(plane.shape[0]), int(plane.shape[1]))


def _inside(stack: Tensor) -> Tensor:
    if stack.dtype == torch.bool or not stack.numel():
        return stack.bool()
    if stack.is_complex():
        raise DTypeError("masks", describe(stack), "booleans, integers or floats", "Compare them.")
    low, high = float(stack.min()), float(stack.max())
    if stack.is_floating_point():
        if not (low >= 0 and high <= 1):
            hint = "For logits use RegionProposals.from_logits(mask_logits, validity_logits)."
            if low == 0 and high == 255:
                hint = "Divide by 255, or compare: masks > 127."
            raise ScoreRangeError(
                "masks", f"values between {low:.4g} and {high:.4g}", "masks in [0, 1]", hint
            )
        return stack > 0.5
    peaks = stack.flatten(1).amax(1)[:, None, None]
    if low < 0 or not bool(((stack == 0) | (stack == peaks)).all()):
        got = f"integers from {low:.0f} to {high:.0f}, more than two in one mask"
        raise ScoreRangeError("masks", got, "0 outside and one value inside each mask", _LABELS)
    return stack != 0


def _of_plane(mask: NDArray[np.bool_], score: float) -> Mask:
    edges = np.diff(mask.ravel().view(np.int8), prepend=np.int8(0), append=np.int8(0))
    changes = np.flatnonzero(edges)
    return Mask(changes[::2], changes[1::2], False, score)


def _one_size(sizes: set[Any]) -> Any:
    if len(sizes) > 1:
        got, hint = f"sizes {sorted(sizes)}", "Pass the masks of one image."
        raise ShapeError("masks", got, "one size", hint)
    return sizes.pop()


def _finite(scores: Any, count: int) -> list[float]:
    values = as_array("scores", scores) if isinstance(scores, Tensor) else scores
    try:
        numbers = np.asarray(values, dtype=np.float64).ravel()
    except (TypeError, ValueError, OverflowError):
        hint = "Give one number per mask."
        raise DTypeError("scores", describe(scores), "numbers", hint) from None
    if len(numbers) != count:
        got, hint = f"{len(numbers)} scores", "Give one score per mask."
        raise ShapeError("scores", got, f"one for each of {count} masks", hint)
    if not np.isfinite(numbers).all():
        hint = "Give a mask that should not count a low score."
        raise ScoreRangeError("scores", "nan or infinite scores", "finite scores", hint)
    return [float(number) for number in numbers]

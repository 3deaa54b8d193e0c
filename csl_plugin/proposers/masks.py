"""Region maps from the masks of other tools: SAM's generators, FastSAM, CropFormer, plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from csl_plugin.arrays import as_tensor, describe
from csl_plugin.errors import DTypeError, FileError, OptionError, ScoreRangeError, ShapeError
from csl_plugin.io.coco_rle import read_run_lengths
from csl_plugin.io.limits import MAX_BYTES, MAX_PIXELS
from csl_plugin.regions.region_map import RegionMap, check_size

OnTop: TypeAlias = Literal["score", "smallest"]

_SCORES = ("predicted_iou", "score")
_RESULT = (
    "masks of one image: an array (N, H, W), a list of records with 'segmentation', or a result with masks"
)


class _Mask(NamedTuple):
    """A mask as runs of pixels along rows or columns, and its score."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    by_columns: bool
    score: float

    @property
    def area(self) -> int:
        return int((self.ends - self.starts).sum())


def regions_from_masks(
    masks: Any, size: tuple[int, int] | None = None, *, on_top: OnTop = "score"
) -> RegionMap:
    """The partition that the masks of one image form, overlapping or not.

    Where masks overlap, the pixel goes to the one of the highest score, as in `hard_assignment`; of equal
    scores to the earlier. Pixels that no mask covers are -1: in fusion each is a region of its own. Without
    any mask the map is -1 everywhere. Region n is mask n as given; the id of a mask that others cover
    completely does not occur.

    Args:
        masks: One of these.
            A list of records, as the automatic mask generators of segment-anything and SAM2 return it and
            COCO and SA-1B store it: "segmentation" as booleans (H, W) or as run lengths, compressed or not,
            with "predicted_iou" or "score" (1 if it has neither).
            A mapping with "masks" and "scores", such as that of transformers' mask generation.
            An object with `pred_masks` and `scores` (detectron2's `Instances`, so CropFormer's), or a mapping
            or one-element list that holds it under "instances".
            An object with `masks`, `boxes` and `orig_shape` (ultralytics' `Results`, so FastSAM's), or a list
            of one; letterboxed masks are resized to the image.
            An array or tensor (N, H, W) by itself, the earliest on top.
            None, or an empty list, for no masks.
            Masks are booleans, integers (all but 0 inside), or floats in [0, 1] (above 0.5 inside).
        size: (H, W) to sample the map at, and the size of the image where no mask has one; by default the
            masks' own.
        on_top: "score", or "smallest": of overlapping masks the pixel goes to the one of the smallest area,
            so that parts stay visible on whole objects.

    Returns:
        A map of one image, labels (1, H, W) int32 on the CPU.

    Raises:
        DTypeError: None of the above.
        ShapeError: Masks of different sizes, or another number of scores than of masks.
        ScoreRangeError: Scores that are not finite, or float masks outside [0, 1].
        OptionError: `on_top` has another value, or there is neither a mask nor a size.
        FileError: Run lengths that do not add up, or more masks or pixels than are plausible.

    Example:
        >>> records = [
        ...     {"segmentation": {"size": [1, 4], "counts": [0, 3, 1]}, "predicted_iou": 0.8},
        ...     {"segmentation": {"size": [1, 4], "counts": [2, 1, 1]}, "predicted_iou": 0.9},
        ... ]
        >>> regions_from_masks(records).labels
        tensor([[[ 0,  0,  1, -1]]], dtype=torch.int32)
    """
    if on_top not in get_args(OnTop):
        raise OptionError("on_top", repr(on_top), '"score" or "smallest"', "Omit it for the score.")
    wanted = None if size is None else check_size(size)
    found, extent = _read(masks)
    if extent is None:
        if wanted is None:
            hint = "Pass the size of the image: size=(H, W)."
            raise OptionError("size", "no size, and no mask that has one", "(H, W)", hint)
        extent = wanted
    _check_amount(found, extent)
    labels = np.full(extent[0] * extent[1], -1, dtype=np.int32)
    for index in _order(found, on_top):
        mask = found[index]
        labels[_pixels(mask, extent[0], extent[1])] = index
    regions = RegionMap(torch.from_numpy(labels.reshape(1, *extent)), num_regions=len(found))
    return regions if wanted is None else regions.resize(wanted)


def _pixels(mask: _Mask, height: int, width: int) -> NDArray[np.int64]:
    """The pixels inside, numbered along the rows."""
    lengths = mask.ends - mask.starts
    before = np.cumsum(lengths) - lengths
    pixels: NDArray[np.int64] = np.arange(mask.area) + np.repeat(mask.starts - before, lengths)
    if mask.by_columns:
        pixels = pixels % height * width + pixels // height
    return pixels


def _order(masks: Sequence[_Mask], on_top: OnTop) -> list[int]:
    """From the bottom to the top."""
    if on_top == "smallest":
        return sorted(range(len(masks)), key=lambda n: (-masks[n].area, masks[n].score, -n))
    return sorted(range(len(masks)), key=lambda n: (masks[n].score, -n))


def _check_amount(masks: Sequence[_Mask], extent: tuple[int, int]) -> None:
    inside = sum(mask.area for mask in masks)
    if extent[0] * extent[1] > MAX_PIXELS or inside > MAX_BYTES:
        got = f"{len(masks)} masks of {inside} pixels in an image of {extent[0]} x {extent[1]}"
        expected = f"an image of at most {MAX_PIXELS}, and {MAX_BYTES} in all masks"
        raise FileError("masks", got, expected, "Keep the best, or scale them down.")


def _read(masks: Any) -> tuple[list[_Mask], tuple[int, int] | None]:
    """The masks, and the size that they or their container have."""
    if isinstance(masks, (list, tuple)) and len(masks) == 1 and not _is_record(masks[0]):
        masks = masks[0]
    if isinstance(masks, dict) and "instances" in masks:
        masks = masks["instances"]
    if masks is None or (isinstance(masks, (list, tuple)) and not masks):
        return [], None
    if isinstance(masks, (Tensor, np.ndarray)):
        return _of_array(masks, None)
    if isinstance(masks, (list, tuple)) and all(_is_record(record) for record in masks):
        return _of_records(masks)
    if isinstance(masks, dict) and {"masks", "scores"} <= masks.keys():
        return _of_stack(masks["masks"], masks["scores"])
    if hasattr(masks, "pred_masks") and hasattr(masks, "scores"):
        found, size = _of_stack(masks.pred_masks, masks.scores)
        declared = getattr(masks, "image_size", None)
        return found, size or (None if declared is None else check_size(tuple(declared)))
    if hasattr(masks, "masks") and hasattr(masks, "orig_shape"):
        return _of_result(masks)
    hint = "Pass what the model returned for one image."
    raise DTypeError("masks", describe(masks), _RESULT, hint)


def _is_record(value: Any) -> bool:
    return isinstance(value, dict) and "segmentation" in value


def _of_records(records: Sequence[dict[str, Any]]) -> tuple[list[_Mask], tuple[int, int]]:
    found, sizes = [], set()
    scores = [
        next((record[key] for key in _SCORES if record.get(key) is not None), 1.0) for record in records
    ]
    for record, score in zip(records, _finite(scores), strict=True):
        segmentation = record["segmentation"]
        if isinstance(segmentation, (Tensor, np.ndarray)):
            (mask,), size = _of_array(segmentation[None], [score])
        else:
            size, lengths = read_run_lengths(segmentation)
            bounds = np.cumsum(lengths)
            starts, ends = bounds[: 2 * (bounds.size // 2) : 2], bounds[1::2]
            mask = _Mask(starts, ends, True, score)
        found.append(mask)
        sizes.add(size)
        if len(sizes) > 1:
            got, hint = f"sizes {sorted(sizes)}", "Pass the masks of one image."
            raise ShapeError("masks", got, "one size", hint)
    return found, sizes.pop()


def _of_stack(masks: Any, scores: Any) -> tuple[list[_Mask], tuple[int, int] | None]:
    if isinstance(masks, (list, tuple)):
        if not masks:
            return [], None
        masks = torch.stack([as_tensor("masks", mask) for mask in masks])
    return _of_array(masks, scores)


def _of_result(result: Any) -> tuple[list[_Mask], tuple[int, int]]:
    """Of ultralytics: masks at the size of the network's input, in which the image is centered."""
    height, width = check_size(tuple(result.orig_shape[:2]))
    if result.masks is None or len(result.masks.data) == 0:
        return [], (height, width)
    stack = as_tensor("masks", result.masks.data).detach().cpu()
    rows, columns = stack.shape[-2:]
    if (rows, columns) != (height, width):
        gain = min(rows / height, columns / width)
        above, beside = (rows - height * gain) / 2, (columns - width * gain) / 2
        vertical = slice(
            round(above - 0.1), rows - round(above + 0.1)
        )  # an odd pixel goes below and to the right
        horizontal = slice(round(beside - 0.1), columns - round(beside + 0.1))
        inner = stack[:, vertical, horizontal].float()[:, None]
        resized = torch.nn.functional.interpolate(
            inner, (height, width), mode="bilinear", align_corners=False
        )
        stack = resized[:, 0]
    found, _ = _of_array(stack, result.boxes.conf)
    return found, (height, width)


def _of_array(masks: Any, scores: Any) -> tuple[list[_Mask], tuple[int, int]]:
    stack = as_tensor("masks", masks).detach().cpu()
    if stack.ndim != 3 or 0 in stack.shape[1:]:
        hint = "Pass the masks of one image, without a batch axis."
        raise ShapeError("masks", f"shape {tuple(stack.shape)}", "(N, H, W)", hint)
    if stack.is_floating_point():
        if stack.numel() and not (float(stack.min()) >= 0 and float(stack.max()) <= 1):
            hint = "For logits use RegionProposals.from_logits(mask_logits, validity_logits)."
            got = f"values between {float(stack.min()):.4g} and {float(stack.max()):.4g}"
            raise ScoreRangeError("masks", got, "masks in [0, 1]", hint)
        stack = stack > 0.5
    elif stack.dtype != torch.bool:
        stack = stack != 0
    values = [1.0] * len(stack) if scores is None else _finite(scores)
    if len(values) != len(stack):
        got, hint = f"{len(values)} scores", "Give one score per mask."
        raise ShapeError("scores", got, f"one for each of {len(stack)} masks", hint)
    size = (int(stack.shape[1]), int(stack.shape[2]))
    return [_of_plane(mask.numpy(), score) for mask, score in zip(stack, values, strict=True)], size


def _of_plane(mask: NDArray[np.bool_], score: float) -> _Mask:
    edges = np.diff(mask.ravel().view(np.int8), prepend=np.int8(0), append=np.int8(0))
    changes = np.flatnonzero(edges)
    return _Mask(changes[::2], changes[1::2], False, score)


def _finite(scores: Any) -> list[float]:
    values = scores.detach().cpu().tolist() if isinstance(scores, Tensor) else scores
    try:
        numbers = np.asarray(values, dtype=np.float64).ravel()
    except (TypeError, ValueError):
        hint = "Give one number per mask."
        raise DTypeError("scores", describe(scores), "numbers", hint) from None
    if not np.isfinite(numbers).all():
        hint = "Give a mask that should not count a low score."
        raise ScoreRangeError("scores", "nan or infinite scores", "finite scores", hint)
    return [float(number) for number in numbers]

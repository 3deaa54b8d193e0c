"""Region maps from the masks of other tools: SAM's generators, FastSAM, CropFormer, plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from csl_plugin._options import check_choice
from csl_plugin._tracing import refuse_jit
from csl_plugin.errors import FileError, OptionError
from csl_plugin.io.limits import MAX_PIXELS
from csl_plugin.proposers.mask_planes import Mask
from csl_plugin.proposers.mask_results import read_masks
from csl_plugin.regions.region_map import RegionMap, check_size

OnTop: TypeAlias = Literal["score", "smallest"]

_MOST_INSIDE = 2_000_000_000  # pixels of all masks together: each is painted
_BLOCK = 1 << 16  # runs


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
            with "predicted_iou" or "score" (1 if it has neither), all of one "image_id" where they have one.
            The panoptic or instance result of transformers, a mapping with "segmentation" and
            "segments_info": each of its ids is a region, 0 and -1 are none where they are no id.
            detectron2's panoptic result: a pair of a map and its segments, or a mapping that holds it under
            "panoptic_seg".
            A mapping with "masks" and "scores", such as that of transformers' mask generation; with "boxes"
            and "labels" too, that of torchvision's detectors, masks (N, 1, H, W).
            An object with `pred_masks` and `scores` (detectron2's `Instances`, so CropFormer's), or a mapping
            that holds it under "instances".
            An object with `masks`, `boxes` and `orig_shape` (ultralytics' `Results`, so FastSAM's);
            letterboxed masks are resized to the image. Without boxes the earliest mask is on top.
            An object with `xyxy`, `mask` and `confidence` (supervision's `Detections`).
            A list of one of these.
            An array or tensor (N, H, W), or a list of (H, W), the earliest on top.
            None, or an empty list, for no masks.
            Masks are booleans, integers (0 outside, one other value inside), or floats in [0, 1] (above 0.5
            inside). Anything else is refused: a map of ids is no mask, and a batch is no image.
        size: (H, W) to sample the map at, and the size of the image where no mask has one; by default the
            masks' own.
        on_top: "score", or "smallest": of overlapping masks the pixel goes to the one of the smallest area,
            so that parts stay visible on whole objects.

    Returns:
        A map of one image, labels (1, H, W) int32 on the CPU.

    Raises:
        DTypeError: None of the above.
        ShapeError: Masks of different sizes, or another number of scores than of masks.
        ScoreRangeError: Scores that are not finite, float masks outside [0, 1], integers of more than two
            values in a mask, or ids that "segments_info" does not have.
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
    refuse_jit("masks")
    check_choice("on_top", on_top, get_args(OnTop), "Omit it for the score.")
    wanted = None if size is None else check_size(size)
    found, extent = read_masks(masks)
    if extent is None:
        if wanted is None:
            hint = "Pass the size of the image: size=(H, W)."
            raise OptionError("size", "no size, and no mask that has one", "(H, W)", hint)
        extent = wanted
    _check_amount(found, extent)
    labels = _painted(found, _order(found, on_top), extent)
    regions = RegionMap(torch.from_numpy(labels[None]), num_regions=len(found))
    return regions if wanted is None else regions.resize(wanted)


def _painted(masks: Sequence[Mask], order: Sequence[int], extent: tuple[int, int]) -> NDArray[np.int32]:
    """The masks' numbers (H, W), painted in this order; -1 elsewhere."""
    height, width = extent
    flat, by_columns = np.full(height * width, -1, dtype=np.int32), False
    for index in order:
        mask = masks[index]
        if mask.by_columns != by_columns:
            shape = (width, height) if by_columns else (height, width)
            flat, by_columns = flat.reshape(shape).T.ravel(), mask.by_columns
        for first in range(0, len(mask.starts), _BLOCK):
            part = slice(first, first + _BLOCK)
            for start, end in zip(mask.starts[part].tolist(), mask.ends[part].tolist(), strict=True):
                flat[start:end] = index
    return flat.reshape(width, height).T.copy() if by_columns else flat.reshape(height, width)


def _order(masks: Sequence[Mask], on_top: OnTop) -> list[int]:
    """From the bottom to the top."""
    if on_top == "smallest":
        return sorted(range(len(masks)), key=lambda n: (-masks[n].area, masks[n].score, -n))
    return sorted(range(len(masks)), key=lambda n: (masks[n].score, -n))


def _check_amount(masks: Sequence[Mask], extent: tuple[int, int]) -> None:
    inside = sum(mask.area for mask in masks)
    if extent[0] * extent[1] > MAX_PIXELS or inside > _MOST_INSIDE:
        got = f"{len(masks)} masks of {inside} pixels in an image of {extent[0]} x {extent[1]}"
        expected = f"an image of at most {MAX_PIXELS}, and {_MOST_INSIDE} in all masks"
        raise FileError("masks", got, expected, "Keep the best, or scale them down.")

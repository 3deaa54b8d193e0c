"""What other tools return for one image, recognized by all of its fields, as masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from csl_plugin.arrays import as_array, as_tensor, describe
from csl_plugin.errors import DTypeError, ShapeError
from csl_plugin.proposers.mask_planes import Masks, of_array, of_ids, of_list, of_records
from csl_plugin.regions.region_map import check_size

_EXPECTED = (
    "masks of one image: an array (N, H, W), a list of arrays (H, W), a list of records with 'segmentation', "
    "or a result with masks"
)
_STRIP = 4  # times higher than wide: no common image
_HINT = "Pass what the model returned for one image; see regions_from_masks for what is read."


def read_masks(masks: Any) -> Masks:
    """The masks, and the size that they or their container have.

    Raises:
        DTypeError: A container that is not known, or holds no masks; the message says what was seen.
    """
    if masks is None:
        return [], None
    if isinstance(masks, (Tensor, np.ndarray)):
        _check_masks_first(masks.shape)
        return of_array(masks, None)
    if isinstance(masks, (list, tuple)):
        return _of_sequence(masks)
    if isinstance(masks, Mapping):
        return _of_mapping(masks)
    if hasattr(masks, "pred_masks") and hasattr(masks, "scores"):
        return _of_instances(masks)
    if hasattr(masks, "masks") and hasattr(masks, "orig_shape"):
        return _of_ultralytics(masks)
    if hasattr(masks, "xyxy") and hasattr(masks, "mask"):
        return _of_supervision(masks)
    raise _unknown(masks)


def _check_masks_first(shape: Sequence[int]) -> None:
    """Refuse (H, W, N), as some tools return masks, which would be H masks of (W, N)."""
    if len(shape) == 3 and 0 < shape[2] < shape[0] and shape[1] >= _STRIP * shape[2]:
        got = f"shape {tuple(shape)}, which looks as if the masks were last"
        hint = "Move them first, numpy.moveaxis(masks, -1, 0). Masks of so narrow an image pass as a list."
        raise ShapeError("masks", got, "(N, H, W)", hint)


def _of_sequence(masks: Sequence[Any]) -> Masks:
    if not masks:
        return [], None
    if all(_is_record(one) for one in masks):
        return of_records(masks)
    if all(isinstance(one, (Tensor, np.ndarray)) and one.ndim == 2 for one in masks):
        return of_list(masks, None)
    if len(masks) == 1:
        return read_masks(masks[0])
    if len(masks) == 2 and isinstance(masks[0], (Tensor, np.ndarray)) and _are_segments(masks[1]):
        return of_ids(masks[0], _ids(masks[1]))
    raise _unknown(masks)


def _of_mapping(masks: Mapping[str, Any]) -> Masks:
    held = {key for key, value in masks.items() if value is not None}
    if "segments_info" in masks:
        return _of_segments(masks)
    if {"instances", "panoptic_seg"} <= held:
        hint = "Choose one: output['panoptic_seg'] or output['instances']."
        raise DTypeError("masks", _seen(masks), "one kind of regions", hint)
    if "panoptic_seg" in held:
        return read_masks(masks["panoptic_seg"])
    if "instances" in held:
        return read_masks(masks["instances"])
    if _is_record(masks):
        return of_records([masks])
    if {"masks", "scores"} <= masks.keys() or {"masks", "boxes", "labels"} <= masks.keys():
        return _of_detection(masks)
    raise _unknown(masks)


def _of_segments(result: Mapping[str, Any]) -> Masks:
    """Of the panoptic and instance post-processing of transformers."""
    segmentation, info = result.get("segmentation"), result["segments_info"]
    if not _are_segments(info):
        raise _unknown(result)
    if segmentation is None and not info:
        return [], None
    if not isinstance(segmentation, (Tensor, np.ndarray)):
        hint = "Call the post-processing without return_coco_annotation: its run lengths have no size."
        raise DTypeError("masks", _seen(result), "a map of ids as 'segmentation'", hint)
    if segmentation.ndim == 3:
        return of_array(segmentation, [segment.get("score", 1.0) for segment in info])
    return of_ids(segmentation, _ids(info))


def _of_detection(result: Mapping[str, Any]) -> Masks:
    """Of transformers' mask generation, and of torchvision's detectors, whose masks are (N, 1, H, W)."""
    masks, scores = result["masks"], result.get("scores")
    count = None if masks is None else len(masks)
    for key in ("boxes", "labels", "bounding_boxes"):
        rows = result.get(key)
        if rows is not None and count is not None and len(rows) != count:
            raise ShapeError("masks", _seen(result), f"{count} {key}, one a mask", "Pass one image's.")
    if isinstance(masks, (list, tuple)):
        return of_list(masks, scores)
    stack = as_tensor("masks", masks)
    if stack.ndim == 4 and stack.shape[1] == 1 and "boxes" in result:
        stack = stack[:, 0]
    return of_array(stack, scores)


def _of_instances(instances: Any) -> Masks:
    """Of detectron2's `Instances`; its masks are a tensor or have one."""
    masks = instances.pred_masks
    masks = masks if isinstance(masks, (list, tuple)) else getattr(masks, "tensor", masks)
    declared = getattr(instances, "image_size", None)
    image = None if declared is None else check_size(tuple(declared))
    found, size = (of_list if isinstance(masks, (list, tuple)) else of_array)(masks, instances.scores)
    if found and image is not None and size != image:
        hint = "Paste the masks of boxes into the image first, with detector_postprocess."
        raise ShapeError("masks", f"masks of {size}", f"masks of the image's size, {image}", hint)
    return found, image or size


def _of_ultralytics(result: Any) -> Masks:
    """Of ultralytics: masks at the size of the network's input, in which the image is centered."""
    height, width = check_size(tuple(result.orig_shape[:2]))
    boxes = getattr(result, "boxes", None)
    if result.masks is None:
        others = [name for name in ("obb", "probs") if getattr(result, name, None) is not None]
        if others or (boxes is not None and len(boxes.conf)):
            got = f"a result with {' and '.join(others) or 'boxes'} and without masks"
            raise DTypeError("masks", got, "a result with masks", "Use a segmentation model, such as *-seg.")
        return [], (height, width)
    stack = torch.from_numpy(as_array("masks", result.masks.data))
    if stack.ndim == 3 and stack.shape[1:] != (height, width) and len(stack):
        stack = _without_letterbox(stack, height, width)
    if not len(stack):
        return [], (height, width)
    found, _ = of_array(stack, None if boxes is None else boxes.conf)
    return found, (height, width)


def _without_letterbox(stack: Tensor, height: int, width: int) -> Tensor:
    rows, columns = stack.shape[-2:]
    gain = min(rows / height, columns / width)
    above, beside = (rows - height * gain) / 2, (columns - width * gain) / 2
    # An odd pixel goes below and to the right.
    vertical = slice(round(above - 0.1), rows - round(above + 0.1))
    horizontal = slice(round(beside - 0.1), columns - round(beside + 0.1))
    inner = stack[:, vertical, horizontal].float()[:, None]
    return torch.nn.functional.interpolate(inner, (height, width), mode="bilinear", align_corners=False)[:, 0]


def _of_supervision(detections: Any) -> Masks:
    """Of supervision's `Detections`."""
    if detections.mask is None:
        if len(detections.xyxy):
            got = f"{len(detections.xyxy)} boxes without masks"
            raise DTypeError("masks", got, "detections with masks", "Use a segmentation model.")
        return [], None
    return of_array(np.asarray(detections.mask), detections.confidence)


def _is_record(value: Any) -> bool:
    others = ("segments_info", "segmentation_scores")  # a map of ids, and one of classes
    return isinstance(value, Mapping) and "segmentation" in value and not any(key in value for key in others)


def _are_segments(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(
        isinstance(one, Mapping) and isinstance(one.get("id"), (int, np.integer)) for one in value
    )


def _ids(segments: Sequence[Mapping[str, Any]]) -> list[int]:
    return list(dict.fromkeys(int(segment["id"]) for segment in segments))


def _unknown(masks: Any) -> DTypeError:
    return DTypeError("masks", _seen(masks), _EXPECTED, _HINT)


def _seen(masks: Any) -> str:
    if isinstance(masks, Mapping):
        inside = ", ".join(f"{key!r}: {describe(value)}" for key, value in masks.items())
        return f"{describe(masks)} of {inside or 'nothing'}"
    if isinstance(masks, (list, tuple)):
        inside = ", ".join(describe(value) for value in masks[:4])
        return f"{describe(masks)} of {len(masks)}: {inside}{', ...' if len(masks) > 4 else ''}"
    return describe(masks)

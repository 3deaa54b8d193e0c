"""The output path of ultralytics: its detections with masks, read as a distribution over classes."""

from __future__ import annotations

import copy
from collections.abc import Sequence, Sized
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from csl_plugin.adapters.output_path import contents
from csl_plugin.errors import OutputError, ShapeError

_FIELDS = ("masks", "boxes", "orig_shape", "names")


@dataclass(frozen=True)
class Detections:
    """A list of ultralytics `Results`, or one: masks (N, h, w), confidences and classes of N objects.

    D[c] of a pixel is the largest confidence of an object of class c whose mask covers it. The fused map is
    written as objects: one per class, with the whole frame as its box, confidence 1 and the fused scores as
    its mask. A result without objects is D = 0 everywhere, and is returned unchanged.
    """

    each: ClassVar[bool] = True  # one object per image

    def take(self, output: Any) -> tuple[Tensor, ...]:
        """D, (B, C, h, w).

        Raises:
            OutputError: The output is not a list of such results, or one has masks without boxes or boxes
                without masks.
            ShapeError: Their masks have different sizes, or include the padding of a letterbox.
        """
        results = output if isinstance(output, (list, tuple)) else [output]
        if not results or not all(all(hasattr(r, name) for name in _FIELDS) for r in results):
            expected = "results with masks and boxes, one per image"
            raise OutputError("model output", contents(output), expected, "Use a segmentation model.")
        for result in results:
            _check(result)
        found = [result for result in results if result.masks is not None]
        sizes = {_size(result) for result in found} or {tuple(result.orig_shape) for result in results}
        if len(sizes) > 1 or len({tuple(result.orig_shape) for result in results}) > 1:
            raise ShapeError(
                "model output", "masks of different sizes", "one size", "Pass the images one at a time."
            )
        (size,) = sizes
        return (torch.stack([_scores(result, size, results[0].names) for result in results]),)

    def put(self, output: Any, tensors: Sequence[Tensor]) -> Any:
        """The results, with the fused map as their objects."""
        if not isinstance(output, (list, tuple)):
            return _written(output, tensors[0][0])
        pairs = zip(output, tensors[0], strict=True)
        return type(output)([_written(result, fused) for result, fused in pairs])


def _check(result: Any) -> None:
    """Refuse a result that has masks without boxes, boxes without masks, or masks of a letterbox."""
    others = [name for name in ("obb", "probs") if getattr(result, name, None) is not None]
    objects = None if result.boxes is None else len(result.boxes.conf)
    if result.masks is None:
        if others or objects:
            got = f"a result with {' and '.join(others) or 'boxes'} and without masks"
            hint = "Use a segmentation model, such as *-seg."
            raise OutputError("model output", got, "a result with masks and boxes", hint)
        return
    size, image = _size(result), tuple(result.orig_shape)
    if objects is None or len(size) != 2 or objects != len(result.masks.data):
        got = f"masks of shape {tuple(result.masks.data.shape)} with {objects or 'no'} boxes"
        hint = "The boxes hold the classes: keep them. Without them the masks are regions_from_masks(result)."
        raise OutputError("model output", got, "masks (N, h, w) and N boxes", hint)
    gain = min(own / full for own, full in zip(size, image, strict=True))
    if any(abs(full * gain - own) > 1 for own, full in zip(size, image, strict=True)):
        raise ShapeError(
            "model output",
            f"masks of {size} for an image of {image}, with padding",
            "masks of the image's own proportions",
            "Call the model with retina_masks=True.",
        )


def _size(result: Any) -> tuple[int, ...]:
    return tuple(result.masks.data.shape[1:])


def _scores(result: Any, size: tuple[int, ...], names: Sized) -> Tensor:
    if result.masks is None:
        return torch.zeros(len(names), *size, dtype=torch.float32, device=_device(result))
    masks: Tensor = torch.as_tensor(result.masks.data).float()
    labels = torch.as_tensor(result.boxes.cls).long()
    if len(labels) and int(labels.max()) >= len(names):
        got, expected = f"the class {int(labels.max())}", f"one of the {len(names)} classes in names"
        raise OutputError("model output", got, expected, "Pass the results as the model returned them.")
    scores = masks.new_zeros(len(names), *size)
    rows = zip(masks, torch.as_tensor(result.boxes.conf).float(), labels, strict=True)
    for mask, confidence, index in rows:
        scores[index] = torch.maximum(scores[index], mask * confidence)
    return scores


def _device(result: Any) -> torch.device | str:
    data = getattr(result.boxes, "data", None)
    return data.device if isinstance(data, Tensor) else "cpu"


def _written(result: Any, fused: Tensor) -> Any:
    if result.masks is None:
        return result
    height, width = result.orig_shape
    fused = fused.to(result.boxes.data.dtype)  # masks may be uint8, which cannot hold scores
    frame = fused.new_tensor([0, 0, width, height, 1])
    classes = torch.arange(len(fused), device=fused.device, dtype=fused.dtype)
    written, masks, boxes = (copy.copy(part) for part in (result, result.masks, result.boxes))
    masks.data = fused
    boxes.data = torch.cat([frame.expand(len(fused), -1), classes[:, None]], 1)
    written.masks, written.boxes = masks, boxes
    return written

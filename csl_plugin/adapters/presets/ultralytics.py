"""The output path of ultralytics: its detections with masks, read as a distribution over classes."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from csl_plugin.adapters.output_path import contents
from csl_plugin.errors import OutputError, ShapeError


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
            OutputError: The output is not a list of such results.
            ShapeError: Their masks have different sizes, or include the padding of a letterbox.
        """
        results = output if isinstance(output, (list, tuple)) else [output]
        if not results or not all(hasattr(r, "masks") and hasattr(r, "boxes") for r in results):
            expected = "results with masks and boxes, one per image"
            raise OutputError("model output", contents(output), expected, "Use a segmentation model.")
        if len({self._size(result) for result in results}) > 1:
            raise ShapeError(
                "model output", "masks of different sizes", "one size", "Pass the images one at a time."
            )
        return (torch.stack([self._scores(result) for result in results]),)

    def put(self, output: Any, tensors: Sequence[Tensor]) -> Any:
        """The results, with the fused map as their objects."""
        if not isinstance(output, (list, tuple)):
            return self._written(output, tensors[0][0])
        pairs = zip(output, tensors[0], strict=True)
        return type(output)([self._written(result, fused) for result, fused in pairs])

    def _size(self, result: Any) -> tuple[int, ...]:
        return tuple(result.orig_shape if result.masks is None else result.masks.data.shape[-2:])

    def _scores(self, result: Any) -> Tensor:
        size = self._size(result)
        if result.masks is None:
            return torch.zeros(len(result.names), *size, dtype=torch.float32, device="cpu")
        gain = min(own / full for own, full in zip(size, result.orig_shape, strict=True))
        if any(abs(full * gain - own) > 1 for own, full in zip(size, result.orig_shape, strict=True)):
            raise ShapeError(
                "model output",
                f"masks of {size} for an image of {tuple(result.orig_shape)}, with padding",
                "masks of the image's own proportions",
                "Call the model with retina_masks=True.",
            )
        masks: Tensor = result.masks.data.float()
        scores = masks.new_zeros(len(result.names), *size)
        rows = zip(masks, result.boxes.conf.float(), result.boxes.cls.long(), strict=True)
        for mask, confidence, index in rows:
            scores[index] = torch.maximum(scores[index], mask * confidence)
        return scores

    def _written(self, result: Any, fused: Tensor) -> Any:
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

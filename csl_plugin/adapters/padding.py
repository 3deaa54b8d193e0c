"""Which pixels of a padded batch belong to its images, as the arguments of a call say it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from csl_plugin._tracing import untransformed
from csl_plugin.arrays import as_tensor, describe, has_values
from csl_plugin.errors import DeviceError, ShapeError

Size = tuple[int, int]

MASK_NAMES = ("pixel_mask", "pixel_attention_mask", "padding_mask")
"""Arguments that are masks; in the last one True is padding."""

_TRUE_IS_PADDING = "padding_mask"
_SIZES = "reshaped_input_sizes"  # of SAM's processor: the sizes of the images in its square


@dataclass(frozen=True)
class Padding:
    """What a call says of the padding of its images.

    Attributes:
        valid: Boolean (B, H, W), False for padding; None where the call says nothing, or nothing is padded.
        original_size: The images' sizes before the preprocessing, if the call states them.
    """

    valid: Tensor | None = None
    original_size: tuple[Size, ...] | None = None


def find_padding(values: Sequence[Any], kwargs: Mapping[str, Any], images: Tensor) -> Padding:
    """The padding of images (B, 3, H, W), from the arguments of the call that holds them.

    A mask (B, H, W) named `pixel_mask` or `pixel_attention_mask` (nonzero is the image), or `padding_mask`
    (nonzero is padding); the `reshaped_input_sizes` of SAM's processor; `img_shape`, with `pad_shape` and
    `padding_size`, of mmsegmentation's `img_metas` or data samples; mmdetection's have `batch_input_shape` in
    the place of `pad_shape`. In a mapping or a DataContainer among the arguments, too.

    Raises:
        ShapeError: A mask of another shape.
    """
    for named in (kwargs, *(value for value in values if isinstance(value, Mapping))):
        for name in MASK_NAMES:
            if named.get(name) is not None:
                valid = _read_mask(name, named[name], images)
                return Padding(valid ^ (name == _TRUE_IS_PADDING))
        if named.get(_SIZES) is not None:
            return Padding(valid_of_sizes(_sizes(named[_SIZES]), images))
    metas = _find_metas(
        [*values, *(v for value in values if isinstance(value, Mapping) for v in value.values())]
    )
    if len(metas) != len(images):
        return Padding()
    original = [_pair(meta.get("ori_shape")) for meta in metas]
    stated = tuple(size for size in original if size is not None)
    return Padding(_valid_of_metas(metas, images), stated if len(stated) == len(metas) else None)


def valid_of_sizes(sizes: Sequence[Size], images: Tensor) -> Tensor:
    """The mask of images that lie in the upper left corner of their planes.

    Raises:
        ShapeError: Another number of sizes than of images, or a size that exceeds the plane.
    """
    height, width = images.shape[2:]
    if len(sizes) != len(images) or any(h > height or w > width for h, w in sizes):
        expected = f"{len(images)} sizes within {(height, width)}"
        raise ShapeError("image sizes", str(list(sizes)), expected, "Pass the sizes without padding.")
    return _within([(0, h, 0, w) for h, w in sizes], images)


def _within(boxes: Sequence[tuple[int, int, int, int]], images: Tensor) -> Tensor:
    valid = torch.zeros(len(images), *images.shape[2:], dtype=torch.bool, device=images.device)
    for plane, (top, bottom, left, right) in zip(valid, boxes, strict=True):
        plane[top:bottom, left:right] = True
    return valid


def _read_mask(name: str, given: Any, images: Tensor) -> Tensor:
    mask = untransformed(name, as_tensor(name, given))
    mask = mask.squeeze(1) if mask.ndim == 4 else mask[None] if mask.ndim == 2 else mask
    if mask.shape != (len(images), *images.shape[2:]):
        expected = f"(B, H, W) = {(len(images), *images.shape[2:])}, as the images"
        raise ShapeError(name, describe(given), expected, "Pass the mask of these very images.")
    if has_values(mask) != has_values(images):
        hint = "Pass the mask of these very images, with its values."
        raise DeviceError(name, describe(given), "a mask with values where the images have them", hint)
    return (mask != 0).to(images.device)


def _sizes(given: Any) -> list[Size]:
    rows = given.tolist() if hasattr(given, "tolist") else given
    return [(int(row[0]), int(row[1])) for row in rows]


def _find_metas(values: Sequence[Any]) -> list[Mapping[str, Any]]:
    """The metainfo of each image, as mmsegmentation 0.x and 1.x carry it."""
    for value in values:
        found = list(_metas(value))
        if found:
            return found
    return []


def _metas(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, (list, tuple)):
        for one in value:
            yield from _metas(one)
    elif isinstance(value, Mapping):
        if "img_shape" in value:
            yield value
    elif isinstance(held := getattr(value, "data", None), (list, tuple)):
        yield from _metas(held)  # mmcv's DataContainer
    elif isinstance(meta := getattr(value, "metainfo", None), Mapping) and "img_shape" in meta:
        yield meta


def _valid_of_metas(metas: Sequence[Mapping[str, Any]], images: Tensor) -> Tensor | None:
    canvas = (images.shape[2], images.shape[3])
    boxes = []
    for meta in metas:
        size, padded = _pair(meta["img_shape"]), _pair(meta.get("batch_input_shape", meta.get("pad_shape")))
        if (
            size is None
            or (padded is not None and padded != canvas)
            or size[0] > canvas[0]
            or size[1] > canvas[1]
        ):
            return None  # of another tensor: an image before it was padded, or a crop
        left, right, top, bottom = _margins(meta.get("padding_size"), size, canvas)
        boxes.append((top, canvas[0] - bottom, left, canvas[1] - right))
    return _within(boxes, images)


def _margins(given: Any, size: Size, canvas: Size) -> tuple[int, int, int, int]:
    """The padding at the left, right, top and bottom; by default below and to the right."""
    below, beside = canvas[0] - size[0], canvas[1] - size[1]
    if isinstance(given, (list, tuple)) and len(given) == 4:
        left, right, top, bottom = (int(side) for side in given)
        if (left + right, top + bottom) == (beside, below) and min(left, right, top, bottom) >= 0:
            return left, right, top, bottom
    return 0, beside, 0, below


def _pair(shape: Any) -> Size | None:
    """The (h, w) that a shape begins with."""
    try:
        height, width = (int(side) for side in tuple(shape)[:2])
    except (TypeError, ValueError):
        return None
    return height, width

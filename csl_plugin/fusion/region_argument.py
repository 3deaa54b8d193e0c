"""The regions argument: proposals, a map or labels, checked against the distribution and made a partition."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeAlias, cast

import numpy as np
import torch
from torch import Tensor

from csl_plugin import ops
from csl_plugin._tracing import outside_graph, outside_transforms, untransformed
from csl_plugin.arrays import Array, as_tensor, describe, has_values, shown
from csl_plugin.errors import CSLError, DeviceError, DTypeError, ShapeError
from csl_plugin.fusion.score_argument import Distribution
from csl_plugin.regions.assignment import soft_assignment
from csl_plugin.regions.proposals import RegionProposals
from csl_plugin.regions.region_map import RegionMap

Partitioning: TypeAlias = "RegionProposals | RegionMap | Array"
Regions: TypeAlias = "Partitioning | Sequence[Partitioning]"
"""Proposals, a map or integer labels (B, H, W): one partition of the images, or several, coarse to fine."""

_OF_MASKS = "Masks and other tools' results become a partition by csl_plugin.proposers.regions_from_masks."
_OF_COLORS = (
    "Of an image propose the regions first, load_proposer()(image). Ids stored as colors are "
    "R + 256 * G + 65536 * B: compute them, as int32."
)


def read_partitions(
    regions: Regions, read: Distribution, split: bool, valid: Tensor | None, check: bool
) -> list[ops.Partition]:
    """The partitions of each image that `regions` gives at the size of the distribution, one or several.

    Raises:
        DTypeError, ShapeError, DeviceError, ScoreRangeError: As `csl_plugin.fuse` documents.
    """
    several = isinstance(regions, (list, tuple))
    given = cast("Sequence[Partitioning]", regions) if several else [cast("Partitioning", regions)]
    if not given:
        raise ShapeError("regions", "an empty list", "at least one partition", "Pass what a proposer gave.")
    with outside_transforms():
        maps = [_restricted_map(each, read, valid) for each in given]
        if not split:
            return [ops.partition(one.labels, one.num_regions, split=False, check=check) for one in maps]
    return [outside_graph(_split, one) for one in maps]


def _restricted_map(regions: Partitioning, read: Distribution, valid: Tensor | None) -> RegionMap:
    region_map = _read_regions(regions, read)
    labels = untransformed("regions", region_map.labels)
    if valid is not None:
        labels = labels if labels.dtype == torch.int64 else labels.to(torch.int32)
        labels = labels.masked_fill(~valid, -1)
    return RegionMap(labels, region_map.num_regions)


def _split(region_map: RegionMap) -> ops.Partition:
    if not has_values(region_map.labels):
        got, expected = (
            "labels without values (meta, fake, or recorded by torch.export)",
            "labels with values",
        )
        raise DeviceError("regions", got, expected, "Pass split=False to trace shapes only.")
    with outside_transforms():
        return ops.partition(region_map.labels, region_map.num_regions, split=True)


def read_valid(valid: Array | None, read: Distribution) -> Tensor | None:
    """The pixels that count, boolean (B, H, W).

    Raises:
        DTypeError, ShapeError, DeviceError: As `csl_plugin.fuse` documents.
    """
    if valid is None:
        return None
    mask = untransformed("valid", as_tensor("valid", valid))
    if mask.dtype != torch.bool:
        raise DTypeError("valid", describe(valid), "a boolean mask", "Compare it, for example labels != 255.")
    mask = mask[None] if mask.ndim == 2 else mask
    expected = (read.scores.shape[0], *read.size)
    if tuple(mask.shape) != expected:
        raise ShapeError(
            "valid",
            f"shape {tuple(mask.shape)}",
            f"(B, H, W) = {expected}",
            "Give one flag per pixel of the distribution.",
        )
    if isinstance(valid, np.ndarray):
        mask = mask.to(read.scores.device)
    _match_device("valid", mask, read)
    return mask


def _read_regions(regions: Partitioning, read: Distribution) -> RegionMap:
    if isinstance(regions, RegionProposals):
        if not torch.compiler.is_compiling():
            _check_channels_first(regions, read)
        _match_batch("regions", regions.batch_size, read)
        _match_device("regions", regions.validity, read)
        return soft_assignment(regions, read.size)
    region_map = regions if isinstance(regions, RegionMap) else _from_labels(regions, read)
    if region_map.size != read.size:
        got, expected = f"a map of size {region_map.size}", f"the distribution's size, {read.size}"
        raise ShapeError("regions", got, expected, _size_hint(region_map.size, read))
    _match_batch("regions", region_map.batch_size, read)
    _match_device("regions", region_map.labels, read)
    return region_map


def _size_hint(size: tuple[int, int], read: Distribution) -> str:
    """What to do with a map of another size than the scores."""
    if read.scores.shape[1:3] == size:
        return "The distribution looks channels-last: move its channels first, with permute or transpose."
    if size == read.size[::-1]:
        return "Height is first: Pillow's size is (W, H), and an array may be transposed."
    return f"Fuse at the size of the map with size={size}, or resample it with region_map.resize(size)."


def _check_channels_first(regions: RegionProposals, read: Distribution) -> None:
    """Refuse (..., H, W, C), which would be assigned at (W, C) silently."""
    height, width = regions.resolution
    channels, rows, columns = read.scores.shape[1:]
    if min(height, width) >= 16 and channels >= height and rows >= width and columns < width:
        raise ShapeError(
            "distribution",
            f"shape {tuple(read.source.shape)}, channels-last beside proposals of {height} x {width}",
            "(H, W), (C, H, W) or (B, C, H, W)",
            "Move the channels first with permute or transpose; if they are, assign the proposals yourself "
            "with soft_assignment(proposals, size).",
        )


def _from_labels(labels: object, read: Distribution) -> RegionMap:
    if not isinstance(labels, (Tensor, np.ndarray)):
        expected = "RegionProposals, a RegionMap, an array of integer labels, or a list of these"
        raise DTypeError("regions", _named(labels), expected, _hint_for(labels))
    tensor = untransformed("regions", as_tensor("regions", labels))
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        hint = "Convert them to an integer type. " + _OF_MASKS
        raise DTypeError("regions", describe(labels), "integer labels", hint)
    if tensor.ndim not in (2, 3) or _is_picture(tensor, read):
        hint = "Give one map per image, the batch as first axis. "
        hint += _OF_COLORS if tensor.shape[-1:] in ((3,), (4,)) else _OF_MASKS
        raise ShapeError("regions", f"shape {tuple(tensor.shape)}", "(H, W) or (B, H, W)", hint)
    if not torch.compiler.is_compiling() and not has_values(tensor):
        raise DeviceError(
            "regions", describe(labels), "labels with values", "Wrap them in RegionMap(labels, num_regions)."
        )
    tensor = tensor[None] if tensor.ndim == 2 else tensor
    if isinstance(labels, np.ndarray):
        tensor = tensor.to(read.scores.device)
    # A compiled graph cannot read the largest id; no partition has more regions than pixels.
    bound = read.size[0] * read.size[1] if torch.compiler.is_compiling() else None
    try:
        return RegionMap(tensor, num_regions=bound)
    except CSLError as error:
        raise type(error)("regions", error.got, error.expected, error.hint) from None


def _named(value: object) -> str:
    return f"the text {shown(value)}" if isinstance(value, str) else describe(value)


def _hint_for(value: object) -> str:
    """What to do with what is no regions: an image, its path, a proposer, or something of another tool."""
    if isinstance(value, (str, os.PathLike)) or hasattr(value, "getbands"):
        return (
            "Propose the regions of the image first: fuse(scores, load_proposer()(image)). A map of ids in a "
            "file is read by csl_plugin.io.read_region_map(path)."
        )
    if callable(value):
        return "Call the proposer with the image first: fuse(scores, proposer(image))."
    return "Pass what a proposer gave. " + _OF_MASKS


def _is_picture(labels: Tensor, read: Distribution) -> bool:
    """Whether labels are a color picture (H, W, 3) of the distribution's size."""
    return tuple(labels.shape) in ((*read.size, 3), (*read.size, 4)) and read.size[1] != labels.shape[-1]


def _match_batch(argument: str, batch: int, read: Distribution) -> None:
    if batch != read.scores.shape[0]:
        raise ShapeError(
            argument,
            f"a batch of {batch}",
            f"the distribution's batch of {read.scores.shape[0]}",
            f"Give one set of regions per image; expand shared ones explicitly. {_OF_MASKS}",
        )


def _match_device(argument: str, tensor: Tensor, read: Distribution) -> None:
    if tensor.device != read.scores.device:
        raise DeviceError(
            argument,
            f"a tensor on {tensor.device}",
            f"one on {read.scores.device}, where the distribution lies",
            f"Move it with .to('{read.scores.device}').",
        )
    if not torch.compiler.is_compiling() and has_values(tensor) != has_values(read.scores):
        given, without = ("values", "one without") if has_values(tensor) else ("no values", "one with them")
        hint = "Trace shapes with tensors that are all on meta, or all fake."
        raise DeviceError(argument, f"a tensor with {given}", f"{without}, as the distribution", hint)

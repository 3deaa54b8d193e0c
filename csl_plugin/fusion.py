"""Structure-constrained fusion, eq. 3 of the paper, on tensors and arrays."""

from __future__ import annotations

from typing import TypeAlias, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from csl_plugin import ops
from csl_plugin.arrays import Array, as_tensor, describe
from csl_plugin.assignment import Interpolate, soft_assignment
from csl_plugin.destination import check_out
from csl_plugin.distribution import Distribution, check_scores, read_distribution
from csl_plugin.errors import CSLError, DeviceError, DTypeError, OptionError, ShapeError
from csl_plugin.region_map import RegionMap
from csl_plugin.region_proposals import RegionProposals

Regions: TypeAlias = "RegionProposals | RegionMap | Array"
Rule: TypeAlias = ops.Rule
ArrayT = TypeVar("ArrayT", Tensor, np.ndarray)

_RULES = ("product", "geometric", "mean")


def fuse(
    distribution: ArrayT,
    regions: Regions,
    *,
    rule: Rule = "product",
    split: bool = True,
    size: tuple[int, int] | None = None,
    interpolate: Interpolate = "scores",
    valid: Array | None = None,
    out: ArrayT | None = None,
    check: bool = True,
) -> ArrayT:
    """Combine every pixel's score with the mean score of its region: H[c] = mean_region(D[c]) * D[c].

    What comes in comes out: a tensor or an array of the same shape, dtype and device.

    Args:
        distribution: D, scores >= 0, higher for more of the class: (H, W), (C, H, W) or (B, C, H, W), torch
            tensor or numpy array. float16, bfloat16, float32, float64, or uint8, which stands for [0, 1] in
            steps of 1/255. C = 1 for out-of-distribution scores. Any scale will do, but not any zero: raw
            scores such as logits, energies or negated maxima go through a `Calibration` first.
        regions: `RegionProposals` (soft-assigned at the size of D), a `RegionMap`, or integer labels (H, W)
            or (B, H, W) with -1 for unassigned. An unbatched distribution goes with a batch of one.
        rule: "product" is eq. 3. "geometric" is its square root: the same order and the same labels, but on
            D's own scale, so that it survives float16 files. "mean" is the region's mean alone.
        split: Split every region into its connected components first, as the paper's proposals are.
        size: (H, W) to fuse at, where D comes at a resolution of its own: it is upsampled first, bilinear
            with pixel centres aligned. Regions, `valid`, `out` and the result are then of this size.
        interpolate: "scores": `distribution` holds D. "logits": it holds logits, which are upsampled before
            the softmax over the classes (a sigmoid where there is one class); any finite values will do.
        valid: Pixels that count, boolean (H, W) or (B, H, W). The others (padding, void) are unassigned: they
            stay out of every mean and connect nothing; their values may be anything.
        out: Where to write the result, of D's kind, shape and dtype; the distribution itself is allowed.
        check: Read D once and refuse negative and non-finite values. Without it the call makes no such pass.

    Returns:
        H, in the kind, shape, dtype and device of `distribution` (`out`, where given). An unassigned pixel is
        a region of its own: its mean is itself, so each rule keeps one scale over the whole map.

    Raises:
        DTypeError: A type or dtype that is not named above.
        ShapeError: Wrong number of axes, an empty axis, or sizes and batches that do not match.
        DeviceError: `distribution` and `regions` lie on different devices.
        ScoreRangeError: Negative or non-finite scores, or scores whose product the dtype cannot hold.
        OptionError: An unknown rule, or an `out` that cannot be written.

    Note:
        Arithmetic is in float32 (float64 for float64), sums over regions in float64, counts in int64. Beyond
        the result it takes a few H x W planes, or a few copies of D where gradients are recorded. Gradients
        flow to `distribution`. With check=False and split=False it compiles with fullgraph=True; integer
        labels given to a compiled call must then be below H * W.

    Example:
        >>> import numpy as np
        >>> from csl_plugin import fuse
        >>> scores = np.array([[0.75, 0.25, 0.5, 0.5]], dtype=np.float32)   # one row of pixels
        >>> labels = np.array([[0, 0, 1, -1]])                               # two regions and a gap
        >>> fuse(scores, labels)
        array([[0.375, 0.125, 0.25 , 0.25 ]], dtype=float32)
        >>> fuse(scores, labels, rule="mean")
        array([[0.5, 0.5, 0.5, 0.5]], dtype=float32)

    Source:
        Paper, "Structure-Constrained Fusion", eq. 3.
    """
    _check_options(rule, split, interpolate)
    read = read_distribution(distribution, size)
    if out is not None:
        check_out(out, read)
    mask = _read_valid(valid, read)
    if check:
        check_scores(read, mask, logits=interpolate == "logits", squared=rule == "product")
    partition = _read_partition(regions, read, split, mask)
    scores = ops.upsample(read.scores, read.size, logits=interpolate == "logits")
    table = ops.means(scores, partition)
    if out is not None:
        target = read_distribution(out)
        ops.apply(scores, partition, table, rule, target.scores)
        target.write_through()
        return out
    # Upsampled scores belong to nobody else, so the result may take their place.
    own = None if scores is read.scores or scores.requires_grad else scores
    return cast("ArrayT", read.give_back(ops.apply(scores, partition, table, rule, own)))


def fuse_labels(
    distribution: ArrayT,
    regions: Regions,
    *,
    rule: Rule = "product",
    split: bool = True,
    size: tuple[int, int] | None = None,
    interpolate: Interpolate = "scores",
    valid: Array | None = None,
    check: bool = True,
) -> ArrayT:
    """The most probable class of every pixel after fusion: arg max over c of eq. 3, without holding H.

    Equal to ``fuse(distribution, regions, ...)`` followed by an arg max over the classes.

    Args:
        distribution: D as for `fuse`, with a class axis: (C, H, W) or (B, C, H, W).
        regions: As for `fuse`.
        rule: As for `fuse`; "geometric" gives the labels of "product".
        split: As for `fuse`.
        size: As for `fuse`. D is upsampled band by band and never held at this size.
        interpolate: As for `fuse`.
        valid: As for `fuse`.
        check: As for `fuse`.

    Returns:
        int64 class indices, (H, W) or (B, H, W); a tensor on the distribution's device, or an array. Ties go
        to the lowest class.

    Raises:
        ShapeError: As for `fuse`, and where the distribution has no class axis.
        DTypeError, DeviceError, ScoreRangeError, OptionError: As for `fuse`.

    Example:
        >>> import torch
        >>> from csl_plugin import fuse_labels
        >>> probabilities = torch.tensor([[[0.9, 0.4]], [[0.1, 0.6]]])   # two classes, one row of pixels
        >>> fuse_labels(probabilities, torch.tensor([[0, 0]]))           # the noisy pixel follows its region
        tensor([[0, 0]])

    Source:
        Paper, eq. 3, as used for zero-shot and domain adaptation (C classes).
    """
    _check_options(rule, split, interpolate)
    read = read_distribution(distribution, size)
    if not read.has_class_axis:
        raise ShapeError(
            "distribution",
            f"shape {tuple(read.source.shape)}",
            "(C, H, W) or (B, C, H, W)",
            "There is no arg max over one map: threshold fuse(...) instead.",
        )
    logits = interpolate == "logits"
    mask = _read_valid(valid, read)
    if check:
        check_scores(read, mask, logits=logits, squared=False)
    partition = _read_partition(regions, read, split, mask)
    with torch.no_grad():
        winners = ops.labels(read.scores, partition, rule, read.size, logits=logits)
    return cast("ArrayT", read.give_back_labels(winners))


def _check_options(rule: str, split: bool, interpolate: str) -> None:
    if interpolate not in ("scores", "logits"):
        raise OptionError(
            "interpolate", repr(interpolate), '"scores" or "logits"', "Say what the distribution holds."
        )
    if rule not in _RULES:
        raise OptionError(
            "rule", repr(rule), '"product", "geometric" or "mean"', 'Equation 3 of the paper is "product".'
        )
    if not isinstance(split, bool):
        raise OptionError(
            "split", repr(split), "True or False", "Pass other options by name, as in fuse(d, r, rule=...)."
        )


def _read_regions(regions: Regions, read: Distribution) -> RegionMap:
    if isinstance(regions, RegionProposals):
        _check_channels_first(regions, read)
        _match_batch("regions", regions.batch_size, read)
        _match_device("regions", regions.device, read)
        return soft_assignment(regions, read.size)
    region_map = regions if isinstance(regions, RegionMap) else _from_labels(regions, read)
    if region_map.size != read.size:
        channels_last = read.scores.shape[1:3] == region_map.size
        raise ShapeError(
            "regions",
            f"a map of size {region_map.size}",
            f"the distribution's size, {read.size}",
            "The distribution looks channels-last: move its channels first, with permute or transpose."
            if channels_last
            else "Resample the map with nearest-neighbour interpolation, or fuse at the size of the map.",
        )
    _match_batch("regions", region_map.batch_size, read)
    _match_device("regions", region_map.device, read)
    return region_map


def _check_channels_first(regions: RegionProposals, read: Distribution) -> None:
    """Refuse (..., H, W, C), which would be assigned at (W, C) without a word."""
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
        raise DTypeError(
            "regions",
            describe(labels),
            "RegionProposals, a RegionMap or an array of integer labels",
            "Of several partitions, pass one.",
        )
    tensor = as_tensor("regions", labels)
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise DTypeError("regions", describe(labels), "integer labels", "Convert them to an integer type.")
    if tensor.ndim not in (2, 3):
        raise ShapeError(
            "regions",
            f"shape {tuple(tensor.shape)}",
            "(H, W) or (B, H, W)",
            "Give one map per image, the batch as first axis.",
        )
    if tensor.is_meta:
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
        raise type(error)("regions", error.got, error.expected, error.mend) from None


def _read_valid(valid: Array | None, read: Distribution) -> Tensor | None:
    if valid is None:
        return None
    mask = as_tensor("valid", valid)
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
    _match_device("valid", mask.device, read)
    return mask


def _read_partition(regions: Regions, read: Distribution, split: bool, valid: Tensor | None) -> ops.Partition:
    region_map = _read_regions(regions, read)
    if valid is not None:
        region_map = _restricted(region_map, valid)
    if split and region_map.labels.is_meta:
        raise DeviceError(
            "regions", "labels on meta", "labels with values", "Pass split=False to trace shapes only."
        )
    return ops.partition(region_map.labels, region_map.num_regions, split=split)


def _restricted(region_map: RegionMap, valid: Tensor) -> RegionMap:
    labels = region_map.labels
    labels = labels if labels.dtype == torch.int64 else labels.to(torch.int32)
    return RegionMap(labels.masked_fill(~valid, -1), region_map.num_regions)


def _match_batch(argument: str, batch: int, read: Distribution) -> None:
    if batch != read.scores.shape[0]:
        raise ShapeError(
            argument,
            f"a batch of {batch}",
            f"the distribution's batch of {read.scores.shape[0]}",
            "Give one set of regions per image; expand shared ones explicitly.",
        )


def _match_device(argument: str, device: torch.device, read: Distribution) -> None:
    if device != read.scores.device:
        raise DeviceError(
            argument,
            f"a tensor on {device}",
            f"one on {read.scores.device}, where the distribution lies",
            f"Move it with .to('{read.scores.device}').",
        )

"""From region proposals to a region map: soft assignment (eq. 2) and its baseline, hard assignment."""

from __future__ import annotations

from typing import Literal, TypeAlias

from torch import Tensor

from csl_plugin import ops
from csl_plugin._options import as_float, check_choice
from csl_plugin._tracing import outside_transforms, refuse_jit, untransformed
from csl_plugin.arrays import describe, has_values, shown
from csl_plugin.errors import DeviceError, DTypeError, OptionError
from csl_plugin.ops.dtypes import Sigmoid
from csl_plugin.regions.proposals import RegionProposals
from csl_plugin.regions.region_map import RegionMap, check_size

Interpolate: TypeAlias = Literal["scores", "logits"]


def soft_assignment(
    proposals: RegionProposals, size: tuple[int, int], *, interpolate: Interpolate = "scores"
) -> RegionMap:
    """Assign every pixel to the region that most probably holds it and is real: arg max of R[n] * V[n].

    Args:
        proposals: R (B, N, h, w) and V (B, N).
        size: (H, W) of the image; R is brought to it by bilinear interpolation (pixel centers aligned).
        interpolate: "scores" upsamples after the sigmoid, the paper's order; "logits" before it,
            Mask2Former's. The two differ on a few pixels in a thousand, at boundaries.

    Returns:
        A map of (B, H, W) int32 labels 0 ... N-1 on the proposals' device. Every pixel has a region; ties go
        to the lowest index. Labels are those of `proposals`, so some may not occur. With N = 0, where there
        is nothing to assign to, all are -1.

    Raises:
        DTypeError: `proposals` is not a `RegionProposals`.
        ShapeError: `size` is not two positive integers.
        OptionError: `interpolate` has another value.

    Note:
        N x H x W is never held, except where the call is being compiled. No gradient flows through it.

    Example:
        >>> import torch
        >>> from csl_plugin import RegionProposals, soft_assignment
        >>> scores = torch.tensor([[[[0.9, 0.1]], [[0.6, 0.6]]]])       # R, two regions on a 1 x 2 grid
        >>> soft_assignment(RegionProposals(scores, torch.tensor([[0.5, 1.0]])), (1, 2)).labels
        tensor([[[1, 1]]], dtype=torch.int32)

    Source:
        Paper, eq. 2.
    """
    height_width = _check(proposals, size)
    values, sigmoid = _source(proposals, interpolate)
    validity = untransformed("proposals", proposals.validity)
    with outside_transforms():
        labels = ops.assign(values, validity, height_width, sigmoid)
    return RegionMap(labels, num_regions=proposals.num_regions)


def hard_assignment(
    proposals: RegionProposals,
    size: tuple[int, int],
    threshold: float = 0.5,
    *,
    interpolate: Interpolate = "scores",
) -> RegionMap:
    """The baseline the paper compares with: binary masks painted in ascending validity.

    Args:
        proposals: R (B, N, h, w) and V (B, N).
        size: (H, W) of the image.
        threshold: A pixel is in region n where R[n] exceeds it; in [0, 1).
        interpolate: As for `soft_assignment`.

    Returns:
        A map of (B, H, W) int32 labels on the proposals' device. A region of higher validity covers those of
        lower; among equal ones the lowest index lies on top. Pixels that no mask covers are -1.

    Raises:
        DTypeError: `proposals` is not a `RegionProposals`.
        ShapeError: `size` is not two positive integers.
        OptionError: `threshold` is outside [0, 1) or `interpolate` has another value.
        DeviceError: The proposals lie on meta.

    Example:
        >>> import torch
        >>> from csl_plugin import RegionProposals, hard_assignment
        >>> scores = torch.tensor([[[[0.9, 0.1]], [[0.6, 0.4]]]])
        >>> hard_assignment(RegionProposals(scores, torch.tensor([[0.5, 1.0]])), (1, 2)).labels
        tensor([[[ 1, -1]]], dtype=torch.int32)

    Source:
        Paper, "Comparison with hard assignment" (the inference of Mask2Former and EntitySeg).
    """
    height_width = _check(proposals, size)
    if not 0.0 <= as_float(threshold) < 1.0:
        raise OptionError("threshold", shown(threshold), "a number in [0, 1)", "The customary value is 0.5.")
    values, sigmoid = _source(proposals, interpolate)
    if not has_values(values):
        hint = "The order of painting depends on the values: assign before tracing."
        got = "scores without values (meta, fake, or recorded by torch.export)"
        raise DeviceError("proposals", got, "scores with values", hint)
    validity = untransformed("proposals", proposals.validity)
    with outside_transforms():
        labels = ops.hard_assign(values, validity, height_width, sigmoid, float(threshold))
    return RegionMap(labels, num_regions=proposals.num_regions)


def _check(proposals: RegionProposals, size: tuple[int, int]) -> tuple[int, int]:
    if not isinstance(proposals, RegionProposals):
        raise DTypeError(
            "proposals",
            describe(proposals),
            "a RegionProposals",
            "Wrap region scores and validity in RegionProposals(scores, validity).",
        )
    refuse_jit("proposals")
    return check_size(size)


def _source(proposals: RegionProposals, interpolate: Interpolate) -> tuple[Tensor, Sigmoid]:
    check_choice("interpolate", interpolate, ("scores", "logits"), 'The paper\'s order is "scores".')
    raw = interpolate == "logits" or proposals.holds_logits
    values = untransformed("proposals", proposals.mask_logits if raw else proposals.scores)
    return values, "after" if interpolate == "logits" else "before" if raw else "none"

"""Structure-constrained fusion on tensors and arrays: eq. 3 of the paper, and what follows from it."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch

from csl_plugin import ops
from csl_plugin._tracing import is_differentiated, outside_graph, whole
from csl_plugin.arrays import Array, ArrayT, shown
from csl_plugin.errors import OptionError, ShapeError
from csl_plugin.fusion._out import check_out
from csl_plugin.fusion.region_argument import Regions, read_partitions, read_valid
from csl_plugin.fusion.rules import Rule, read_rule
from csl_plugin.fusion.score_argument import check_scores, read_distribution


def fuse(
    distribution: ArrayT,
    regions: Regions,
    *,
    rule: Rule = "adaptive",
    split: bool = True,
    size: tuple[int, int] | None = None,
    logits: bool = False,
    valid: Array | None = None,
    out: ArrayT | None = None,
    check: bool = True,
) -> ArrayT:
    """Combine every pixel's score with the mean score of its regions.

    Eq. 3 of the paper as printed, H[c] = mean_region(D[c]) * D[c], is the rule "product". The default is its
    square root, so that it stays on the scale of D, with two changes: where D is one score, a pixel below
    what is typical of its finest region takes that in place of its own; where classes compete, the finest
    region counts as far as it agrees on one of them.

    The result is a tensor or an array, as `distribution` is, with its shape, dtype and device.

    Args:
        distribution: D, scores >= 0, higher for more of the class: (H, W), (C, H, W) or (B, C, H, W), torch
            tensor or numpy array. float16, bfloat16, float32, float64, or uint8, which stands for [0, 1] in
            steps of 1/255. C = 1 for out-of-distribution scores. The scale is free, the zero is not: map raw
            scores such as energies or negated maxima by a `Calibration` first.
        regions: `RegionProposals` (soft-assigned at the size of D), a `RegionMap`, or integer labels (H, W)
            or (B, H, W) with -1 for unassigned. An unbatched distribution needs a batch of one. Or a
            list or tuple of these: several partitions of the same images, from coarse to fine.
        rule: Of D[c] and m[c], the average over the partitions of the mean of D[c] over the pixel's region:

            - "adaptive": on D's own scale; see docs/guide/fusion.md. For C = 1 sqrt(h * max(D, f)), where h
              averages the region means as m does, but every partition counts half as much as the one before
              it, and f is the squared mean of sqrt(D) over the pixel's region of the last: its holes are
              filled. For C > 1 sqrt(D[c] * (a^2 * n[c] + (1 - a^2) * D[c])), where n is the mean over the
              region of the last and a = sum(n^2) / sum(n)^2 says how far it agrees on a class. The channels
              compete for a pixel: fuse scores that are no classes of each other one at a time.
            - "product": m[c] * D[c], eq. 3 as printed, on the scale of D squared.
            - "geometric": the square root of "product": same order, same labels, D's own scale.
            - "mean": m[c].
        split: Split every region into its connected components first, as the paper's proposals are.
        size: (H, W) to fuse at, if D has another resolution. D is upsampled first, bilinear, pixel centers
            aligned. Regions, `valid`, `out` and the result then have this size.
        logits: `distribution` holds logits of D, any finite values. They are upsampled first, then pass
            through a softmax over the classes, or a sigmoid where there is one class.
        valid: Pixels that count, boolean (H, W) or (B, H, W). The others (padding, void) are unassigned: they
            enter no mean and connect no components; their values may be anything.
        out: Where to write the result: a tensor or array of D's shape and dtype; D itself is allowed.
        check: Read D once and refuse negative and non-finite values, and region ids beyond `num_regions`.

    Returns:
        H, a tensor or array like `distribution` (`out`, if given). An unassigned pixel is a region of its
        own: its mean is itself, so each rule keeps one scale over the whole map.

    Raises:
        DTypeError: A type or dtype not named above.
        ShapeError: Wrong number of axes, an empty axis, or sizes and batches that do not match.
        DeviceError: `distribution` and `regions` lie on different devices.
        ScoreRangeError: Negative or non-finite scores, or scores whose product the dtype cannot hold.
        OptionError: An unknown rule, an `out` that cannot be written, or a call within torch.jit.trace.

    Note:
        Arithmetic is in float32 (float64 for float64), sums over regions in float64, counts in int64. Beyond
        the result it takes a few H x W planes; with `size` or `logits` D in the dtype of the arithmetic; a
        few copies of D where gradients are recorded. On the CPU, the memory of the last result of 32 to 256
        MiB that nothing refers to any more is kept for the next of its size. Gradients flow to
        `distribution`, also in torch.func.
        With check=False and split=False it compiles with fullgraph=True and is exported by torch.export;
        integer labels given to such a call must be below H * W. torch.jit.trace is refused.

    Example:
        >>> import numpy as np
        >>> from csl_plugin import fuse
        >>> scores = np.array([[0.75, 0.25, 0.5, 0.5]], dtype=np.float32)   # one row of pixels
        >>> labels = np.array([[0, 0, 1, -1]])                               # two regions and a gap
        >>> fuse(scores, labels).round(3)
        array([[0.612, 0.483, 0.5  , 0.5  ]], dtype=float32)
        >>> fuse(scores, labels, rule="product")
        array([[0.375, 0.125, 0.25 , 0.25 ]], dtype=float32)
        >>> fuse(scores, labels, rule="mean")
        array([[0.5, 0.5, 0.5, 0.5]], dtype=float32)

    Source:
        Paper, "Structure-Constrained Fusion", eq. 3.
    """
    _check_flags(split=split, logits=logits, check=check)
    how = read_rule(rule)
    read = read_distribution(distribution, size)
    if out is not None:
        check_out(out, read)
    mask = read_valid(valid, read)
    if check:
        outside_graph(check_scores, read, mask, logits, how == "product")
    partitions = read_partitions(regions, read, split, mask, check)
    scores = ops.upsample(read.scores, read.size, logits=logits)
    target = None if out is None else read_distribution(out)
    if scores is read.scores:
        place = None if target is None else target.scores
        fused = whole(ops.fuse, scores, partitions, how, place)
    else:
        # No caller holds the upsampled scores, so the result may overwrite them.
        own = None if is_differentiated(scores) else scores
        fused = ops.to_stored(whole(ops.fuse, scores, partitions, how, own), read.scores.dtype)
        if target is not None:
            target.scores.copy_(fused)
    if target is None:
        return cast("ArrayT", read.give_back(fused))
    target.write_through()
    return cast("ArrayT", out)


def fuse_labels(
    distribution: ArrayT,
    regions: Regions,
    *,
    rule: Rule = "adaptive",
    split: bool = True,
    size: tuple[int, int] | None = None,
    logits: bool = False,
    valid: Array | None = None,
    check: bool = True,
) -> ArrayT:
    """The most probable class of every pixel after fusion: arg max over c of `fuse`, without holding H.

    Equal to ``fuse(distribution, regions, ...)`` followed by an arg max over the classes, before rounding
    that result to a stored dtype of less than float32, in which close classes may tie.

    Args:
        distribution: D as for `fuse`, with a class axis: (C, H, W) or (B, C, H, W).
        regions: As for `fuse`.
        rule: As for `fuse`; "geometric" gives the labels of "product".
        split: As for `fuse`.
        size: As for `fuse`. D is upsampled band by band and never held at this size.
        logits: As for `fuse`.
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
        >>> probabilities = torch.tensor([[[0.9, 0.9, 0.45]], [[0.1, 0.1, 0.55]]])   # two classes, one row
        >>> fuse_labels(probabilities, torch.tensor([[0, 0, 0]]))   # the doubtful pixel follows its region
        tensor([[0, 0, 0]])

    Source:
        Paper, eq. 3 ("product"), as used for zero-shot and domain adaptation (C classes).
    """
    _check_flags(split=split, logits=logits, check=check)
    how = read_rule(rule)
    read = read_distribution(distribution, size)
    if not read.has_class_axis:
        raise ShapeError(
            "distribution",
            f"shape {tuple(read.source.shape)}",
            "(C, H, W) or (B, C, H, W)",
            "There is no arg max over one map: threshold fuse(...) instead.",
        )
    mask = read_valid(valid, read)
    if check:
        outside_graph(check_scores, read, mask, logits, False)
    partitions = read_partitions(regions, read, split, mask, check)
    with torch.no_grad():
        winners = ops.fuse_labels(read.scores, partitions, how, read.size, logits=logits)
    return cast("ArrayT", read.give_back_labels(winners))


def _check_flags(**flags: bool) -> None:
    for name, value in flags.items():
        if not isinstance(value, (bool, np.bool_)):
            hint = "Pass other options by name, as in fuse(d, r, rule=...)."
            raise OptionError(name, shown(value), "True or False", hint)

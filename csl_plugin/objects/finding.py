"""Objects of a fused map at a threshold, along the regions of the image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol, SupportsFloat, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from csl_plugin._options import checked_integer
from csl_plugin._tracing import outside_graph, refuse_transforms
from csl_plugin.arrays import Array, bounds, has_values
from csl_plugin.errors import CSLError, DeviceError, ScoreRangeError, ShapeError
from csl_plugin.fusion.region_argument import Regions, read_partitions, read_valid
from csl_plugin.fusion.score_argument import LARGEST_SCORE, Distribution, read_distribution
from csl_plugin.objects.given_threshold import checked_threshold
from csl_plugin.objects.instances import Objects
from csl_plugin.objects.marked import by_regions, objects_of
from csl_plugin.ops.cpu.runs import Runs, find_runs
from csl_plugin.ops.partition import Partition


@runtime_checkable
class _Fitted(Protocol):
    """A `Threshold`."""

    def check_made_with(self, settings: Mapping[str, Any]) -> None:
        """Refuse objects that are made in another way than those of the fit."""


def find_objects(
    fused: Array,
    threshold: SupportsFloat,
    regions: Regions | None = None,
    *,
    min_area: int = 64,
    split: bool = True,
    valid: Array | None = None,
) -> list[Objects]:
    """The objects of fused maps: what is connected at or above a threshold, along the regions of the image.

    With regions, they decide and not the pixels. A region of the finest partition belongs to an object as a
    whole where at least half of its pixels are at or above the threshold, and not at all elsewhere: holes are
    filled, specks vanish, and outlines follow the image. Then, from fine to coarse, a region of which at
    least half belongs to objects is one as a whole, which closes gaps. What is less than half of its finest
    region is not found; without regions the pixels alone decide.

    Args:
        fused: Scores of one class, higher for more of it: (H, W), (1, H, W) or (B, 1, H, W), a torch tensor
            or a numpy array, any finite values up to 1e290. uint8 stands for [0, 1] in steps of 1/255.
        threshold: In the units of `fused`: a number, or a `Threshold`. A pixel equal to it counts. The budget
            of `Threshold.fit_objects` holds for objects that are found as in the fit, with its `min_area` and
            `split`, and with regions or without.
        regions: As for `csl_plugin.fuse`: one partition or several, from coarse to fine. A pixel that is in
            none of the finest decides for itself.
        min_area: The least number of pixels of an object, at least 1.
        split: Split the regions into their connected components first, as `fuse` does.
        valid: Pixels that count, boolean (H, W) or (B, H, W). The others belong to no object.

    Returns:
        The objects of each image, a list of B `Objects`. The score of an object is the mean of those of its
        pixels that are at or above the threshold, so it does not hang on a single one, and what was filled in
        does not lower it.

    Raises:
        DTypeError, DeviceError: A map without values, or as for `csl_plugin.fuse`.
        ShapeError: As for `csl_plugin.fuse`, or more than one class.
        ScoreRangeError: A valid pixel's score is nan, infinite, or beyond 1e290.
        OptionError: `threshold` is no finite number, or `min_area` no integer of at least 1; or objects were
            found in another way in the threshold's fit.

    Example:
        >>> import numpy as np
        >>> fused = np.array([[0.9, 0.2, 0.8, 0.1, 0.1]])
        >>> found, = find_objects(fused, 0.5, np.array([[0, 0, 0, 1, 1]]), min_area=1)
        >>> found.boxes.tolist(), found.scores.round(3).tolist()
        ([[0, 0, 3, 1]], [0.85])
    """
    return outside_graph(_find, fused, threshold, regions, min_area, split, valid)


def by_which_regions(regions: Regions | None, *, split: bool) -> str:
    """How regions decide, as `Threshold.made_with` notes it under "by_regions"."""
    return "none" if regions is None else "split" if split else "as they are"


def _find(
    fused: Array,
    threshold: SupportsFloat,
    regions: Regions | None,
    min_area: int,
    split: bool,
    valid: Array | None,
) -> list[Objects]:
    level = checked_threshold(threshold)
    least = checked_integer("min_area", min_area, 1, None, "1 keeps every object.")
    if isinstance(threshold, _Fitted):
        threshold.check_made_with({"min_area": least, "by_regions": by_which_regions(regions, split=split)})
    read = _read_fused(fused)
    mask = read_valid(valid, read)
    partitions = [] if regions is None else read_partitions(regions, read, split, mask, True)
    found = []
    for image, scores in enumerate(read.scores[:, 0].detach()):
        counts = None if mask is None else mask[image].cpu().numpy()
        runs = [_runs(partition, image) for partition in partitions]
        with np.errstate(all="ignore"):  # a threshold beyond the element type, means of the smallest numbers
            found.append(_found_in(_values(scores), level, counts, runs, least))
    return found


def _found_in(
    values: NDArray[Any], level: float, counts: NDArray[np.bool_] | None, partitions: list[Runs], least: int
) -> Objects:
    """The objects of one map; the arguments as in `find_objects`."""
    _check_finite(values, counts)
    marked = values >= level if counts is None else (values >= level) & counts
    if partitions:
        marked = by_regions(marked, partitions)
    return objects_of(values, level, marked, least)


def _runs(partition: Partition, image: int) -> Runs:
    if partition.runs is not None:
        return partition.runs[image]
    return find_runs(partition.ids[image].cpu().numpy())


def _read_fused(fused: Array) -> Distribution:
    refuse_transforms("fused")
    try:
        read = read_distribution(fused)
    except CSLError as error:
        raise type(error)("fused", error.got, error.expected, error.hint) from None
    if read.scores.shape[1] != 1:
        got, hint = f"{read.scores.shape[1]} classes", "Pass the fused map of one class, fused[:, c : c + 1]."
        raise ShapeError("fused", got, "one class: (H, W), (1, H, W) or (B, 1, H, W)", hint)
    if not has_values(read.scores):
        got, hint = "a map without values (meta, fake, or recorded by torch.export)", "Pass data."
        raise DeviceError("fused", got, "a map with values", hint)
    return read


def _values(scores: Tensor) -> NDArray[Any]:
    """One map as float32 or float64 on the CPU."""
    if scores.dtype == torch.uint8:
        return np.asarray(scores.cpu().numpy() / np.float32(255))
    return np.asarray((scores if scores.itemsize >= 4 else scores.float()).cpu().numpy())


def _check_finite(values: NDArray[Any], counts: NDArray[np.bool_] | None) -> None:
    low, high = bounds(torch.from_numpy(values if counts is None else values[counts]))
    if not math.isfinite(low) or not math.isfinite(high):
        hint = "Find out what produced them, or mark such pixels as not valid."
        raise ScoreRangeError("fused", "nan or infinity", "finite scores", hint)
    if max(-low, high) > LARGEST_SCORE:
        got, hint = f"scores from {low:.4g} to {high:.4g}", "Scale them to [0, 1]."
        raise ScoreRangeError("fused", got, f"scores up to {LARGEST_SCORE:g}", hint)

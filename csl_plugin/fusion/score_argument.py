"""The distribution argument: read as a tensor, checked, and returned in the form it was given in."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from csl_plugin._tracing import all_values, refuse_jit
from csl_plugin.arrays import Array, as_tensor, bounds, describe, has_values
from csl_plugin.errors import DeviceError, DTypeError, ScoreRangeError, ShapeError
from csl_plugin.regions.proposals import RegionProposals
from csl_plugin.regions.region_map import RegionMap, check_size

LARGEST_SCORE = 1e290
"""Sums over regions are in float64: up to here they are finite for every number of pixels."""

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8)


@dataclass(frozen=True)
class Distribution:
    """D as (B, C, h, w), the size (H, W) to fuse it at, and the argument whose form the result takes."""

    scores: Tensor
    source: Array
    size: tuple[int, int]

    @property
    def result_shape(self) -> tuple[int, ...]:
        """The shape of the result: that of the argument, at the size to fuse at."""
        return (*self.source.shape[:-2], *self.size)

    @property
    def is_resized(self) -> bool:
        """Whether D has another resolution than it is fused at."""
        return self.size != tuple(self.scores.shape[2:])

    @property
    def has_class_axis(self) -> bool:
        """Whether the argument has a class axis."""
        return self.source.ndim > 2

    def give_back(self, fused: Tensor) -> Array:
        """Fused maps (B, C, H, W) in the type, shape and byte order of the argument."""
        fused = fused[(0,) * (4 - self.source.ndim)]
        if isinstance(self.source, np.ndarray):
            return fused.numpy().astype(self.source.dtype, copy=False)
        return fused

    def write_through(self) -> None:
        """Copy `scores` back into `source` where torch could not share its memory."""
        if (
            isinstance(self.source, np.ndarray)
            and self.scores.data_ptr() != self.source.__array_interface__["data"][0]
        ):
            np.copyto(self.source, self.give_back(self.scores))

    def give_back_labels(self, labels: Tensor) -> Array:
        """Labels (B, H, W) in the type of the argument, without the batch axis if it has none."""
        labels = labels if self.source.ndim == 4 else labels[0]
        return labels.numpy() if isinstance(self.source, np.ndarray) else labels


def read_distribution(value: Array, size: tuple[int, int] | None = None) -> Distribution:
    """D as (B, C, H, W), from (H, W), (C, H, W) or (B, C, H, W); no copy where torch can share the memory.

    `size` is the size to fuse at, by default D's own.

    Raises:
        DTypeError, ShapeError: As `csl_plugin.fuse` documents.
    """
    refuse_jit("distribution")
    if not isinstance(value, (Tensor, np.ndarray)):
        expected = "scores as a torch tensor or a numpy array"
        raise DTypeError("distribution", describe(value), expected, _hint_for(value))
    tensor = as_tensor("distribution", value)
    if tensor.dtype not in _DTYPES:
        raise DTypeError(
            "distribution",
            describe(value),
            "float16, bfloat16, float32, float64 or uint8 scores",
            "Convert it to a floating-point type, scaled to [0, 1].",
        )
    if tensor.ndim not in (2, 3, 4):
        raise ShapeError(
            "distribution",
            f"shape {tuple(tensor.shape)}",
            "(H, W), (C, H, W) or (B, C, H, W)",
            "Reshape it so that height and width are the last two axes.",
        )
    if 0 in tensor.shape:
        raise ShapeError(
            "distribution",
            f"shape {tuple(tensor.shape)}",
            "every axis at least 1",
            "Skip the call if there is nothing to fuse.",
        )
    own = (tensor.shape[-2], tensor.shape[-1])
    return Distribution(tensor[(None,) * (4 - tensor.ndim)], value, own if size is None else check_size(size))


def _hint_for(value: object) -> str:
    """What to do with what holds no scores as an array."""
    if isinstance(value, (str, os.PathLike)):
        return "Read the file first: csl_plugin.io.read_scores(path)."
    if isinstance(value, Mapping) or hasattr(value, "logits"):
        return "Pass the tensor in the model's output, logits=True if it holds logits, or use CSLWrapper."
    if isinstance(value, (RegionMap, RegionProposals)):
        return "Pass the scores first, then the regions: fuse(scores, regions)."
    return "Convert it with numpy.asarray(...)."


def check_scores(read: Distribution, valid: Tensor | None, logits: bool, squared: bool) -> None:
    """Refuse scores for which eq. 3 is undefined.

    Args:
        read: D, or its logits.
        valid: (B, H, W), the pixels that count.
        logits: Logits only have to be finite.
        squared: D x D will be stored.

    Raises:
        DeviceError: The tensor holds no values (meta).
        DTypeError: Logits in uint8.
        ScoreRangeError: Negative, not finite, or so large that the product overflows the dtype.
    """
    values = read.scores.detach()
    if not has_values(values):
        raise DeviceError(
            "distribution",
            "a tensor without values (meta, fake, or recorded by torch.export)",
            "one that holds values",
            "Pass check=False to trace shapes only.",
        )
    if values.dtype == torch.uint8:
        if logits:
            raise DTypeError(
                "distribution",
                "uint8 logits",
                "floating-point logits",
                "Pass the logits before any quantization.",
            )
        return
    least = -math.inf if logits else 0.0
    largest = torch.finfo(values.dtype).max
    most = largest
    if not logits:
        most = math.sqrt(largest) if squared else min(largest, LARGEST_SCORE)

    def is_fine(found: tuple[float, float]) -> bool:
        return found[0] >= least and -math.inf < found[0] and found[1] <= most

    found = bounds(values)
    if not is_fine(found) and valid is not None and not read.is_resized:
        values = values.masked_fill(~valid[:, None], 0)
        found = bounds(values)
    if is_fine(found):
        return
    low, high = found
    if low >= least and most < high <= largest:
        raise ScoreRangeError(
            "distribution",
            f"scores up to {high:.4g} in {values.dtype}",
            "scores whose square the dtype holds" if squared else f"scores up to {LARGEST_SCORE:g}",
            'Scale them to [0, 1], or use rule="geometric".' if squared else "Scale them to [0, 1].",
        )
    raise ScoreRangeError(
        "distribution",
        _what_is_wrong(all_values(values)),
        "finite logits" if logits else "finite scores >= 0, higher for more of the class",
        (
            "Eq. 3 reverses the order of negative scores: softmax or sigmoid logits, and map raw scores "
            "onto [0, 1] with a Calibration, as Calibration.fit_sigmoid(maps, lower_is_anomalous=...) or "
            "csl-plugin calibrate makes. "
            if low < least
            else "Find out what produced it; a Calibration maps infinite raw scores to 0 and 1. "
        )
        + "Pixels that do not count can be left out with valid=.",
    )


def _what_is_wrong(values: Tensor) -> str:
    not_numbers = int(values.isnan().sum())
    if not_numbers:
        return f"nan in {not_numbers} of {values.numel()} values"
    for sign, infinite in (("inf", values == math.inf), ("-inf", values == -math.inf)):
        if infinite.any():
            return f"{sign} in {int(infinite.sum())} of {values.numel()} values"
    negative = int((values < 0).sum())
    return f"{negative} negative of {values.numel()} values, down to {float(values.min()):.4g}"

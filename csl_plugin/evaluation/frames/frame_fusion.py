"""A frame's scores before and after fusion with its regions, in the form that is measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from csl_plugin import ops
from csl_plugin.calibration import Calibration
from csl_plugin.errors import ScoreRangeError, ShapeError
from csl_plugin.evaluation.formats.float16 import Scale, from_float16, to_float16
from csl_plugin.fusion import Rule, fuse, fuse_labels
from csl_plugin.io.score_layout import does_not_fit, fits
from csl_plugin.regions.region_map import RegionMap

Kind: TypeAlias = Literal["probability", "logits", "raw"]
"""What scores are: probabilities, logits of classes, or a raw score that a calibration maps onto [0, 1]."""


@dataclass(frozen=True)
class FrameFusion:
    """How scores are fused with regions, the same for every frame of a job.

    Args:
        kind: What the scores are: "probability" in [0, 1], "logits", or "raw": mapped by `calibration` first,
            or fused unchanged where they are not negative.
        rule: As for `csl_plugin.fuse`. For a single class the product is stored as its square root,
            "geometric", which has the same order.
        calibration: Applied to raw scores after they are upsampled to the image's size.
    """

    kind: Kind
    rule: Rule
    calibration: Calibration | None

    @property
    def scale(self) -> Scale:
        """The range of the fused scores."""
        return "unbounded" if self.kind == "raw" and self.calibration is None else "probability"

    def anomaly(
        self, scores: Tensor, regions: tuple[RegionMap, ...]
    ) -> tuple[NDArray[Any], NDArray[np.float16]]:
        """The base map and the fused map of single-class scores.

        Args:
            scores: (H, W) or (1, h, w), higher for more anomalous.
            regions: One or several partitions of the image, at its size.

        Returns:
            (H, W) the unfused scores, upsampled if they are smaller and negated if the calibration reverses
            their order, and (H, W) float16, the fused map as `to_float16` stores it.

        Raises:
            ShapeError: More than one class, or a size that does not fit the image.
            ScoreRangeError: Scores outside the range of `kind`, or not finite.
        """
        base = self._base_map(scores, regions[0].size)
        # A sigmoid reaches 1 at logits of 37 in double precision, at 17 in single precision.
        distribution = self._distribution(base.double() if base.device.type == "cpu" else base.float())
        rule: Rule = "geometric" if self.rule == "product" else self.rule
        fused = fuse(distribution, _on(regions, distribution), rule=rule, logits=self._are_logits)
        return self._ordered(base), to_float16(fused.cpu().numpy(), self.scale)

    def base_anomaly(self, scores: Tensor, size: tuple[int, int]) -> NDArray[Any]:
        """The base map alone, (H, W) floating point."""
        return self._ordered(self._base_map(scores, size))

    def _ordered(self, base: Tensor) -> NDArray[Any]:
        return np.asarray((-base if self._reversed else base).cpu().numpy())

    @property
    def _are_logits(self) -> bool:
        return self.kind == "logits"

    @property
    def _reversed(self) -> bool:
        if self.calibration is None:
            return False
        low, high = self.calibration(np.array([-1e9, 1e9])).tolist()
        return bool(high < low)

    def _base_map(self, scores: Tensor, size: tuple[int, int]) -> Tensor:
        if scores.ndim == 3 and scores.shape[0] != 1:
            hint = "Reduce the classes to one anomaly score first, such as 1 - max probability."
            raise ShapeError("scores", f"shape {tuple(scores.shape)}", "(H, W) or (1, h, w)", hint)
        single = scores[None] if scores.ndim == 2 else scores
        if tuple(single.shape[1:]) == size and single.dtype != torch.bfloat16:
            return single[0]  # unchanged: official files are float16, and their values are those of float16
        return _upsampled(single, size)[0]

    def on_one_scale(self, base: NDArray[Any], stored: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Base and fused map on the scale of D, for pictures, from a base map and a stored map."""
        return self._on_scale(base), from_float16(stored, self.scale)

    def probability(self, side: str, measured: NDArray[Any]) -> NDArray[Any]:
        """The score that `fuse` takes or gives, in [0, 1], from measured scores; `scale` is "probability".

        Args:
            side: "base" or "csl".
            measured: Scores in any shape: unfused ones of `anomaly`, or stored ones.
        """
        if side == "base":
            return self._on_scale(measured)
        fused = from_float16(measured, self.scale)
        return np.square(fused) if self.rule == "product" else fused

    def _on_scale(self, base: NDArray[Any]) -> NDArray[Any]:
        if not base.size:
            return base
        raw = -base if self._reversed else base
        distribution = self._distribution(torch.as_tensor(raw).double())
        return np.asarray((distribution.sigmoid() if self._are_logits else distribution).numpy())

    def semantic(
        self, scores: Tensor, regions: tuple[RegionMap, ...], num_classes: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The class of every pixel before and after fusion, both (H, W).

        Args:
            scores: (C, h, w), C = `num_classes`.
            regions: One or several partitions of the image, at its size.
            num_classes: Of the data set.

        Raises:
            ShapeError: Another number of classes, or a size that does not fit the image.
            ScoreRangeError: Scores outside the range of `kind`, or not finite.
        """
        base = self.base_semantic(scores, regions[0].size, num_classes)
        distribution = self._distribution(scores.to(_widened(scores)))
        fused = fuse_labels(
            distribution,
            _on(regions, distribution),
            rule=self.rule,
            size=regions[0].size,
            logits=self._are_logits,
        )
        return base, fused.cpu().numpy()

    def base_semantic(self, scores: Tensor, size: tuple[int, int], num_classes: int) -> NDArray[np.int64]:
        """The arg max of the unfused scores, upsampled to `size`."""
        if scores.ndim != 3 or scores.shape[0] != num_classes:
            hint = "Give one score per class, in the order of the data set's classes."
            raise ShapeError("scores", f"shape {tuple(scores.shape)}", f"({num_classes}, h, w)", hint)
        return np.asarray(_upsampled(scores, size).argmax(dim=0).cpu().numpy())

    def _distribution(self, scores: Tensor) -> Tensor:
        if self.calibration is not None:
            scores = self.calibration(scores)
        low, high = (float(bound) for bound in torch.aminmax(scores))
        if not math.isfinite(low) or not math.isfinite(high):
            got = f"nan or infinity in {int((~scores.isfinite()).sum())} of {scores.numel()} values"
            hint = "Find out what produced them; pixels that do not count may have any finite score."
            raise ScoreRangeError("scores", got, f"finite {self.kind} scores", hint)
        if self.calibration is not None or self.kind == "logits":
            return scores
        if low < 0:
            hint = "Pass --kind logits if they are logits, or --calibration FILE, a map onto [0, 1]."
            raise ScoreRangeError("scores", f"{low:.4g}", f"{self.kind} scores from 0 on", hint)
        if self.kind == "probability" and high > 1:
            hint = "Pass --kind raw or --kind logits, or --calibration FILE."
            raise ScoreRangeError("scores", f"{high:.4g}", "probabilities, at most 1", hint)
        return scores


def _upsampled(scores: Tensor, size: tuple[int, int]) -> Tensor:
    own = (scores.shape[-2], scores.shape[-1])
    if not fits(own, size):
        raise does_not_fit("scores", own, size)
    return ops.upsample(scores.to(_widened(scores))[None], size, logits=False)[0]


def _widened(scores: Tensor) -> torch.dtype:
    return torch.float64 if scores.dtype == torch.float64 else torch.float32


def _on(regions: tuple[RegionMap, ...], scores: Tensor) -> tuple[RegionMap, ...]:
    return tuple(
        each if each.device == scores.device else RegionMap(each.labels.to(scores.device), each.num_regions)
        for each in regions
    )

"""Checks of results: labels up to ties, numbers up to rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.speed.contestants import Agreement
from benchmarks.speed.inputs import Proposals
from benchmarks.speed.peers.equations import Order, streaming_assign

TIE = 1e-6
_CHUNK = 4096


class AssignOracle:
    """The labels of one image by equation 2, computed on first use; ties closer than 1e-6 may differ."""

    def __init__(self, proposals: Proposals, order: Order) -> None:
        self._proposals, self._order = proposals, order
        self._labels: Tensor | None = None

    @property
    def labels(self) -> Tensor:
        """(H, W) int64."""
        if self._labels is None:
            p = self._proposals
            self._labels = streaming_assign(p.logits.float(), p.validity, p.size, self._order)
        return self._labels

    def __call__(self, found: Tensor) -> Agreement:
        """Count the pixels where the score of a label (H, W) is below the best by more than a tie."""
        found = found.reshape(self.labels.shape).long()
        pixels = torch.nonzero((found != self.labels).reshape(-1)).flatten()
        wrong = int((self._gaps(found.reshape(-1)[pixels], pixels) > TIE).sum()) if len(pixels) else 0
        ties = len(pixels) - wrong
        return Agreement(wrong == 0, f"{wrong} wrong" + (f", {ties} ties" if ties else ""))

    def _gaps(self, labels: Tensor, pixels: Tensor) -> Tensor:
        """The relative gap of each label's score to the best, in float64."""
        parts = zip(labels.split(_CHUNK), pixels.split(_CHUNK), strict=True)
        return torch.cat([self._gaps_of_chunk(label, pixel) for label, pixel in parts])

    def _gaps_of_chunk(self, labels: Tensor, pixels: Tensor) -> Tensor:
        height, width = self._proposals.size
        values = self._proposals.logits.double()
        values = values.sigmoid() if self._order == "before" else values
        y0, y1, v = _between(pixels // width, height, values.shape[1])
        x0, x1, u = _between(pixels % width, width, values.shape[2])
        top = values[:, y0, x0] * (1 - u) + values[:, y0, x1] * u
        bottom = values[:, y1, x0] * (1 - u) + values[:, y1, x1] * u
        raised = top * (1 - v) + bottom * v
        raised = raised.sigmoid() if self._order == "after" else raised
        scores = raised * self._proposals.validity.double()[:, None]
        best = scores.max(0).values
        return (best - scores.gather(0, labels[None])[0]) / best


def close(expected: Any, tolerance: float) -> Any:
    """A check of the largest absolute difference from a tensor, or from the result of a function."""

    def verify(found: Any) -> Agreement:
        target = expected() if callable(expected) else expected
        found = torch.as_tensor(np.asarray(found)) if not isinstance(found, Tensor) else found
        largest = float((found.reshape(target.shape).to(target.dtype) - target).abs().max())
        return Agreement(largest <= tolerance, f"{largest:.1e} off" if largest else "identical")

    return verify


def same_labels(scores: Any, tie: float = TIE) -> Any:
    """A check of an arg max over classes against the scores (C, H, W), except for ties."""

    def verify(found: Tensor) -> Agreement:
        fused = scores()
        reached = fused.gather(0, found.reshape(1, *fused.shape[1:]))[0]
        wrong = int((reached < fused.amax(0) * (1 - tie)).sum())
        return Agreement(wrong == 0, f"{wrong} wrong")

    return verify


def float64_means(distribution: Tensor, labels: Tensor, count: int) -> Tensor:
    """(C, K) region means with every sum in float64."""
    flat = labels.reshape(-1).numpy()
    counts = np.maximum(np.bincount(flat, minlength=count), 1)
    planes = distribution.flatten(1).numpy()
    return torch.from_numpy(np.stack([np.bincount(flat, plane, count) / counts for plane in planes]))


def _between(positions: Tensor, length: int, samples: int) -> tuple[Tensor, Tensor, Tensor]:
    source = ((positions.double() + 0.5) * samples / length - 0.5).clamp(0, samples - 1)
    before = source.long()
    return before, (before + 1).clamp(max=samples - 1), source - before

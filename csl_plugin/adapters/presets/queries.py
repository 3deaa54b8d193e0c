"""Score kinds of mask-classification models: each query has a mask and a distribution over classes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from csl_plugin.adapters.score_kinds import ScoreKind, calibrated, wrong_shape
from csl_plugin.calibration import Calibration

# The softmax of logits with this difference is exactly 1 and 0, also in half precision.
_CERTAIN = 200.0


@dataclass(frozen=True)
class QuerySum(ScoreKind):
    """Masks (B, Q, h, w) and class logits (B, Q, K + 1), the last one "no object".

    D[c] is the sum over queries of class probability times mask probability, as in MaskFormer: in [0, Q], not
    normalized over classes. Masks keep their own resolution.

    The fused map is written as queries, so that the model's post-processing gives it again: one query per
    class, with probability 1 of that class and the fused scores as its mask. Where scores exceed 1, as sums
    can, each class has several equal queries.
    """

    name: str = "queries"

    def read(self, *tensors: Tensor) -> Tensor:
        """The sums over queries."""
        masks, classes = check_queries(self.name, *tensors)
        return torch.einsum("bqhw,bqc->bchw", masks.sigmoid(), classes.softmax(-1)[..., :-1])

    def write(self, fused: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Queries whose sum is `fused`."""
        count = fused.shape[1]
        copies = max(1, math.ceil(float(fused.detach().amax())))
        masks = _logit(fused / copies, tensors[0].dtype).repeat_interleave(copies, 1)
        certain = _CERTAIN * torch.eye(count, count + 1, dtype=fused.dtype, device=fused.device)
        return masks, certain.repeat_interleave(copies, 0).expand(len(fused), -1, -1)


@dataclass(frozen=True)
class QueryRejection(ScoreKind):
    """The share of a pixel that no query claims: 1 - sum of mask times largest class probability (EAM).

    Where the sum exceeds 1 the score is 0, the most normal one. The fused map is written as one query whose
    mask is 1 - `fused`.
    """

    name: str = "queries"

    def read(self, *tensors: Tensor) -> Tensor:
        """The score, in [0, 1]."""
        return self.raw(*tensors).clamp(min=0.0)

    def raw(self, *tensors: Tensor) -> Tensor:
        """The score as published, at most 1."""
        masks, classes = check_queries(self.name, *tensors)
        best = classes.softmax(-1)[..., :-1].amax(-1)
        return 1 - torch.einsum("bqhw,bq->bhw", masks.sigmoid(), best)[:, None]

    def write(self, fused: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        """One query of the first class that covers the normal part of each pixel."""
        masks, classes = tensors
        # logit(1 - x) = -logit(x) keeps the precision of small scores.
        return -_logit(fused.clamp(max=1.0), masks.dtype), _one_query(classes, 0)


@dataclass(frozen=True)
class QueryObjectness(ScoreKind):
    """Queries with a class "object of no known class" before the last one (UNO).

    The score is the sum over queries of the mask times the difference between the probability of that class
    and the largest of the known classes; of any sign. The fused map is written as one query of that class.
    """

    calibration: Calibration | None = None
    name: str = "queries"

    def read(self, *tensors: Tensor) -> Tensor:
        """The calibrated score."""
        return calibrated(self.raw(*tensors), self.calibration)

    def raw(self, *tensors: Tensor) -> Tensor:
        """The score as published."""
        masks, classes = check_queries(self.name, *tensors)
        shares = classes.softmax(-1)
        unknown = shares[..., -2] - shares[..., :-2].amax(-1)
        return torch.einsum("bqhw,bq->bhw", masks.sigmoid(), unknown)[:, None]

    def write(self, fused: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        """One query of an unknown object, with the fused map as its mask."""
        masks, classes = tensors
        return _logit(fused.clamp(max=1.0), masks.dtype), _one_query(classes, classes.shape[-1] - 2)

    @property
    def options(self) -> tuple[str, ...]:
        """The calibration."""
        return ("calibration",)


def check_queries(name: str, *tensors: Tensor) -> tuple[Tensor, Tensor]:
    """Masks (B, Q, h, w) and class logits (B, Q, K), K >= 2, of the same queries.

    Raises:
        ShapeError: They have other shapes.
    """
    masks, classes = tensors
    if masks.ndim != 4:
        raise wrong_shape(masks, name, "masks (B, Q, h, w)")
    if classes.ndim != 3 or classes.shape[:2] != masks.shape[:2] or classes.shape[2] < 2:
        raise wrong_shape(classes, name, f"class logits {(*masks.shape[:2], 'K + 1')}")
    return masks, classes


def _logit(shares: Tensor, dtype: torch.dtype) -> Tensor:
    """The logits of shares in [0, 1], finite, with the precision of small shares kept."""
    limits = torch.finfo(dtype)
    tiny = float(torch.finfo(torch.float32).tiny)
    return (shares.clamp(min=tiny).log() - (1 - shares).clamp(min=limits.eps / 2).log()).clamp(limits.min)


def _one_query(classes: Tensor, index: int) -> Tensor:
    certain = F.one_hot(torch.tensor([[index]], device=classes.device), classes.shape[-1])
    return (_CERTAIN * certain).to(classes.dtype).expand(len(classes), -1, -1)

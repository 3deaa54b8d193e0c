"""Score kinds of mask-classification models: each query has a mask and a distribution over classes.

A fused map is written as the model's own queries, which keep the probability of their class, followed by
queries that a processor drops and that hold the rest of the sum: its panoptic and instance post-processing
finds the segments that it finds in the model's output, its semantic post-processing the fused map.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from csl_plugin.adapters.presets.added_queries import LEAST, added_queries, mask_logits
from csl_plugin.adapters.presets.class_heads import ClassHead, WithNone
from csl_plugin.adapters.presets.kept_queries import (
    KeptQueries,
    fitted,
    followed,
    kept_queries,
    resized,
    weighted,
)
from csl_plugin.adapters.score_kinds import ScoreKind, calibrated, wrong_shape
from csl_plugin.calibration import Calibration

# The fused arg max over what kept queries hold of another class: it survives a processor's resizing.
_AHEAD = 1.5
_WITH_NONE = WithNone()


@dataclass(frozen=True)
class QuerySum(ScoreKind):
    """Masks (B, Q, h, w) and class logits (B, Q, C) of queries.

    D[c] is the sum over queries of class probability times mask probability, as in MaskFormer: in [0, Q], not
    normalized over classes. Masks keep their own resolution.

    The fused map is written as queries: the model's own, then others. A query whose class has a probability
    over 1/2 keeps it, and its mask. It takes the class that most of its segment has in the fused map, and a
    pixel whose fused class is another goes to a query of that class, where there is one. So the processor
    finds the same segments at every threshold from 1/2 on. The sum over queries is the fused map, or what
    these queries hold where that is more, with the arg max of the fused map at each pixel; with a head that
    gives every class a share (`Exhaustive`), and a constant for each pixel besides. With one class, K = 1, it
    is the fused map, and masks are lowered to it.

    Args:
        head: What the class logits mean: by default a softmax over K classes and a last one, "no object".
    """

    head: ClassHead = _WITH_NONE
    name: str = "queries"

    def read(self, *tensors: Tensor) -> Tensor:
        """The sums over queries."""
        masks, classes = check_queries(self.name, *tensors, least=self.head.least)
        return weighted(self.head.probabilities(classes), masks.sigmoid())

    def write(self, fused: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The model's queries and further ones, whose sum has the arg max of `fused`."""
        head = self.head
        masks, classes = check_queries(self.name, *tensors, least=head.least)
        own = _own(fused, masks, classes, head)
        count = fused.shape[1]
        led = head.settled(followed(own, fused) if count > 1 else own)
        weights = head.weights(led, classes)
        first = led.sure[..., None, None]
        total = _total(fused, weighted(weights, led.masks * first)) if count > 1 else fused
        led = replace(led, masks=fitted(total, weights, led.masks, _owned(led) if count == 1 else first))
        least = LEAST if count > 1 else -torch.inf
        return _join(own, led, masks, classes, lambda held: total - held, list(range(count)), head, least)


@dataclass(frozen=True)
class QueryRejection(ScoreKind):
    """The share of a pixel that no query claims: 1 - sum of mask times largest class probability (EAM).

    Where the sum exceeds 1 the score is 0, the most normal one. The fused map is written as the model's own
    queries, with masks that are lowered where the fused score leaves less than they claim, and others of the
    first class for what they do not claim.
    """

    name: str = "queries"

    def read(self, *tensors: Tensor) -> Tensor:
        """The score, in [0, 1]."""
        return self.raw(*tensors).clamp(min=0.0)

    def raw(self, *tensors: Tensor) -> Tensor:
        """The score as published, at most 1."""
        masks, classes = check_queries(self.name, *tensors)
        best = classes.softmax(-1)[..., :-1].amax(-1)
        return 1 - weighted(best[..., None], masks.sigmoid())

    def write(self, fused: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Queries that claim 1 - `fused` of each pixel."""
        masks, classes = check_queries(self.name, *tensors)
        own = _own(fused, masks, classes)
        claimed = 1 - fused.clamp(max=1.0)
        led = replace(own, masks=fitted(claimed, own.probabilities[..., None], own.masks, _owned(own)))
        return _join(own, led, masks, classes, lambda held: claimed - held.sum(1, keepdim=True), [0])


@dataclass(frozen=True)
class QueryObjectness(ScoreKind):
    """Queries with a class "object of no known class" before the last one (UNO).

    The score is the sum over queries of the mask times the difference between the probability of that class
    and the largest of the known classes; of any sign. The fused map is written as the model's own queries,
    and others of that class and of the first one, which make the difference.
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
        return weighted(unknown[..., None], masks.sigmoid())

    def write(self, fused: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Queries whose score is the fused map."""
        masks, classes = check_queries(self.name, *tensors)
        own = _own(fused, masks, classes)

        def missing(held: Tensor) -> Tensor:
            known, unknown = held[:, :-1].sum(1, keepdim=True), held[:, -1:]
            rest = fused.clamp(max=1.0) - (unknown - known)
            return torch.cat([-rest, rest], 1)

        return _join(own, own, masks, classes, missing, [0, classes.shape[-1] - 2])

    @property
    def options(self) -> tuple[str, ...]:
        """The calibration."""
        return ("calibration",)


def check_queries(name: str, *tensors: Tensor, least: int = 2) -> tuple[Tensor, Tensor]:
    """Masks (B, Q, h, w) and class logits (B, Q, C), C >= `least`, of the same queries.

    Raises:
        ShapeError: They have other shapes.
    """
    masks, classes = tensors
    if masks.ndim != 4:
        raise wrong_shape(masks, name, "masks (B, Q, h, w)")
    if classes.ndim != 3 or classes.shape[:2] != masks.shape[:2] or classes.shape[2] < least:
        raise wrong_shape(classes, name, f"class logits {(*masks.shape[:2], f'{least} or more')}")
    return masks, classes


def _own(fused: Tensor, masks: Tensor, classes: Tensor, head: ClassHead = _WITH_NONE) -> KeptQueries:
    return kept_queries(masks, classes, head.best, (fused.shape[-2], fused.shape[-1]), fused.dtype)


def _owned(own: KeptQueries) -> Tensor:
    """Where a sure query claims more of a pixel than any other, boolean (B, Q, h, w)."""
    owners = own.held().argmax(1, keepdim=True)
    owned = torch.zeros_like(own.masks, dtype=torch.bool).scatter(1, owners, True)
    return owned & own.sure[..., None, None]


def _total(fused: Tensor, held: Tensor) -> Tensor:
    """The smallest scores of at least `fused` and `held`, (B, K, h, w), with the arg max of `fused`."""
    top = fused.argmax(1, keepdim=True)
    least = _AHEAD * held.scatter(1, top, 0.0).amax(1, keepdim=True)
    total = torch.maximum(fused, held)
    return total.scatter(1, top, torch.maximum(total.gather(1, top), least))


def _join(
    own: KeptQueries,
    led: KeptQueries,
    masks: Tensor,
    classes: Tensor,
    missing: Callable[[Tensor], Tensor],
    added: list[int],
    head: ClassHead = _WITH_NONE,
    least: float = -torch.inf,
) -> tuple[Tensor, Tensor]:
    """Masks and class logits of the kept queries, and of those added for what is missing of the sums.

    `missing` is called with the sums (B, K, h, w) that the kept queries hold as they are rounded.
    """
    kept = torch.where(
        led.masks == own.masks,
        resized(masks, (led.masks.shape[-2], led.masks.shape[-1])),
        mask_logits(led.masks, masks.dtype).to(masks.dtype),
    )
    held = weighted(head.weights(led, classes), kept.to(led.masks.dtype).sigmoid())
    rest = missing(held).clamp(min=0.0)
    more, rows = added_queries(rest, added, head, classes, least)
    joined = torch.cat([kept.to(more.dtype), more], 1)
    return joined, torch.cat([head.rows(led, classes), rows], 1)

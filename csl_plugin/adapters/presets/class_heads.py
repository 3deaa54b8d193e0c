"""How the class logits of a query are read, and written so that a processor finds the query as before."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from csl_plugin.adapters.presets.kept_queries import CERTAIN, KeptQueries

_LOGIT = -1.0  # of an added query's class: every dtype holds it exactly, and its sigmoid is below 1/2


class ClassHead(ABC):
    """What the class logits (B, Q, C) of queries mean; frozen and without state.

    Attributes:
        least: The fewest columns C.
        note: What class logits are, for the documentation.
        largest: The largest mask of a query that is added, so that no processor finds it.
    """

    least: int
    note: str
    largest: float = 0.5

    @abstractmethod
    def probabilities(self, logits: Tensor) -> Tensor:
        """Those of the classes, (..., K)."""

    @abstractmethod
    def best(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """The most probable class of each query, and the logit of its probability, (B, Q)."""

    @abstractmethod
    def rows(self, kept: KeptQueries, logits: Tensor) -> Tensor:
        """Class logits (B, Q, C) of kept queries; `logits` are the model's own."""

    @abstractmethod
    def added_rows(self, classes: list[int], logits: Tensor) -> Tensor:
        """Class logits (N, C) of added queries, which no threshold from 1/2 on finds."""

    def weights(self, kept: KeptQueries, logits: Tensor) -> Tensor:
        """What kept queries give to each class for a mask of 1, (B, Q, K)."""
        own = kept.probabilities
        rows = own.new_zeros(*own.shape, self.probabilities(logits[:0]).shape[-1])
        return rows.scatter(-1, kept.labels[..., None], own[..., None])

    def settled(self, kept: KeptQueries) -> KeptQueries:
        """The kept queries without those that are not written."""
        return kept


@dataclass(frozen=True)
class WithNone(ClassHead):
    """A softmax over K classes and a last one, "no object"."""

    least: int = 2
    note: str = 'softmax, the last class "no object"'

    def probabilities(self, logits: Tensor) -> Tensor:
        """The softmax without "no object"."""
        return logits.softmax(-1)[..., :-1]

    def best(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """The class and its logit against all others."""
        return _against_others(logits, logits[..., :-1].argmax(-1))

    def rows(self, kept: KeptQueries, logits: Tensor) -> Tensor:
        """The class, and "no object" for the rest."""
        rows = _nothing(kept.logits, logits.shape[-1])
        rows[..., -1] = 0.0
        return rows.scatter(-1, kept.labels[..., None], kept.logits[..., None])

    def added_rows(self, classes: list[int], logits: Tensor) -> Tensor:
        """Each is "no object" with a probability of 0.73."""
        rows = _nothing(logits.new_empty(len(classes)), logits.shape[-1])
        rows[:, -1] = 0.0
        rows[range(len(classes)), classes] = _LOGIT
        return rows


@dataclass(frozen=True)
class Sigmoids(ClassHead):
    """A sigmoid for each of K classes."""

    least: int = 1
    note: str = "a sigmoid for each class"

    def probabilities(self, logits: Tensor) -> Tensor:
        """The sigmoids."""
        return logits.sigmoid()

    def best(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """The class and its logit."""
        largest = logits.max(-1)
        return largest.indices, largest.values

    def rows(self, kept: KeptQueries, logits: Tensor) -> Tensor:
        """The class alone."""
        rows = _nothing(kept.logits, logits.shape[-1])
        return rows.scatter(-1, kept.labels[..., None], kept.logits[..., None])

    def added_rows(self, classes: list[int], logits: Tensor) -> Tensor:
        """Each has its class with a probability of 0.27."""
        rows = _nothing(logits.new_empty(len(classes)), logits.shape[-1])
        rows[range(len(classes)), classes] = _LOGIT
        return rows


@dataclass(frozen=True)
class Exhaustive(ClassHead):
    """A softmax over K classes that leaves nothing for "no object".

    Conditional DETR's semantic post-processing counts all of them; its panoptic and instance post-processing
    drop queries of the last one. A kept query has the model's own class logits; the masks of those that no
    threshold from 1/2 on finds are emptied. An added query has its class with a probability of 0.45, and the
    others share the rest, which adds the same to each of them: the order of the classes is that of the sums.
    With two classes nothing is left to share, and its probability is 0.75.
    """

    least: int = 2
    note: str = "softmax over all classes"
    largest: float = 0.25

    def probabilities(self, logits: Tensor) -> Tensor:
        """The softmax."""
        return logits.softmax(-1)

    def best(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """The class and its logit against all others."""
        return _against_others(logits, logits.argmax(-1))

    def rows(self, kept: KeptQueries, logits: Tensor) -> Tensor:
        """The model's own, with the logits of a new label and of the old one exchanged."""
        old, new = logits.argmax(-1, keepdim=True), kept.labels[..., None]
        rows = logits.scatter(-1, old, logits.gather(-1, new))
        return rows.scatter(-1, new, logits.gather(-1, old))

    def added_rows(self, classes: list[int], logits: Tensor) -> Tensor:
        """Each has its class with a probability below 1/2, and a logit whose sigmoid is 0.12."""
        count = logits.shape[-1]
        probability = 0.45 if count > 2 else 0.75
        others = -2.0 - math.log(probability / (1 - probability) * (count - 1))
        rows = logits.new_full((len(classes), count), others)
        rows[range(len(classes)), classes] = -2.0
        return rows

    def weights(self, kept: KeptQueries, logits: Tensor) -> Tensor:
        """The softmax of their rows."""
        return self.rows(kept, logits).to(kept.masks.dtype).softmax(-1)

    def settled(self, kept: KeptQueries) -> KeptQueries:
        """The masks of queries that are not sure are empty."""
        return replace(kept, masks=kept.masks * kept.sure[..., None, None])


def _against_others(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    others = logits.scatter(-1, labels[..., None], -torch.inf).logsumexp(-1)
    return labels, logits.gather(-1, labels[..., None])[..., 0] - others


def _nothing(like: Tensor, columns: int) -> Tensor:
    """Logits (..., C) of no class at all."""
    return torch.full((*like.shape, columns), -CERTAIN, dtype=like.dtype, device=like.device)

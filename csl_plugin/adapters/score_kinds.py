"""What a model's tensors hold, and how they become a distribution D >= 0 and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from csl_plugin.arrays import describe
from csl_plugin.calibration import Calibration
from csl_plugin.errors import OptionError, ShapeError

Direction: TypeAlias = Literal["up", "down"]


class Kind(ABC):
    """One reading of the tensors that a container holds; frozen, without state of its own.

    Attributes:
        name: What the tensors hold, in one of the words of the documentation.
        direction: "up" where a higher value means more of the class, "down" where it means less.
    """

    name: str
    direction: Direction = "up"

    @abstractmethod
    def read(self, *tensors: Tensor) -> Tensor:
        """D, (B, C, h, w) >= 0, from the tensors, floating point of at least single precision."""

    def write(self, fused: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:  # noqa: ARG002
        """What to put in the tensors' places so that `fused` is read there again, or its order."""
        return (fused,)

    def raw(self, *tensors: Tensor) -> Tensor:
        """The scores before their calibration, higher for more; D itself where there is none."""
        return self.read(*tensors)

    @property
    def options(self) -> tuple[str, ...]:
        """What of it a preset leaves to its user: names of fields."""
        return ()


@dataclass(frozen=True)
class Softmax(Kind):
    """Logits (B, C, h, w), C >= 2.

    Args:
        classes: How many of the channels are classes, the first ones; all if left out.
        channel: The one channel of the softmax that is D, for two-class detectors.
    """

    classes: int | None = None
    channel: int | None = None
    name: str = "logits"

    def read(self, *tensors: Tensor) -> Tensor:
        """The softmax over C."""
        (logits,) = tensors
        if logits.ndim != 4 or logits.shape[1] < 2:
            raise wrong_shape(logits, self.name, "logits (B, C, h, w) with C >= 2")
        scores = logits[:, : self.classes].softmax(1)
        return scores if self.channel is None else scores[:, self.channel, None]

    def write(self, fused: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The fused map; of one channel of two, with its complement; channels that are no class become 0."""
        (logits,) = tensors
        if self.channel is not None:
            both = [1 - fused, fused] if self.channel == 1 else [fused, 1 - fused]
            return (torch.cat(both, 1),)
        spare = logits.shape[1] - fused.shape[1]
        return (torch.cat([fused, fused.new_zeros(len(fused), spare, *fused.shape[2:])], 1),)


@dataclass(frozen=True)
class Sigmoid(Kind):
    """Logits of which each stands alone, (B, C, h, w) or (B, h, w)."""

    name: str = "binary logits"

    def read(self, *tensors: Tensor) -> Tensor:
        """The sigmoid of each."""
        return maps(tensors[0], self.name).sigmoid()


@dataclass(frozen=True)
class NonNegative(Kind):
    """Scores >= 0 that are D as they are: probabilities, or sums of them over queries.

    Args:
        unseen: Classes that no training image showed, where the model lowers the others' scores.
        lowered: By how much it lowers the classes that were seen. They are raised again before fusion and
            lowered after it, so that no score is negative where the mean is taken. The offset is on D's own
            scale: fuse with ``rule="geometric"`` or "trust", which keep it.
        classes: How many channels the model must have, where `unseen` was written for one number.
        name: "probabilities", or "query sum" for scores that may exceed 1.
    """

    unseen: tuple[int, ...] | None = None
    lowered: float = 0.0
    classes: int | None = None
    name: str = "probabilities"

    def read(self, *tensors: Tensor) -> Tensor:
        """The scores, with the offset of seen classes undone."""
        scores = maps(tensors[0], self.name)
        # What rounding leaves below zero is no score of its own.
        return (scores + self._offset(scores)).clamp(min=0) if self.lowered else scores

    def write(self, fused: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The fused map, with the offset of seen classes."""
        return (fused - self._offset(tensors[0]) if self.lowered else fused,)

    @property
    def options(self) -> tuple[str, ...]:
        """The unseen classes, where the others are lowered."""
        return ("unseen",) if self.lowered else ()

    def _offset(self, scores: Tensor) -> Tensor:
        channels = scores.shape[1]
        if self.unseen is None:
            raise OptionError(
                "unseen", "None", "the indices of the classes never seen", "Pass preset(name, unseen=[...])."
            )
        if channels != (self.classes or channels) or any(not 0 <= c < channels for c in self.unseen):
            raise OptionError(
                "unseen",
                f"{self.unseen} for {self.classes or 'any number of'} classes",
                f"indices below {channels}, the model's channels",
                "Pass preset(name, unseen=[...]) with the classes never seen in your data set's order.",
            )
        offset = scores.new_full((1, channels, 1, 1), self.lowered)
        offset[0, list(self.unseen)] = 0.0
        return offset


@dataclass(frozen=True)
class Raw(Kind):
    """A score per pixel of any range, (B, C, h, w), (B, h, w) or (h, w).

    Args:
        calibration: Its map onto [0, 1]; None until one is fitted.
        direction: "down" for a score that is high where all is normal. It is negated before the calibration,
            and what is written is negated again, so that code behind the model goes on as before.
    """

    calibration: Calibration | None = None
    direction: Direction = "up"
    name: str = "raw score"

    def read(self, *tensors: Tensor) -> Tensor:
        """The calibrated score."""
        return calibrated(self.raw(*tensors), self.calibration)

    def raw(self, *tensors: Tensor) -> Tensor:
        """The score, negated where it is low for more."""
        scores = maps(tensors[0], self.name)
        return -scores if self.direction == "down" else scores

    def write(self, fused: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:  # noqa: ARG002
        """The fused map in the score's own direction."""
        return (-fused if self.direction == "down" else fused,)

    @property
    def options(self) -> tuple[str, ...]:
        """The calibration."""
        return ("calibration",)


def maps(scores: Tensor, kind: str) -> Tensor:
    """Scores as (B, C, h, w), from that, (B, h, w) or (h, w).

    Raises:
        ShapeError: Other axes.
    """
    if scores.ndim not in (2, 3, 4):
        raise wrong_shape(scores, kind, "scores (B, C, h, w), (B, h, w) or (h, w)")
    return scores if scores.ndim == 4 else scores[:, None] if scores.ndim == 3 else scores[None, None]


def calibrated(raw: Tensor, calibration: Calibration | None) -> Tensor:
    """Raw scores on [0, 1].

    Raises:
        OptionError: There is no calibration.
    """
    if calibration is None:
        raise OptionError(
            "calibration",
            "None",
            "a Calibration: this score has no fixed zero, and eq. 3 needs one",
            "Fit one over in-distribution images and pass it: fitted = Calibration.fit_quantile("
            "adapter.raw(model(image)) for image in images), then preset(name, calibration=fitted).",
        )
    return calibration(raw)


def wrong_shape(scores: Tensor, kind: str, expected: str) -> ShapeError:
    """The error of a tensor that cannot hold what was declared."""
    return ShapeError(
        "model output",
        f"{describe(scores)} as {kind!r}",
        expected,
        'Declare another kind of score, such as "binary_logits", or another item.',
    )

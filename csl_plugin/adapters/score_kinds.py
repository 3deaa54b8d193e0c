"""Score kinds: what a model's tensors hold, and how they become a distribution D >= 0 and back."""

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


class ScoreKind(ABC):
    """What the tensors at an output path hold; frozen and without state.

    Attributes:
        name: What the tensors hold, as docs/guide/adapters.md names it.
        direction: "up" where a higher value means more of the class, "down" where it means less.
    """

    name: str
    direction: Direction = "up"

    @abstractmethod
    def read(self, *tensors: Tensor) -> Tensor:
        """D, (B, C, h, w) >= 0, from the tensors, float32 or float64."""

    def write(self, fused: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:  # noqa: ARG002
        """The tensors from which `read` gives `fused` again, or scores in its order."""
        return (fused,)

    def raw(self, *tensors: Tensor) -> Tensor:
        """The scores before calibration, higher for more; D itself where there is no calibration."""
        return self.read(*tensors)

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the fields that a preset leaves to its user."""
        return ()

    @property
    def needs_calibration(self) -> bool:
        """Whether the score has no fixed zero, so that a calibration must be fitted."""
        return "calibration" in self.options


@dataclass(frozen=True)
class Softmax(ScoreKind):
    """Logits (B, C, h, w), C >= 2.

    Args:
        classes: How many of the first channels are classes; None for all.
        channel: The channel of the softmax that is D, for two-class detectors; None for all.
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
        """The fused map, with its complement where D is one of two channels; other channels become 0."""
        (logits,) = tensors
        if self.channel is not None:
            both = [1 - fused, fused] if self.channel == 1 else [fused, 1 - fused]
            return (torch.cat(both, 1),)
        spare = logits.shape[1] - fused.shape[1]
        return (torch.cat([fused, fused.new_zeros(len(fused), spare, *fused.shape[2:])], 1),)


@dataclass(frozen=True)
class Sigmoid(ScoreKind):
    """Independent logits, (B, C, h, w) or (B, h, w)."""

    name: str = "binary logits"

    def read(self, *tensors: Tensor) -> Tensor:
        """The sigmoid of each."""
        return maps(tensors[0], self.name).sigmoid()


@dataclass(frozen=True)
class NonNegative(ScoreKind):
    """Scores >= 0 that are D without change: probabilities, or their sums over queries.

    Args:
        unseen: Indices of the classes without training images, where the model lowers the scores of the
            other classes.
        lowered: The offset by which it lowers the seen classes. It is added before fusion, so that the mean
            is over scores >= 0, and subtracted after it. It is on the scale of D, which every rule of `fuse`
            but "product" keeps.
        classes: The number of channels for which `unseen` holds; None for any.
        name: "probabilities", or "query sum" for scores that may exceed 1.
    """

    unseen: tuple[int, ...] | None = None
    lowered: float = 0.0
    classes: int | None = None
    name: str = "probabilities"

    def read(self, *tensors: Tensor) -> Tensor:
        """The scores, with the offset of the seen classes added."""
        scores = maps(tensors[0], self.name)
        # Rounding leaves values slightly below zero.
        return (scores + self._offset(scores)).clamp(min=0) if self.lowered else scores

    def write(self, fused: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The fused map, with the offset of the seen classes subtracted."""
        return (fused - self._offset(tensors[0]) if self.lowered else fused,)

    @property
    def options(self) -> tuple[str, ...]:
        """`unseen`, where the model lowers the seen classes."""
        return ("unseen",) if self.lowered else ()

    def _offset(self, scores: Tensor) -> Tensor:
        channels = scores.shape[1]
        if self.unseen is None:
            raise OptionError(
                "unseen", "None", "the indices of the unseen classes", "Pass preset(name, unseen=[...])."
            )
        if channels != (self.classes or channels) or any(not 0 <= c < channels for c in self.unseen):
            raise OptionError(
                "unseen",
                f"{self.unseen} for {self.classes or 'any number of'} classes",
                f"indices below {channels}, the model's channels",
                "Pass preset(name, unseen=[...]) with the unseen classes in the order of your data set.",
            )
        offset = scores.new_full((1, channels, 1, 1), self.lowered)
        offset[0, list(self.unseen)] = 0.0
        return offset


@dataclass(frozen=True)
class RawScore(ScoreKind):
    """A score per pixel of any range, (B, C, h, w), (B, h, w) or (h, w).

    Args:
        calibration: Its map onto [0, 1]; None until one is fitted.
        direction: "down" for a score that is high for normal pixels. It is negated before the calibration,
            and the fused map is negated when written, so that code after the model works unchanged.
    """

    calibration: Calibration | None = None
    direction: Direction = "up"
    name: str = "raw score"

    def read(self, *tensors: Tensor) -> Tensor:
        """The calibrated score."""
        return calibrated(self.raw(*tensors), self.calibration)

    def raw(self, *tensors: Tensor) -> Tensor:
        """The score, negated if its direction is "down"."""
        scores = maps(tensors[0], self.name)
        return -scores if self.direction == "down" else scores

    def write(self, fused: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:  # noqa: ARG002
        """The fused map in the direction of the score."""
        return (-fused if self.direction == "down" else fused,)

    @property
    def options(self) -> tuple[str, ...]:
        """The calibration."""
        return ("calibration",)


def maps(scores: Tensor, name: str) -> Tensor:
    """Scores (B, C, h, w), (B, h, w) or (h, w) as (B, C, h, w).

    Raises:
        ShapeError: Another number of axes.
    """
    if scores.ndim not in (2, 3, 4):
        raise wrong_shape(scores, name, "scores (B, C, h, w), (B, h, w) or (h, w)")
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


def wrong_shape(scores: Tensor, name: str, expected: str) -> ShapeError:
    """The error of a tensor that cannot hold the declared scores."""
    return ShapeError(
        "model output",
        f"{describe(scores)} as {name!r}",
        expected,
        'Declare another score kind, such as "binary_logits", or another item.',
    )

"""Monotone maps of raw scores onto [0, 1], as eq. 3 keeps the order of non-negative scores only."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor

from csl_plugin._options import as_float, checked_integer
from csl_plugin.arrays import Array, ArrayT, as_tensor, describe, shown
from csl_plugin.calibration.fitting import LEAST, MOST, mean_and_deviation, quantile_knots
from csl_plugin.errors import DTypeError, OptionError
from csl_plugin.io.atomic import atomic_path
from csl_plugin.io.json_files import parse_json, read_json
from csl_plugin.io.json_schema import Place, array, choice, number, record, table
from csl_plugin.ops.dtypes import sum_dtype
from csl_plugin.places import AnyPath, place_of


class Calibration(ABC):
    """A monotone map of a teacher's raw score onto [0, 1], fitted once per data set, applied to every image.

    Make one with `sigmoid`, `affine`, `fit_sigmoid` or `fit_quantile`, or read one with `load`; call it to
    apply it. A map fitted to each image would break the order between images.

    Example:
        >>> import numpy as np
        >>> from csl_plugin import Calibration, fuse
        >>> max_logit = np.array([[9.0, 8.0, 2.0, 7.0]])         # high where the model is certain
        >>> anomaly = Calibration.sigmoid(center=6.0, scale=-1.5)  # a negative scale reverses the order
        >>> fuse(anomaly(max_logit), np.array([[0, 0, 1, 1]])).round(3)
        array([[0.162, 0.185, 0.772, 0.618]])
    """

    kind: ClassVar[str]

    @staticmethod
    def sigmoid(center: float = 0.0, scale: float = 1.0) -> Calibration:
        """1 / (1 + exp(-(x - center) / scale)); strictly monotone, so the order is kept.

        Args:
            center: The raw score that becomes 0.5, in the score's units.
            scale: Its spread, in the score's units, not 0. A negative one reverses the order, for scores that
                are high for normal pixels.

        Raises:
            OptionError: A value beyond 1e100, or a `scale` within 1e-100 of 0.
        """
        return SigmoidCalibration(center, scale)

    @staticmethod
    def affine(low: float, high: float) -> Calibration:
        """(x - low) / (high - low), clipped to [0, 1].

        Args:
            low: The raw score that becomes 0.
            high: The raw score that becomes 1; below `low` it reverses the order.

        Raises:
            OptionError: A value beyond 1e100, or ends within 1e-100 of each other.
        """
        return AffineCalibration(low, high)

    @staticmethod
    def fit_sigmoid(maps: Iterable[Array], *, lower_is_anomalous: bool = False) -> Calibration:
        """The sigmoid with the mean of a data set's scores as center and their deviation as scale.

        Args:
            maps: The raw score maps of in-distribution images, of any shape, read one at a time.
            lower_is_anomalous: Reverse the order, for scores that are high for normal pixels, such as the
                maximal logit.

        Raises:
            DTypeError: A single array, or an entry that is no array.
            ScoreRangeError: No map, a value that is not finite or beyond 1e100, or equal scores only.
        """
        mean, deviation = mean_and_deviation(maps)
        return SigmoidCalibration(mean, -deviation if lower_is_anomalous else deviation)

    @staticmethod
    def fit_quantile(
        maps: Iterable[Array], *, levels: int = 256, sample: int = 20_000, lower_is_anomalous: bool = False
    ) -> Calibration:
        """The cumulative distribution of in-distribution scores, with exponential tails.

        The middle 7/8 of [0, 1] interpolates the quantiles of the data set linearly. The sixteenth at each
        end is an exponential tail, so that scores outside the range of the data set keep their order.

        Args:
            maps: The raw score maps of in-distribution images, of any shape, read one at a time.
            levels: Number of quantiles, 2 to 65536.
            sample: Pixels drawn from each map, without replacement and with a fixed seed; at least 1.
            lower_is_anomalous: As for `fit_sigmoid`.

        Raises:
            OptionError: `levels` or `sample` is out of range.
            DTypeError: A single array, or an entry that is no array.
            ScoreRangeError: No map, a value that is not finite or beyond 1e100, or equal scores only.
        """
        hint = "The default suits most data sets."
        levels = checked_integer("levels", levels, 2, 1 << 16, hint)
        sample = checked_integer("sample", sample, 1, None, hint)
        knots, rising = quantile_knots(maps, levels, sample)
        mapped = tuple(1 - value for value in rising) if lower_is_anomalous else rising
        return QuantileCalibration(knots, mapped)

    def __call__(self, scores: ArrayT) -> ArrayT:
        """Map raw scores onto [0, 1].

        Args:
            scores: Any shape; floating point or integer.

        Returns:
            The same kind, shape, device and floating dtype; float32 for integers. nan stays nan.

        Raises:
            DTypeError: Not an array of real numbers.
        """
        tensor = as_tensor("scores", scores)
        if tensor.is_complex() or tensor.dtype == torch.bool:
            raise DTypeError("scores", describe(scores), "real numbers", "Pass the raw score itself.")
        dtype = tensor.dtype if tensor.is_floating_point() else torch.float32
        # In float64: scores may lie close together far from 0, and a fitted scale need not be a float32.
        mapped = self._map(tensor.to(sum_dtype(tensor.device))).to(dtype)
        return mapped.numpy() if isinstance(scores, np.ndarray) else mapped

    def to_json(self) -> str:
        """The map as a JSON object: its kind and its parameters."""
        return json.dumps({"kind": self.kind, **asdict(cast("Any", self))})

    @staticmethod
    def from_json(text: str) -> Calibration:
        """The map that `to_json` wrote.

        Raises:
            FileError: Not such an object.
        """
        expected = f'a JSON object with "kind" one of {sorted(_KINDS)} and its parameters'
        return _calibration(parse_json(text, "calibration", expected), Place("calibration"))

    def save(self, path: AnyPath) -> None:
        """Write the map to a JSON file, atomically."""
        with atomic_path(path) as partial:
            Path(partial).write_text(self.to_json() + "\n", encoding="utf-8")

    @staticmethod
    def load(path: AnyPath) -> Calibration:
        """The map in a JSON file.

        Raises:
            FileError: The file is missing, too large, or holds no calibration.
        """
        file = place_of(path)
        return _calibration(read_json(file, "a calibration's JSON"), Place(str(file)))

    @abstractmethod
    def _map(self, scores: Tensor) -> Tensor:
        """Raw scores, float64 where the device has it, to [0, 1]."""


@dataclass(frozen=True, repr=False)
class SigmoidCalibration(Calibration):
    """See `Calibration.sigmoid`."""

    kind: ClassVar[str] = "sigmoid"
    center: float
    scale: float

    def __post_init__(self) -> None:
        _as_floats(self)
        if not (_moderate(self.center, self.scale) and abs(self.scale) >= LEAST):
            raise OptionError(
                "center, scale",
                f"{shown(self.center)}, {shown(self.scale)}",
                f"finite numbers up to {MOST:g}, and a scale other than 0, from {LEAST:g} on",
                "Take the mean and the standard deviation of in-distribution scores.",
            )

    def _map(self, scores: Tensor) -> Tensor:
        return ((scores - self.center) / self.scale).sigmoid()

    def __repr__(self) -> str:
        return f"Calibration.sigmoid(center={self.center!r}, scale={self.scale!r})"


@dataclass(frozen=True, repr=False)
class AffineCalibration(Calibration):
    """See `Calibration.affine`."""

    kind: ClassVar[str] = "affine"
    low: float
    high: float

    def __post_init__(self) -> None:
        _as_floats(self)
        if not (_moderate(self.low, self.high) and abs(self.high - self.low) >= LEAST):
            raise OptionError(
                "low, high",
                f"{shown(self.low)}, {shown(self.high)}",
                f"two different finite numbers up to {MOST:g}, at least {LEAST:g} apart",
                "Take the ends of the score's range.",
            )

    def _map(self, scores: Tensor) -> Tensor:
        return ((scores - self.low) / (self.high - self.low)).clamp(0.0, 1.0)

    def __repr__(self) -> str:
        return f"Calibration.affine(low={self.low!r}, high={self.high!r})"


@dataclass(frozen=True, repr=False)
class QuantileCalibration(Calibration):
    """See `Calibration.fit_quantile`: `knots`, increasing raw scores, become `values`.

    These increase too, or they decrease, for scores that are high for normal pixels.
    """

    kind: ClassVar[str] = "quantile"
    knots: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "knots", tuple(self.knots))
        object.__setattr__(self, "values", tuple(self.values))
        ordered = (
            len(self.knots) == len(self.values) >= 2
            and _moderate(*self.knots, *self.values)
            and all(b - a >= LEAST for a, b in pairwise(self.knots))
            and all(a < b for a, b in zip((0.0, *self._rising), (*self._rising, 1.0), strict=True))
        )
        if not ordered:
            raise OptionError(
                "knots, values",
                f"{len(self.knots)} and {len(self.values)} numbers",
                "at least two of each, both in order, the knots increasing, the values inside (0, 1)",
                "Make them with Calibration.fit_quantile.",
            )

    @property
    def _falls(self) -> bool:
        return len(self.values) > 1 and self.values[0] > self.values[-1]

    @property
    def _rising(self) -> tuple[float, ...]:
        """The values of the same map without reversal."""
        return tuple(1 - value for value in self.values) if self._falls else self.values

    def _map(self, scores: Tensor) -> Tensor:
        mapped = self._mapped(scores)
        return 1 - mapped if self._falls else mapped

    def _mapped(self, scores: Tensor) -> Tensor:
        knots = torch.tensor(self.knots, dtype=scores.dtype, device=scores.device)
        values = torch.tensor(self._rising, dtype=scores.dtype, device=scores.device)
        right = torch.searchsorted(knots, scores.contiguous()).clamp(1, len(self.knots) - 1)
        left = right - 1
        rises = values[1:] - values[:-1]
        spans = knots[1:] - knots[:-1]
        share = ((scores - knots[left]) / spans[left]).clamp(0, 1)
        # Rounding never lifts the end of a segment above the start of the next.
        middle = torch.minimum(values[left] + share * rises[left], values[right])
        below, above = (knots[0] - scores).clamp(min=0), (scores - knots[-1]).clamp(min=0)
        # Each tail starts with the slope of the segment at its knot.
        lower = values[0] * torch.exp(-(below / spans[0]) * (rises[0] / values[0]))
        rest = 1 - values[-1]
        upper = 1 - rest * torch.exp(-(above / spans[-1]) * (rises[-1] / rest))
        upper = torch.maximum(upper, values[-1])
        mapped = torch.where(scores < knots[0], lower, torch.where(scores > knots[-1], upper, middle))
        return torch.where(scores.isnan(), scores, mapped)

    def __repr__(self) -> str:
        ends = f"{self.knots[0]:.4g} -> {self.values[0]:.3g}, {self.knots[-1]:.4g} -> {self.values[-1]:.3g}"
        return f"QuantileCalibration({len(self.knots)} levels, {ends})"


_REAL = number(-MOST, MOST)
_KINDS = {
    "sigmoid": record(SigmoidCalibration, {"center": _REAL, "scale": _REAL}, "center", "scale"),
    "affine": record(AffineCalibration, {"low": _REAL, "high": _REAL}, "low", "high"),
    "quantile": record(
        QuantileCalibration, {"knots": array(_REAL), "values": array(_REAL)}, "knots", "values"
    ),
}


def _calibration(value: Any, place: Place) -> Calibration:
    parameters = table(lambda inner, _: inner)(value, place)
    kind = choice(*_KINDS)(parameters.pop("kind", None), place["kind"])
    made: Calibration = _KINDS[kind](parameters, place)
    return made


def _as_floats(calibration: Any) -> None:
    """Make its numbers Python's own: a mean of a float32 array is of numpy's type."""
    for name, given in vars(calibration).items():
        value = as_float(given)
        if not math.isnan(value):
            object.__setattr__(calibration, name, value)


def _moderate(*numbers: object) -> bool:
    """Whether all are real numbers within the bounds."""
    return all(abs(as_float(number)) <= MOST for number in numbers)

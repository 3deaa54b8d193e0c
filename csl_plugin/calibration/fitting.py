"""What a calibration is fitted to: the moments and the quantiles of the scores of many maps."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from csl_plugin.arrays import Array, as_tensor, describe, has_values
from csl_plugin.errors import DTypeError, ScoreRangeError

# Between these no difference, square or quotient of scores leaves the numbers of float64.
LEAST, MOST = 1e-100, 1e100
_TAIL = 1 / 16


def mean_and_deviation(maps: Iterable[Array]) -> tuple[float, float]:
    """The mean and the standard deviation of all scores.

    Raises:
        DTypeError, ScoreRangeError: As for `Calibration.fit_sigmoid`.
    """
    count, mean, squares, low, high = 0, 0.0, 0.0, math.inf, -math.inf
    with np.errstate(all="ignore"):
        for scores in _each(maps):
            size, own = scores.size, float(scores.mean())
            shift, total = own - mean, count + size
            squares += float(((scores - own) ** 2).sum()) + shift * shift * count * size / total
            count, mean = total, mean + shift * size / total
            low, high = min(low, float(scores.min())), max(high, float(scores.max()))
    _check_spread(count, high - low)
    return mean, math.sqrt(squares / count)


def quantile_knots(
    maps: Iterable[Array], levels: int, sample: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Rising quantiles of a sample of the scores, and the rising values that they become.

    Raises:
        DTypeError, ScoreRangeError: As for `Calibration.fit_quantile`.
    """
    draw = np.random.default_rng(0)
    with np.errstate(all="ignore"):
        drawn = [draw.permutation(scores.ravel())[:sample] for scores in _each(maps)]
        pooled = np.concatenate(drawn) if drawn else np.zeros(0)
        _check_spread(pooled.size, float(np.ptp(pooled)) if pooled.size else 0.0)
        shares = np.linspace(0.0, 1.0, levels)
        quantiles = np.quantile(pooled, shares)
    knots, values = [float(quantiles[-1])], [1 - _TAIL]
    for knot, share in zip(quantiles[-2::-1].tolist(), shares[-2::-1].tolist(), strict=True):
        if knots[-1] - knot >= LEAST:  # of equal quantiles the highest share stays
            knots.append(knot)
            values.append(_TAIL + (1 - 2 * _TAIL) * share)
    return tuple(knots[::-1]), tuple(values[::-1])


def _each(maps: Iterable[Array]) -> Iterable[np.ndarray[Any, np.dtype[np.float64]]]:
    """Every map as float64, checked."""
    if isinstance(maps, (Tensor, np.ndarray)) or not isinstance(maps, Iterable):
        raise DTypeError(
            "maps",
            describe(maps),
            "an iterable of score maps, one per image",
            "Wrap a single array in a list.",
        )
    for scores in maps:
        tensor = as_tensor("maps", scores).detach()
        if tensor.is_complex() or tensor.dtype == torch.bool or not has_values(tensor):
            raise DTypeError("maps", describe(scores), "maps of real numbers", "Pass the raw scores.")
        values = tensor.to(device="cpu", dtype=torch.float64).numpy()
        if not (np.abs(values) <= MOST).all():
            raise ScoreRangeError(
                "maps",
                "a value that is not finite, or too large",
                f"finite scores up to {MOST:g}",
                "Omit such pixels with scores[mask].",
            )
        if values.size:
            yield values


def _check_spread(count: int, spread: float) -> None:
    if spread < LEAST:
        raise ScoreRangeError(
            "maps",
            "no scores" if count == 0 else "scores that are all equal",
            f"scores that differ, by at least {LEAST:g}",
            "Pass the raw score maps of in-distribution images.",
        )

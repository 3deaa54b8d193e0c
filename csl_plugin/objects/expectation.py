"""What a threshold lets one expect: figures with intervals, by bootstrap over images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.metrics.bootstrap import bootstrap_ratio

_RULE_OF_THREE = 3.0


@dataclass(frozen=True)
class Figure:
    """A value over the images of a fit, and its 95 % interval over the choice of images.

    Attributes:
        value: Over all images together.
        low: Of the interval; None where one image alone says nothing about others: a single one, or the only
            one that the figure is made of.
        high: As `low`.
    """

    value: float
    low: float | None = None
    high: float | None = None


def ratio_figure(above: NDArray[Any], below: NDArray[Any]) -> Figure:
    """The sum of a count over the sum of another; without an interval where no draw of images says more.

    Args:
        above: (images,) counts.
        below: (images,) counts, not all 0.
    """
    value = float(above.sum() / below.sum())
    if np.count_nonzero(below) == 1 or not above.any():  # every draw would give the same
        return Figure(value)
    interval = bootstrap_ratio(above, below)
    return Figure(value, interval.low, interval.high)


def mean_figure(counts: NDArray[Any]) -> Figure:
    """The mean count of an image.

    Where no image has any, a bootstrap knows no upper end; it is three in the number of images, up to which
    a mean gives no event in that many images with a chance of 5 %.
    """
    images = counts.size
    if images > 1 and not counts.any():
        return Figure(0.0, 0.0, _RULE_OF_THREE / images)
    return ratio_figure(counts, np.ones(images))


def pixel_figures(counts: NDArray[np.int64], totals: NDArray[np.int64]) -> dict[str, Figure]:
    """The figures of a threshold over pixels.

    Args:
        counts: (images, 2) normal and anomalous pixels at or above the threshold.
        totals: (images, 2) normal and anomalous pixels.

    Returns:
        "normal_pixels_above" where there are normal pixels; where there are anomalous ones also "precision",
        "recall" and "f1".
    """
    found: dict[str, Figure] = {}
    (false, true), (normal, anomalous) = counts.T, totals.T
    if anomalous.any():
        found["precision"] = ratio_figure(true, true + false)
        found["recall"] = ratio_figure(true, anomalous)
        found["f1"] = ratio_figure(2 * true, true + false + anomalous)
    if normal.any():
        found["normal_pixels_above"] = ratio_figure(false, normal)
    return found


_PHRASES = {
    "false_objects_per_image": ("{} false objects per image", 1.0, ""),
    "normal_pixels_above": ("{} of the normal pixels at or above it", 100.0, " %"),
    "precision": ("precision {}", 100.0, " %"),
    "recall": ("recall {}", 100.0, " %"),
    "f1": ("F1 {}", 100.0, " %"),
}
"""How each figure is said: the phrase, the factor of its unit, and the unit."""

FIGURES = tuple(_PHRASES)


def in_words(name: str, figure: Figure) -> str:
    """A figure for people.

    Example:
        >>> in_words("recall", Figure(0.95, 0.9, 0.975))
        'recall 95 % (90 to 97.5)'
    """
    phrase, factor, unit = _PHRASES[name]
    said = f"{figure.value * factor:.3g}{unit}"
    if figure.low is not None and figure.high is not None:
        said += f" ({figure.low * factor:.3g} to {figure.high * factor:.3g})"
    return phrase.format(said)

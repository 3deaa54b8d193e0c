"""The figures of one cell of the page: one score of one segmenter on one set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.effect.frames.sets import FrameSet
from benchmarks.effect.rows.anomaly import BASE, EQ3, FILLED, SHIPPED, Row
from benchmarks.effect.states.measure import SCORES
from benchmarks.effect.states.measurements import SetStates
from benchmarks.effect.states.pixels import PixelCounts, bootstrap_states, values_over
from csl_plugin.metrics import (
    AnomalyValues,
    ComponentMetric,
    ComponentValues,
    Interval,
    PooledAnomaly,
    State,
    bootstrap_difference,
)

AGAINST = {"base": BASE, "eq. 3": EQ3, "m max(m, D)": FILLED}
"""The rows that the default is compared with, by short names."""
F1 = "mean_f1"
LOWER_IS_BETTER = ("fpr95",)
LOW_AUROC = 0.7


@dataclass(frozen=True)
class Change:
    """A difference of fractions with its 95 % interval.

    Attributes:
        value: After - before.
        interval: By bootstrap over frames.
        lower_is_better: Whether a fall is a gain.
    """

    value: float
    interval: Interval
    lower_is_better: bool

    @property
    def gain(self) -> float:
        """The change, positive where it is for the better."""
        return -self.value if self.lower_is_better else self.value

    @property
    def beyond(self) -> bool:
        """Whether the interval excludes no change."""
        return self.interval.low > 0 or self.interval.high < 0


@dataclass(frozen=True)
class Cell:
    """One score of one segmenter on one set.

    Attributes:
        frames: The set.
        network: The segmenter.
        score: Name of the score.
        pixels: AP, FPR95 and AUROC by row key.
        components: sIoU, PPV and F1 by row key.
        changes: Of the default against a row, by that row's key and the metric.
    """

    frames: FrameSet
    network: str
    score: str
    pixels: Mapping[str, AnomalyValues]
    components: Mapping[str, ComponentValues]
    changes: Mapping[tuple[str, str], Change]

    @property
    def informative(self) -> bool:
        """Whether the base score tells anomalies from the rest at all."""
        return self.pixels[BASE.key].auroc > LOW_AUROC


def cells_of(
    frames: FrameSet, states: SetStates, networks: Sequence[str], rows: Sequence[Row], draws: int
) -> Iterator[Cell]:
    """The cells of a set, with intervals from so many draws."""
    wanted = [(network, score) for network in networks for score in SCORES]
    for network, score in tqdm(wanted, desc=f"{frames.title}, intervals", unit="cell", disable=None):
        kept = {row.key: states.pixels(network, row, score) for row in rows}
        parts = {row.key: states.components(network, row, score) for row in rows if row.components}
        yield Cell(
            frames,
            network,
            score,
            {key: values_over(found) for key, found in kept.items()},
            {key: components_over(frames, found).compute() for key, found in parts.items()},
            _changes(frames, kept, parts, draws),
        )


def components_over(frames: FrameSet, found: Sequence[State]) -> ComponentMetric:
    """The component metric over frames that were measured at one threshold."""
    metric = ComponentMetric(frames.components, float(found[0]["threshold"][0]))
    for state in found:
        metric.add_state(state)
    return metric


def _changes(
    frames: FrameSet, kept: Mapping[str, list[PixelCounts]], parts: Mapping[str, list[State]], draws: int
) -> dict[tuple[str, str], Change]:
    found = {}
    after, drawn = values_over(kept[SHIPPED.key]), bootstrap_states(kept[SHIPPED.key])
    for row in AGAINST.values():
        before = values_over(kept[row.key])
        intervals = bootstrap_difference(PooledAnomaly(), bootstrap_states(kept[row.key]), drawn, draws=draws)
        for metric in ("ap", "fpr95"):
            value = getattr(after, metric) - getattr(before, metric)
            found[row.key, metric] = Change(value, intervals[metric], metric in LOWER_IS_BETTER)
        if row.key in parts:
            found[row.key, F1] = _f1_change(frames, parts[row.key], parts[SHIPPED.key], draws)
    return found


def _f1_change(frames: FrameSet, before: Sequence[State], after: Sequence[State], draws: int) -> Change:
    """The change of mean F1; both thresholds stay those of the whole set in every draw."""
    weights = np.random.default_rng(0).multinomial(
        len(before), np.full(len(before), 1 / len(before)), size=draws
    )
    changes = _mean_f1(weights @ _counts(frames, after)) - _mean_f1(weights @ _counts(frames, before))
    low, high = np.nanquantile(changes, [0.025, 0.975])
    whole = [components_over(frames, side).compute().mean_f1 for side in (before, after)]
    return Change(whole[1] - whole[0], Interval(float(low), float(high)), False)


def _counts(frames: FrameSet, found: Sequence[State]) -> NDArray[np.int64]:
    """(frames, 3 * levels): true positives, false negatives and false positives of each frame."""
    counts = []
    for state in found:
        values = components_over(frames, [state]).compute()
        counts.append(np.concatenate([values.tp, values.fn, values.fp]))
    return np.stack(counts)


def _mean_f1(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    tp, fn, fp = np.split(counts.astype(np.float64), 3, axis=1)
    with np.errstate(invalid="ignore"):
        f1: NDArray[np.float64] = (2 * tp / (2 * tp + fn + fp)).mean(axis=1)
    return f1

"""The gain of a candidate over the base, cell by cell, and what the choice between candidates needs of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.effect.rows.anomaly import BASE
from benchmarks.effect.rows.candidates import CANDIDATES, ROWS, Candidate
from benchmarks.effect.states.measurements import SetStates
from benchmarks.effect.states.pixels import bootstrap_states, values_over
from csl_plugin.metrics import AnomalyValues, PooledAnomaly, bootstrap_difference

_LOW_AUROC, _LEAST_FPR95 = 0.7, 1e-3

Gains = NDArray[np.float64]
"""A candidate's, by set."""


class Cell:
    """One score of one segmenter on one set: the counts of every frame, by row key.

    Args:
        states: Of the set.
        network: The segmenter.
        score: Name of the score.
    """

    def __init__(self, states: SetStates, network: str, score: str) -> None:
        self.counts = {row.key: states.pixels(network, row, score) for row in ROWS}
        self.values = {key: values_over(frames) for key, frames in self.counts.items()}

    @property
    def informative(self) -> bool:
        """Whether it counts."""
        return self.values[BASE.key].auroc > _LOW_AUROC

    def gain(self, candidate: Candidate) -> float:
        """Over the base."""
        return gain(self.values[candidate.row.key], self.values[BASE.key])

    def is_worse(self, candidate: Candidate) -> bool:
        """Whether FPR95 is above the base's."""
        return bool(self.values[candidate.row.key].fpr95 > self.values[BASE.key].fpr95)

    def is_harmed(self, candidate: Candidate, draws: int) -> bool:
        """Whether FPR95 is above the base's beyond the 95 % interval of the difference."""
        before, after = (bootstrap_states(self.counts[key]) for key in (BASE.key, candidate.row.key))
        return bootstrap_difference(PooledAnomaly(), before, after, draws=draws)["fpr95"].low > 0

    def redrawn(self, candidate: Candidate, frames: NDArray[np.int64]) -> float:
        """The gain over a sample of the frames; nan where it has no anomaly."""
        after, before = (
            values_over([self.counts[key][index] for index in frames])
            for key in (candidate.row.key, BASE.key)
        )
        return gain(after, before)


Cells = Mapping[str, Sequence[Cell]]
"""Those that count, by set."""


def gain(after: AnomalyValues, before: AnomalyValues) -> float:
    """The mean of the logarithms of how often AP grew and FPR95 fell."""
    rates = [max(each.fpr95, _LEAST_FPR95) for each in (before, after)]
    return float(np.log(after.ap / before.ap) + np.log(rates[0] / rates[1])) / 2


def gains(cells: Cells) -> dict[Candidate, Gains]:
    """The gain of every candidate on every set."""
    return {
        candidate: np.array([np.mean([cell.gain(candidate) for cell in found]) for found in cells.values()])
        for candidate in CANDIDATES
    }


def share_worse(cells: Cells, candidate: Candidate) -> float:
    """The share of the cells in which FPR95 is above the base's."""
    return float(np.mean([cell.is_worse(candidate) for found in cells.values() for cell in found]))


def interval(cells: Cells, one: Candidate, other: Candidate, draws: int) -> tuple[float, float]:
    """95 % of one's mean gain less the other's, by bootstrap over the frames within each set."""
    random, found = np.random.default_rng(0), []
    for _ in tqdm(range(draws), desc=f"{one} - {other}", disable=None):
        by_set = []
        for several in cells.values():
            number = len(next(iter(several[0].counts.values())))
            frames = random.integers(0, number, number)
            by_set.append(
                np.nanmean([cell.redrawn(one, frames) - cell.redrawn(other, frames) for cell in several])
            )
        found.append(np.mean(by_set))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)

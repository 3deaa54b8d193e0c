"""The gain of a candidate over the base, cell by cell, and what the choice between candidates needs of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.effect.rows.anomaly import BASE
from benchmarks.effect.rows.candidates import CANDIDATES, ROWS, Candidate
from benchmarks.effect.states.measurements import SetStates
from benchmarks.effect.states.pixels import bootstrap_states, values_over
from csl_plugin.metrics import AnomalyValues, State

_LOW_AUROC, _LEAST_FPR95, _TPR = 0.7, 1e-3, 0.95
_LEVELS = 0x7C00  # of `bootstrap_states`

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
        return float(gain(self.values[candidate.row.key], self.values[BASE.key]))

    def is_worse(self, candidate: Candidate) -> bool:
        """Whether FPR95 is above the base's."""
        return bool(self.values[candidate.row.key].fpr95 > self.values[BASE.key].fpr95)

    def is_harmed(self, candidate: Candidate, draws: int) -> bool:
        """Whether FPR95 is above the base's beyond the 95 % interval of the difference."""
        weights = samples(len(self.counts[BASE.key]), draws)
        more = self._redrawn(candidate.row.key, weights).fpr95 - self._redrawn(BASE.key, weights).fpr95
        return bool(np.nanquantile(more, 0.025) > 0)

    def redrawn(self, one: Candidate, other: Candidate, weights: NDArray[np.int64]) -> Gains:
        """One's gain less the other's in every sample of the frames; nan where a sample has no anomaly."""
        after, before = (self._redrawn(each.row.key, weights) for each in (one, other))
        return gain(after, before)

    def _redrawn(self, key: str, weights: NDArray[np.int64]) -> Redrawn:
        return Redrawn.of(bootstrap_states(self.counts[key]), weights)


class Redrawn(NamedTuple):
    """Metrics of every sample of the frames, (draws,)."""

    ap: Gains
    fpr95: Gains

    @staticmethod
    def of(states: Sequence[State], weights: NDArray[np.int64]) -> Redrawn:
        """From the counts of every frame and how often each sample has it, (draws, frames)."""
        sides = []
        for name in ("half_positive", "half_negative"):
            counts = np.zeros((len(states), _LEVELS))
            for row, state in zip(counts, states, strict=True):
                row[state["half_value"].view(np.uint16)] = state[name]
            sides.append(weights @ counts[:, ::-1])
        hits, false = sides[0], sides[1].cumsum(1)
        reached = hits.cumsum(1)
        with np.errstate(invalid="ignore"):
            precision = reached / np.maximum(reached + false, 1)
            ap = (hits * precision).sum(1) / reached[:, -1]
            first = (reached >= _TPR * reached[:, -1:]).argmax(1)
            fpr95 = np.take_along_axis(false, first[:, None], 1)[:, 0] / false[:, -1]
        return Redrawn(ap, np.where(np.isnan(ap), np.nan, fpr95))


Cells = Mapping[str, Sequence[Cell]]
"""Those that count, by set."""


def gain(after: AnomalyValues | Redrawn, before: AnomalyValues | Redrawn) -> Any:
    """The mean of the logarithms of how often AP grew and FPR95 fell."""
    fell = np.maximum(before.fpr95, _LEAST_FPR95) / np.maximum(after.fpr95, _LEAST_FPR95)
    return (np.log(after.ap / before.ap) + np.log(fell)) / 2


def samples(frames: int, draws: int) -> NDArray[np.int64]:
    """How often each sample with replacement has each frame, (draws, frames)."""
    return np.random.default_rng(0).multinomial(frames, np.full(frames, 1 / frames), size=draws)


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
    by_set = []
    for several in tqdm(cells.values(), desc=f"{one} - {other}", unit="set", disable=None):
        weights = samples(len(several[0].counts[BASE.key]), draws)
        by_set.append(np.mean([cell.redrawn(one, other, weights) for cell in several], 0))
    low, high = np.nanquantile(np.mean(by_set, 0), [0.025, 0.975])
    return float(low), float(high)

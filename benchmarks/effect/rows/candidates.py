"""The candidates for the default: pairs of regions and of a rule without tuned parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.effect.rows.anomaly import BASE, Row
from benchmarks.effect.rows.case import Case
from benchmarks.effect.rows.filters import ScoreMap
from benchmarks.effect.rows.rules import eq3, filled

REGIONS = (
    "csl-tiny:auto",
    "csl-tiny:auto,5",
    "csl-tiny:auto,10",
    "csl-tiny:auto,10+superpixels:40",
    "superpixels:40",
)


def _floored(case: Case, source: str) -> ScoreMap:
    return np.maximum(eq3(case, source), np.square(np.mean(case.roots(source), 0)))


def _halving(case: Case, source: str) -> ScoreMap:
    means = case.means(source)
    weights = [0.5**k for k in range(len(means))]
    return _filled_by_the_finest(case, source, np.average(means, axis=0, weights=weights))


def _coarsest(case: Case, source: str) -> ScoreMap:
    return _filled_by_the_finest(case, source, case.means(source)[0])


def _filled_by_the_finest(case: Case, source: str, mean: ScoreMap) -> ScoreMap:
    floor = np.square(case.roots(source)[-1])
    return np.sqrt(mean * np.maximum(case.score, floor)).astype(np.float32)


RULES: dict[str, Callable[[Case, str], ScoreMap]] = {
    "√(m D), eq. 3": eq3,
    "√(m max(m, D))": filled,
    "max(√(m D), t)": _floored,
    "√(h max(D, f))": _halving,
    "√(m₁ max(D, f))": _coarsest,
}
"""Their letters: docs/results/choice.md."""


@dataclass(frozen=True)
class Candidate:
    """Regions and a rule."""

    regions: str
    rule: str

    @property
    def row(self) -> Row:
        """As a row of the page's measurements."""
        number = list(RULES).index(self.rule)
        key = f"{self.regions}-{number}".replace(":", "-")
        return Row(key, str(self), partial(RULES[self.rule], source=self.regions), sources=(self.regions,))

    @property
    def cost(self) -> tuple[int, int]:
        """How many trees the regions need, and how many partitions."""
        parts = self.regions.split("+")
        return len(parts), sum(part.count(",") + 1 for part in parts)

    def __str__(self) -> str:
        return f"{self.regions}, {self.rule}"


CANDIDATES = tuple(
    candidate
    for regions in REGIONS
    for rule in RULES
    # Of one partition the last two rules are the same.
    if (candidate := Candidate(regions, rule)).cost[1] > 1 or RULES[rule] is not _coarsest
)
ROWS = (BASE, *(candidate.row for candidate in CANDIDATES))

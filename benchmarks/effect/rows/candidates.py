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
from csl_plugin import fuse

REGIONS = (
    "csl-tiny:auto",
    "csl-tiny:auto,5",
    "csl-tiny:auto,10",
    "csl-tiny:auto,10+superpixels:40",
    "superpixels:40",
)


def _floor(case: Case, source: str) -> ScoreMap:
    roots = fuse(np.sqrt(case.score), case.regions.of(source), rule="mean")
    return np.maximum(eq3(case, source), np.square(roots))


RULES: dict[str, Callable[[Case, str], ScoreMap]] = {
    "√(m D), eq. 3": eq3,
    "√(m max(m, D))": filled,
    "max(√(m D), t)": _floor,
}
"""m is the average of a pixel's region means, t the square of the average of its regions' means of √D."""


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


CANDIDATES = tuple(Candidate(regions, rule) for regions in REGIONS for rule in RULES)
ROWS = (BASE, *(candidate.row for candidate in CANDIDATES))

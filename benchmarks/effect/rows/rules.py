"""Rules that several pages compare with the default, each on the scale of the score."""

from __future__ import annotations

import numpy as np

from benchmarks.effect.rows.case import Case
from benchmarks.effect.rows.filters import ScoreMap


def eq3(case: Case, source: str) -> ScoreMap:
    """The root of eq. 3: the same order, without tiny numbers."""
    found: ScoreMap = np.sqrt(case.mean(source) * case.score)
    return found


def filled(case: Case, source: str) -> ScoreMap:
    """The root of m x max(m, D)."""
    mean = case.mean(source)
    found: ScoreMap = np.sqrt(mean * np.maximum(mean, case.score))
    return found

"""docs/results/inspection.md: the values as tables, a change with its interval over the categories."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks.inspection.measuring import (
    ALL,
    BASE,
    DEFAULT,
    EACH,
    GOOD_TESTED,
    SETTINGS,
    TRAIN,
    VALUES,
    Values,
)
from benchmarks.inspection.textures import DEFECTS, KINDS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "results" / "inspection.md"
_TITLES = dict(zip(VALUES, ("AUPRO 0.3", "AUPRO 0.05", "pixel AP", "image AUROC"), strict=True))
_HEAD = """# Anomaly maps of industrial inspection, base against fused

Written by `python -m benchmarks.inspection`; do not edit.

Made pictures of 256 x 256 pixels ({kinds}); {count} categories of {train} pictures to fit a model,
{good} good ones to test and {each} of each defect: a stain (radius 18 to 40 pixels), a hole (10 to 20), a
scratch (2 to 4 wide), a speck (radius 2 to 4). They are no photographs: MVTec AD's terms keep it out of this
repository, and its values are not to be had from these. The backbones have random weights, so the maps are
worse than published ones.

The maps are raw distances, used as they are but for the row "calibrated", which maps them by
`Calibration.fit_quantile` over good pictures. In per cent; beside a value its change against the base with
the 95 % interval of the mean over the categories (Student's t, as if categories of one texture were
independent).

"""


def page(categories: Sequence[Values]) -> str:
    """The page from the values of every category."""
    text = _HEAD.format(
        kinds=", ".join(KINDS), count=len(categories), train=TRAIN, good=GOOD_TESTED, each=EACH
    )
    for score in categories[0]:
        title = score if score.startswith("anomalib") else score.capitalize()
        text += f"## {title}\n\n{_settings(categories, score)}\n"
        text += "By defect, with the good pictures, mean of the categories:\n\n"
        text += f"{_defects(categories, score)}\n"
    return text.rstrip() + "\n"


def _settings(categories: Sequence[Values], score: str) -> str:
    lines = [["setting", *_TITLES.values()], ["---"] * 5]
    for setting in (BASE, *(each.name for each in SETTINGS)):
        cells = [_cell(categories, score, setting, ALL, index) for index in range(len(VALUES))]
        lines.append([setting, *cells])
    return _table(lines)


def _defects(categories: Sequence[Values], score: str) -> str:
    shown = [setting.name for setting in SETTINGS if setting.name == DEFAULT or "csl-tiny" in setting.name]
    lines = [["defect", "value", BASE, *shown], ["---"] * (3 + len(shown))]
    for defect in DEFECTS:
        for index, value in enumerate(VALUES[:3]):
            cells = [_cell(categories, score, setting, defect, index) for setting in (BASE, *shown)]
            lines.append([defect, _TITLES[value], *cells])
    return _table(lines)


def _cell(categories: Sequence[Values], score: str, setting: str, group: str, index: int) -> str:
    own = np.array([values[score][setting][group][index] for values in categories])
    base = np.array([values[score][BASE][group][index] for values in categories])
    if setting == BASE:
        return f"{100 * own.mean():.1f}"
    change = 100 * (own - base)
    reach = stats.t.ppf(0.975, len(change) - 1) * change.std(ddof=1) / math.sqrt(len(change))
    low, high = change.mean() - reach, change.mean() + reach
    return f"{100 * own.mean():.1f} ({change.mean():+.1f}, {low:+.1f} to {high:+.1f})"


def _table(lines: Sequence[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)

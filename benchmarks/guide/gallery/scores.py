"""What fusion does to scores: the rules, where it hurts, and calibration before it."""

from __future__ import annotations

import numpy as np

from benchmarks.guide.gallery.panels import Easel, ap_of, counted
from benchmarks.guide.gallery.plot import Plot
from benchmarks.guide.gallery.scene import fused, partitions, scene
from benchmarks.guide.pictures import helps, hurts, noisy_score
from csl_plugin import Calibration
from csl_plugin.viz.colors import MASK, Picture
from csl_plugin.viz.line_plot import Axis
from csl_plugin.viz.sheet import Panel, sheet

_SEED, _HURT_SEED, _NORMAL = 6, 8, (2001, 2002, 2003)
_CURVE, _KNOWN = (0, 114, 178), (150, 150, 158)


def rules() -> Picture:
    """One noisy score after each rule."""
    case = helps()
    score, several = noisy_score(case), partitions(case.image)
    easel = Easel(case.image, 350)
    one = several[0]
    maps = {
        "product": ('Rule "product"', "eq. 3 as printed", fused(score, one, "product")),
        "geometric": ('Rule "geometric"', "its square root", fused(score, one, "geometric")),
        "mean": ('Rule "mean"', "the region alone", fused(score, one, "mean")),
        "adaptive": ('Rule "adaptive"', "default", fused(score, several)),
    }
    after = [
        easel.heat(title, f"{ap_of(values, case.truth)}, {note}", values)
        for title, note, values in maps.values()
    ]
    return sheet(
        [
            [
                easel.picture("What is sought, outlined", case.credit, case.truth),
                easel.heat("Score", f"{ap_of(score, case.truth)}, noisy", score),
                after[0],
            ],
            after[1:],
        ],
        text=15.0,
    )


def structure_hurts() -> Picture:
    """Things smaller than their region are lost; a region that scores high by mistake is raised."""
    case = hurts()
    small, several = noisy_score(case), partitions(case.image)
    seen = scene(_HURT_SEED)
    wrong, theirs = seen.score(), partitions(seen.street.image)
    rows = []
    for title, note, image, truth, score, regions in (
        ("Balloons, outlined", case.credit, case.image, case.truth, small, several),
        (
            f"A {seen.street.thing}, outlined",
            "drawn street",
            seen.street.image,
            seen.street.unseen,
            wrong,
            theirs,
        ),
    ):
        easel, after = Easel(image, 350), fused(score, regions)
        rows.append(
            [
                easel.picture(title, note, truth),
                easel.regions(
                    "Regions", f"{counted(regions[0])}, first of {len(regions)} partitions", regions[0]
                ),
                easel.heat("Score", ap_of(score, truth), score),
                easel.heat("Fused", ap_of(after, truth), after),
            ]
        )
    return sheet(rows, text=15.0)


def calibration() -> Picture:
    """A raw score, the map onto [0, 1] that is fitted on streets without the thing, and what is fused."""
    seen = scene(_SEED)
    raw, truth = seen.raw_score(), seen.street.unseen
    normal = np.concatenate([scene(seed, unseen=False).raw_score().ravel() for seed in _NORMAL])
    fitted = Calibration.fit_quantile([normal])
    unit = fitted(raw)
    after = fused(unit, partitions(seen.street.image))
    easel = Easel(seen.street.image, 480)
    ends = float(raw.min()), float(raw.max())
    low, high = np.percentile(np.concatenate([normal, raw.ravel()]), [0.1, 99.95])
    edges = np.linspace(low, high, 61)
    plot = Plot(
        easel.size, Axis(float(low), float(high), "raw score: minus the maximal logit"), Axis(0.0, 1.0)
    )
    for values, color in ((normal, _KNOWN), (raw[truth], MASK)):
        counts, _ = np.histogram(values, edges)
        plot.area(list(zip((edges[:-1] + edges[1:]) / 2, 0.9 * counts / counts.max(), strict=True)), color)
    grid = np.linspace(low, high, 400)
    plot.line(list(zip(grid, fitted(grid.astype(np.float32)), strict=True)), _CURVE, 3)
    plot.name("known streets", _KNOWN)
    plot.name("the thing", MASK)
    plot.name("calibration", _CURVE)
    return sheet(
        [
            [
                easel.picture("Street, the unseen thing outlined", f"a {seen.street.thing}", truth),
                easel.heat("Raw score", ap_of(raw, truth), raw, ends),
            ],
            [
                Panel(
                    plot.picture(),
                    "Calibration",
                    f"the quantiles of {len(_NORMAL)} streets without the thing",
                ),
                easel.heat("Calibrated and fused", ap_of(after, truth), after),
            ],
        ],
        text=15.0,
    )

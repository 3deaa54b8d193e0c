"""docs/results/anomaly.md from its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from benchmarks.effect.page.anomaly_tables import (
    all_rows,
    changes_table,
    component_table,
    losses_table,
    pixel_table,
    summary,
)
from benchmarks.effect.page.cells import Cell
from benchmarks.effect.page.frame_changes import (
    FrameChange,
    counts_table,
    read_reasons,
    worst_frames,
    worst_table,
)
from benchmarks.effect.page.measured import markdown
from benchmarks.effect.page.published import published_section
from benchmarks.effect.rows.anomaly import NETWORK, Row
from benchmarks.effect.rows.filters import GUIDED_RADIUS
from benchmarks.effect.rows.regions import FELZENSZWALB, SLIC
from csl_plugin.proposers import DEFAULT


def _options(options: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items())


_HEAD = f"""\
# Anomaly scores with regions

Written by `python -m benchmarks.effect.anomaly`; do not edit.

What regions do to the scores of segmenters that were not trained on the objects to be found. The default is
`fuse(score, load_proposer()(image))`: no rule is named, and the proposer is `{DEFAULT}`.

A cell is one score of one segmenter on one set. Segmenters of real sets: two public Cityscapes networks,
`fddwnet` and `espnetv2`. The others: a small one trained on CamVid without people, cyclists and objects.
Their logits are upsampled bilinearly; `examples/ood_scores.py` has the five scores, all in [0, 1], and none
of them has seen an anomaly.

Per cent. **Bold** is the best value of a column (true regions excluded: they use the labels), *italics* are
worse than the base score. FPR95 is better when lower.
"""
_SUMMARY = """\
## In short: {place}

Counted over the cells in which the base score has an AUROC above 70: {informative} of {count}. "Beyond the
interval": the 95 % interval of the change, by bootstrap over frames, excludes no change.
"""
_METHOD = """\
## How it is measured

- **Pixels.** AP, FPR95 and AUROC over the pooled evaluated pixels of all frames of a set. Scores are computed
  and fused at full resolution; of the real frames every second pixel of every second row is counted, of the
  others all. Scores of anomalous pixels are kept exactly; those of normal pixels are grouped so finely that
  these values change by less than 0.01 points.
- **Components.** sIoU_gt, PPV and mean F1 as in SegmentMeIfYouCan, at full resolution, at the threshold of
  the best pixel F1 over the set. Smallest components: those of AnomalyTrack for AnomalyTrack and Static,
  those of ObstacleTrack for all others. Measured for the base score, eq. 3, region means, the default and
  true regions.
- **Intervals.** {draws} draws of the frames with replacement. They say how a change depends on the choice of
  frames, not on the segmenter. For mean F1 the thresholds are those of the whole set in every draw.
- **Frames.** AnomalyTrack val: all 10. ObstacleTrack val: 15 of 30. Fishyscapes LostAndFound: 25 of 100.
  Static: 24 of 30. Pasted objects and CamVid val: the odd frames, 1::2.
"""
_ROWS = {
    "mean of Gaussian blurs, guided filter": "filters that know no regions; the guide is the gray image, "
    f"radius {GUIDED_RADIUS}",
    "DenseCRF": "fully connected random field, the score as a two-class probability clipped to "
    "[0.001, 0.999], its authors' parameters, 5 iterations",
    "Felzenszwalb, SLIC": f"region means with scikit-image: {_options(FELZENSZWALB)}; {_options(SLIC)}",
    "masks as given": "every pixel takes the mean of a mask, the way of plug-ins on SAM; where masks "
    f"overlap, that of the smallest or of the best. The masks are {NETWORK}'s proposals with V of at least "
    "0.5: they stand in for SAM's",
    "hard assignment": f"{NETWORK}'s proposals painted in ascending V, then eq. 3",
    "eq. 3": "region mean times score, as printed; of several partitions, the average of the region means "
    "times score",
    "region mean": "the average of the region means",
    "m x max(m, D)": "eq. 3 in which no pixel is drawn below its region: m is the region mean, D the score",
    f"the default with {NETWORK}-strict, {NETWORK}-open": f"in place of {NETWORK}: other training data",
    "true regions": "connected components of the labels, crossed with the predicted classes: needs labels",
}
_CHANGES = """\
## Intervals

The default less another row, in points, with the 95 % interval. **Bold** is better beyond the interval,
*italics* worse. Scores in parentheses have an AUROC of at most 70 before fusion.
"""
_LOSSES = """\
### Where the default loses

Of the cells with an AUROC above 70: AP or mean F1 below the base score, FPR95 above it, AP below 98 % of that
of eq. 3 or of m x max(m, D). In parentheses what is within the interval.
"""
_FRAMES = """\
## Frame by frame

AP of each frame by itself, the default against the base score.
"""
_WORST = """\
### The worst frames

The ten frames that lose most, at most two of a set and segmenter. `--pictures FOLDER` draws them; the terms
of the data forbid to show them here.
"""


def page(cells: Sequence[Cell], changes: Sequence[FrameChange], rows: Sequence[Row], draws: int) -> list[str]:
    """The lines of the page."""
    lines = [_HEAD]
    for place, real in (("real sets", True), ("pasted objects and CamVid", False)):
        some = [cell for cell in cells if cell.frames.real == real]
        if some:
            informative = sum(cell.informative for cell in some)
            lines.append(_SUMMARY.format(place=place, informative=informative, count=len(some)))
            lines += [*summary(some), "Every row over the same cells:", "", *all_rows(some, rows)]
    lines += [_METHOD.format(draws=draws), *markdown(["row", "what it is"], list(_ROWS.items()))]
    for title, of_set in groupby(cells, key=lambda cell: cell.frames.title):
        lines += [f"## {title}", ""]
        for network, found in groupby(of_set, key=lambda cell: cell.network):
            some = list(found)
            count = len(some[0].frames.frames)
            lines += [f"### {title}, {network}, {count} frames: AP / FPR95 / AUROC", ""]
            lines += pixel_table(some, rows)
            lines += [f"### {title}, {network}: sIoU_gt / PPV / mean F1", ""]
            lines += component_table(some, rows)
    worst = worst_frames(changes)
    lines += [_CHANGES, *changes_table(cells), _LOSSES, *losses_table(cells), _FRAMES, *counts_table(changes)]
    return [*lines, _WORST, *worst_table(worst, read_reasons()), *published_section()]

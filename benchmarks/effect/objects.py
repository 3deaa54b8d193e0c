"""Objects at thresholds that were fitted without labels of anomalies: docs/results/objects.md.

    python -m benchmarks.effect.objects --data DATA --out docs/results

DATA holds `real`, or `camvid`, `pasted` and `teacher`, or all. Thresholds keep a budget of false objects
on the normal pixels of one set, and the objects of other sets are counted at them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.effect.frames.sets import GIVEN, NETWORKS, FrameSet, open_frame_sets
from benchmarks.effect.page.command import page_parser, publish
from benchmarks.effect.page.measured import Measured, markdown
from csl_plugin import Objects, RegionMap, Threshold, find_objects, fuse, load_proposer, split_components
from csl_plugin.io import image_batch
from csl_plugin.metrics import InstanceAP, ObjectMetric
from csl_plugin.proposers.base import Partition, as_partitions
from examples.ood_scores import ood_scores

SCORES = ("entropy", "max_logit")
BASE, BASE_REGIONS, FUSED = "base", "base, regions decide", "+CSL"
ROWS = (BASE, BASE_REGIONS, FUSED)
_STATIC, _STREET, _PASTED = "fishyscapes_static_val", "camvid_val", "pasted"
_COUNTS, _INSTANCES = "objects", "instances"
_VOID = 255
_ROAD = (0, 1)  # road and sidewalk in Cityscapes' train ids
_HEAD = """\
# Objects at a threshold

Written by `python -m benchmarks.effect.objects`; do not edit.

What a user gets who fits a threshold on frames without anomalies and deploys it: `Threshold.fit_objects` or
`fit_pixels` keeps a budget on the normal pixels of one set, `find_objects` finds the objects of another set
at that threshold. Nothing is fitted on the set that is measured, and no threshold is an oracle's. The rule
of `find_objects` was chosen before, on the even frames of the pasted objects ([protocol.md](protocol.md)).
Where only the road counts, as in ObstacleTrack and LostAndFound, the threshold is fitted where the segmenter
sees road or sidewalk; pixels that the labels leave out belong to no object (`valid=`).

Rows: the base's scores, where pixels decide; the base's scores, where regions decide; and fused scores,
where regions decide. Budgets: 0.1 or 1 false objects an image, or one pixel in a hundred. "Expected" is the
mean number of false objects an image on the frames of the fit, with its 95 % interval. Found and missed are
labeled components, at an sIoU of 0.5; false are objects less than half of which is labeled; an image each.
sIoU, PPV and F1 (the mean over levels) are those of SegmentMeIfYouCan, AP and AP50 those of instances
(OoDIS), in per cent. Change: of F1 and of AP from the base's row, 95 % intervals by bootstrap over frames.
"""
_TRIAGE = """\
## One score for an image

Which score tells frames with pasted objects from the same frames without them? AUROC in per cent, with 95 %
intervals by bootstrap over the pairs: the mean and the maximum of the map, and `Objects.image_score` at the
threshold with a budget of one false object an image. The given segmenter.
"""


@dataclass(frozen=True)
class Scored:
    """The maps of one frame: (H, W) each, its regions, its labels, and where its segmenter sees the road."""

    base: NDArray[np.float32]
    fused: NDArray[np.float32]
    regions: tuple[RegionMap, ...]
    label: NDArray[np.uint8]
    road: NDArray[np.bool_]

    def map_and_regions(self, row: str) -> tuple[NDArray[np.float32], tuple[RegionMap, ...] | None]:
        """What `find_objects` gets in a row of the tables."""
        return (self.fused if row == FUSED else self.base), (None if row == BASE else self.regions)

    def objects(self, row: str, threshold: Threshold) -> Objects:
        """The objects of a row of the tables."""
        values, regions = self.map_and_regions(row)
        return find_objects(values, threshold, regions, split=False, valid=self.label != _VOID)[0]

    def normal(self, *, road: bool) -> NDArray[np.bool_]:
        """The pixels without anomalies; with `road`, those of the road."""
        return np.asarray((self.label == 0) & self.road if road else self.label == 0)


class ScoredFrames:
    """The frames of a set with one segmenter's scores; regions are proposed once."""

    def __init__(self, frames: FrameSet) -> None:
        self._frames = frames
        self._regions: dict[str, tuple[RegionMap, ...]] = {}
        self._proposer = load_proposer()

    def read(self, network: str, score: str) -> Iterator[Scored]:
        """The maps of every frame, of one score."""
        teacher = self._frames.teachers[network]
        of_logits = ood_scores(teacher.statistics)[score]
        title = f"{self._frames.key}, {network}, {score}"
        for frame in tqdm(self._frames.frames, desc=title, unit="frame", disable=None):
            image = image_batch(self._frames.dataset.read_image(frame))
            if frame.name not in self._regions:
                self._regions[frame.name] = tuple(map(_split, as_partitions(self._proposer(image))))
            regions, size = self._regions[frame.name], list(image.shape[2:])
            logits = F.interpolate(
                teacher(image, frame.name)[None], size, mode="bilinear", align_corners=False
            )
            base = of_logits(logits[0]).numpy()
            road = np.isin(logits[0].argmax(0).numpy(), _ROAD)
            yield Scored(base, fuse(base, regions, split=False), regions, self._frames.label(frame), road)


def _split(partition: Partition) -> RegionMap:
    assert isinstance(partition, RegionMap)  # noqa: S101
    return split_components(partition)


Fitting: TypeAlias = "Callable[[Sequence[Scored], str, bool], Threshold]"
"""From frames without anomalies, a row, and whether only the road counts, to a threshold."""


def by_objects(frames: Sequence[Scored], row: str, road: bool, *, budget: float) -> Threshold:
    """The threshold that keeps a budget of false objects an image."""
    maps = [(*frame.map_and_regions(row), frame.normal(road=road)) for frame in frames]
    return Threshold.fit_objects(maps, budget, split=False)


def by_pixels(frames: Sequence[Scored], row: str, road: bool, *, share: float) -> Threshold:
    """The threshold that keeps a budget of pixels."""
    return Threshold.fit_pixels(
        [frame.map_and_regions(row)[0][frame.normal(road=road)] for frame in frames], share
    )


BUDGETS: dict[str, Fitting] = {
    "0.1 objects": partial(by_objects, budget=0.1),
    "1 object": partial(by_objects, budget=1.0),
    "1 % of pixels": partial(by_pixels, share=0.01),
}


@dataclass(frozen=True)
class Fit:
    """Where thresholds are fitted, and where they are used.

    Attributes:
        normal: The set with frames, or parts of frames, without anomalies.
        network: The segmenter.
        road: Whether only the road counts.
        measured: The sets whose objects are counted.
    """

    normal: str
    network: str
    road: bool
    measured: tuple[str, ...]


FITS = (
    *(Fit(_STATIC, name, False, ("anomaly_track_val",)) for name in NETWORKS),
    *(Fit(_STATIC, name, True, ("obstacle_track_val", "fishyscapes_lostandfound_val")) for name in NETWORKS),
    Fit(_STREET, GIVEN, False, (_PASTED,)),
)


def measure(
    frames: Sequence[Scored], thresholds: dict[str, Threshold], kind: FrameSet, draws: int
) -> Measured:
    """The object metrics of every row at its threshold."""
    fresh: dict[str, Any] = {_COUNTS: partial(ObjectMetric, kind.components), _INSTANCES: InstanceAP}
    measured = Measured(fresh, draws)
    for frame in frames:
        for row, threshold in thresholds.items():
            found = frame.objects(row, threshold)
            for name, make in fresh.items():
                metric = make()
                metric.update(found, frame.label)
                measured.add(name, row, metric.state())
    return measured


def rows(budget: str, measured: Measured, thresholds: dict[str, Threshold]) -> list[list[str]]:
    """The rows of a table with one budget."""
    lines = []
    for row, threshold in thresholds.items():
        values = measured.values(_COUNTS, row)
        expected = threshold.expected.get("false_objects_per_image")
        counts = (values.counts.found, values.counts.missed, values.counts.false)
        change = [
            "" if row == BASE else measured.change(name, BASE, row, value)
            for name, value in ((_COUNTS, "mean_f1"), (_INSTANCES, "ap"))
        ]
        lines.append(
            [
                budget,
                row,
                f"{threshold.value:.3f}",
                f"{expected.value:.2f} ({expected.low:.2f} to {expected.high:.2f})" if expected else "",
                " / ".join(f"{count / values.num_frames:.2f}" for count in counts),
                measured.text(_COUNTS, row, "siou_gt", "ppv", "mean_f1").replace("nan", "-"),
                measured.text(_INSTANCES, row, "ap", "ap50"),
                *change,
            ]
        )
    return lines


def tables(sets: dict[str, FrameSet], draws: int) -> list[str]:
    """A table for every set, segmenter and score."""
    known = {key: ScoredFrames(frames) for key, frames in sets.items()}
    head = ["budget", "row", "threshold", "expected", "found / missed / false", "sIoU / PPV / F1"]
    head += ["AP / AP50", "change of F1", "change of AP"]
    lines = []
    for fit in FITS:
        keys = [key for key in fit.measured if {key, fit.normal} <= sets.keys()]
        for score in SCORES if keys else ():
            normals = list(known[fit.normal].read(fit.network, score))
            fitted = {
                budget: {row: of_frames(normals, row, fit.road) for row in ROWS}
                for budget, of_frames in BUDGETS.items()
            }
            del normals
            for key in keys:
                frames = list(known[key].read(fit.network, score))
                where = ", on road and sidewalk" if fit.road else ""
                lines += [f"## {sets[key].title}: {fit.network}, {score}", ""]
                lines += [f"{len(frames)} frames; thresholds of {sets[fit.normal].title}{where}.", ""]
                found = []
                for budget, thresholds in fitted.items():
                    found += rows(budget, measure(frames, thresholds, sets[key], draws), thresholds)
                lines += markdown(head, found)
    return lines


def triage(sets: dict[str, FrameSet], draws: int) -> list[str]:
    """How well one score an image tells frames with objects from the same frames without them."""
    if not {_STREET, _PASTED} <= sets.keys():
        return []
    lines = []
    for score in SCORES:
        without, within = (list(ScoredFrames(sets[key]).read(GIVEN, score)) for key in (_STREET, _PASTED))
        for row in ROWS:
            threshold = by_objects(without, row, False, budget=1.0)
            low, high = (
                np.array([_of_image(frame, row, threshold) for frame in side]).T for side in (without, within)
            )
            found = [auroc(*sides, draws) for sides in zip(low, high, strict=True)]
            lines.append([score, row, *found])
    return [_TRIAGE, *markdown(["score", "row", "mean", "maximum", "objects"], lines)]


def _of_image(frame: Scored, row: str, threshold: Threshold) -> tuple[float, float, float]:
    """The mean and the maximum of its map, and the score of its objects."""
    values, _ = frame.map_and_regions(row)
    return float(values.mean()), float(values.max()), frame.objects(row, threshold).image_score


def auroc(low: NDArray[np.float64], high: NDArray[np.float64], draws: int) -> str:
    """The AUROC of the scores of normal and of anomalous images, with its interval over their pairs."""
    wins = (high[:, None] > low) + 0.5 * (high[:, None] == low)
    chosen = np.random.default_rng(0).integers(0, len(low), (draws, len(low)))
    drawn = [wins[np.ix_(places, places)].mean() for places in chosen]
    ends = np.quantile(drawn, [0.025, 0.975])
    return f"{100 * wins.mean():.1f} ({100 * ends[0]:.1f} to {100 * ends[1]:.1f})"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    options = page_parser(__doc__, draws=1000).parse_args(arguments)
    sets = open_frame_sets(Path(options.data))
    publish([_HEAD, *tables(sets, options.draws), *triage(sets, options.draws)], options.out, "objects.md")


if __name__ == "__main__":
    main()

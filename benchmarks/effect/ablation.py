"""What each part of the training adds: docs/results/ablation.md.

    OMP_NUM_THREADS=1 python -m benchmarks.effect.ablation --data DATA --work WORK --out docs/results

DATA holds `camvid`, `bsds500`, `pasted` and `teacher` as the examples describe them. Each setting is a recipe
in WORK, trained from the same start with the same seed and number of steps. Interrupted trainings are
resumed, finished ones are not repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.effect.frames.scored import Frame, read_frames
from benchmarks.effect.frames.true_regions import (
    QUALITY,
    SEEN,
    VOID,
    Partitions,
    add_photographs,
    add_street,
    camvid_val,
)
from benchmarks.effect.networks.trainings import images_per_second
from benchmarks.effect.page.command import frame_slice, page_parser, publish
from benchmarks.effect.page.measured import Measured, markdown
from benchmarks.effect.page.pooled import state_of
from benchmarks.effect.rows.ablation import Setting, ablation_settings
from csl_plugin import RegionMap, fuse, load_proposer, soft_assignment
from csl_plugin.datasets import open_dataset
from csl_plugin.metrics import PooledAnomaly, RegionQuality
from csl_plugin.models import CSLNetwork
from csl_plugin.proposers import NetworkProposals, NetworkRegions
from csl_plugin.proposers.hierarchy.scales import AUTO
from examples.ood_scores import ood_scores

_BASE, _SOFT = "no regions", "eq. 2"
_LEARNED, _BOTH = "learned boundaries", "eq. 2 along boundaries"
_UNTRAINED, _SUPERPIXELS = "no network", "superpixels"
_SCALE = 10.0
_SCORES = ("energy", "sml")
_EFFECT = ("pasted energy", "pasted sml", "CamVid energy", "CamVid sml")
_HEAD = """\
# What each part of the training adds

Written by `python -m benchmarks.effect.ablation`; do not edit.

Every row is a network trained from the same random start with the same seed for {steps} steps, with batches
of 8 crops of 192x256 unless the row says otherwise. The rows down to "all" add one part each to the row
above; those below remove one part from "all", or change it. All networks have point queries and a boundary
head except where the row says so.

There are three kinds of regions. "eq. 2" is the arg max of the queries' R·V. "learned boundaries" are merged
along the edges of the boundary head at scale {scale:g}, without the queries. "eq. 2 along boundaries" is the
shipped method: of all regions that the boundaries enclose, eq. 2 takes those that agree best with the
queries' proposals. Superpixels are merged in the same way along the edges of the image.
"""
_EFFECT_HEAD = """\
## Effect on a teacher's scores

AP / FPR95 in per cent after eq. 3, on frames {frames} of the pasted objects and of CamVid val (people and
cyclists unseen). Below: the 95 % interval of the change against no regions, by bootstrap over frames.
"""
_QUALITY_HEAD = """\
## Quality of the regions

Per cent. Best IoU: the mean, over true regions, of the best intersection over union with a region of the
partition; covering weights them by their pixels. BSDS500: the first {photographs} validation photographs, all
annotators. CamVid val, frames {frames}: components of at least 60 pixels, of the classes in the training
labels ("seen") and of people and cyclists ("unseen"), void excluded. Speed: training images per second of
processor time on one thread, data loading included, measured in turns; other machines have other speeds.
"""
_STEPS_HEAD = """\
## Change by each part

The 95 % interval of the change against the row named in "against", in points: AP of the scores after eq. 3
with the same kind of regions, and best IoU.
"""
_LIMITS = """\
## Limits

The intervals are over the choice of frames. There is one seed and one short training per row, so a difference
may be due to the seed: rely on changes that are large and consistent over the columns of a row. Trainings
this short favor what is learned quickly; the bundled weights were trained more than ten times as long. The
pasted frames resemble the pasted training scenes; BSDS500 and the people of CamVid do not. Rows with fewer
parts see every picture of those parts more often.
"""


def region_maps(network: CSLNetwork, image: torch.Tensor) -> dict[str, RegionMap]:
    """The partitions (1, H, W) that a network gives of an image, by kind."""
    size = image.shape[2], image.shape[3]
    found = {_SOFT: soft_assignment(NetworkProposals(network)(image)[0], size)}
    if network.config.boundary:
        found[_LEARNED], found[_BOTH] = NetworkRegions(network).at_scales(image, (_SCALE, AUTO))
    return found


def fused_scores(scores: NDArray[np.float32], regions: RegionMap | None) -> NDArray[np.float32]:
    """The scores after eq. 3, unchanged without regions."""
    return scores if regions is None else fuse(scores, regions, rule="product", split=False)


def partitions_of(settings: Sequence[Setting], networks: Sequence[CSLNetwork]) -> Partitions:
    """All partitions of an image, by row and kind."""
    superpixels = load_proposer(_SUPERPIXELS)

    def partitions(image: torch.Tensor) -> dict[str, RegionMap]:
        found = {_method(_UNTRAINED, _SUPERPIXELS): superpixels(image)[0]}
        for setting, network in zip(settings, networks, strict=True):
            maps = region_maps(network, image)
            found |= {_method(setting.row, kind): regions for kind, regions in maps.items()}
        return found

    return partitions


def measure(partitions: Partitions, data: Path, part: slice, count: int, draws: int) -> Measured:
    """Everything that the tables hold."""
    metrics = dict.fromkeys(_EFFECT, PooledAnomaly) | dict.fromkeys(QUALITY, RegionQuality)
    measured = Measured(metrics, draws)
    teacher = data / "teacher"
    every = ood_scores(teacher / "statistics.json")
    read = partial(read_frames, scores={score: every[score] for score in _SCORES}, part=part)

    def add_effect(
        place: str, frame: Frame, maps: Mapping[str, RegionMap], anomaly: NDArray[np.uint8]
    ) -> None:
        for score in _SCORES:
            for method, regions in {_BASE: None, **maps}.items():
                fused = fused_scores(frame.scores[score], regions)
                measured.add(f"{place} {score}", method, state_of(fused, anomaly))

    for frame in read(open_dataset("folder", data / "pasted"), teacher / "pasted"):
        add_effect("pasted", frame, partitions(frame.image), frame.label)
    for frame in read(camvid_val(data), teacher / "camvid_val"):
        maps, unseen = partitions(frame.image), (frame.label >= len(SEEN)).astype(np.uint8)
        add_effect("CamVid", frame, maps, np.where(frame.label == VOID, np.uint8(VOID), unseen))
        add_street(measured, maps, frame.label)
    add_photographs(measured, partitions, data, slice(count))
    return measured


def _method(row: str, kind: str) -> str:
    return f"{row}, {kind}"


def kinds_of(setting: Setting) -> list[str]:
    """The kinds of regions that a row has."""
    return [_SOFT, _LEARNED, _BOTH] if setting.training.has_boundary_head else [_SOFT]


def effect_table(settings: Sequence[Setting], measured: Measured) -> list[str]:
    """AP and FPR95, with intervals of the change against no regions."""
    rows = [
        [_UNTRAINED, "none", *(measured.text(measurement, _BASE, "ap", "fpr95") for measurement in _EFFECT)]
    ]
    for row, kind in _all_rows(settings):
        name = _method(row, kind)
        cells = [
            f"{measured.text(measurement, name, 'ap', 'fpr95')}<br>"
            + measured.change(measurement, _BASE, name, "ap", "fpr95")
            for measurement in _EFFECT
        ]
        rows.append([row, kind, *cells])
    return markdown(["trained on", "regions", *_EFFECT], rows)


def quality_table(
    settings: Sequence[Setting], measured: Measured, images_per_second: Mapping[str, float]
) -> list[str]:
    """Best IoU and covering, and the speed of training."""
    speeds = {setting.row: f"{images_per_second[setting.training.name]:.1f}" for setting in settings}
    rows = []
    for row, kind in _all_rows(settings):
        cells = [
            measured.text(measurement, _method(row, kind), "best_iou", "covering") for measurement in QUALITY
        ]
        rows.append([row, kind, *cells, speeds.get(row, "") if kind == _SOFT else ""])
    columns = [f"{name}: best IoU / covering" for name in ("BSDS500 val", "CamVid seen", "CamVid unseen")]
    return markdown(["trained on", "regions", *columns, "images/s"], rows)


def steps_table(settings: Sequence[Setting], measured: Measured) -> list[str]:
    """The change of each row against the row in "against"."""
    rows = []
    for setting in settings:
        if setting.against is None:
            continue
        for kind in kinds_of(setting):
            pair = _method(setting.against, kind), _method(setting.row, kind)
            cells = [measured.change(measurement, *pair, "ap") for measurement in _EFFECT]
            cells += [
                measured.change(measurement, *pair, "best_iou") for measurement in ("bsds500", "unseen")
            ]
            rows.append([setting.row, setting.against, kind, *cells])
    return markdown(["row", "against", "regions", *_EFFECT, "BSDS500 best IoU", "unseen best IoU"], rows)


def _all_rows(settings: Sequence[Setting]) -> list[tuple[str, str]]:
    trained = [(setting.row, kind) for setting in settings for kind in kinds_of(setting)]
    return [(_UNTRAINED, _SUPERPIXELS), *trained]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = page_parser(__doc__, work=Path, steps=600, frames="1::2", draws=1000)
    parser.add_argument("--finished", action="store_true", help="only the rows that WORK holds; train none")
    parser.add_argument("--photographs", type=int, default=50, help="of BSDS500 val (%(default)s)")
    options = parser.parse_args(arguments)
    part = frame_slice(options.frames)
    settings, missing = ablation_settings(options.steps), []
    if options.finished:
        missing = [setting.row for setting in settings if not setting.training.is_finished(options.work)]
        settings = [setting for setting in settings if setting.row not in missing]
    networks = [setting.training.network(options.data, options.work) for setting in settings]
    speeds = images_per_second([setting.training for setting in settings], options.data)
    partitions = partitions_of(settings, networks)
    measured = measure(partitions, options.data, part, options.photographs, options.draws)
    lines = [
        _HEAD.format(steps=options.steps, scale=_SCALE),
        *([f"Not trained yet: {'; '.join(missing)}.", ""] if missing else []),
        _EFFECT_HEAD.format(frames=options.frames),
        *effect_table(settings, measured),
        _QUALITY_HEAD.format(photographs=options.photographs, frames=options.frames),
        *quality_table(settings, measured, speeds),
        _STEPS_HEAD,
        *steps_table(settings, measured),
        _LIMITS,
    ]
    publish(lines, options.out, "ablation.md")


if __name__ == "__main__":
    main()

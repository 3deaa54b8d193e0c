"""What made the difference in training: docs/results/ablation.md.

    OMP_NUM_THREADS=1 python -m benchmarks.effect.ablation --data DATA --work WORK --out docs/results

DATA holds `camvid`, `bsds500`, `pasted` and `teacher` as the examples describe them. Each setting is a recipe
in WORK, trained from the same start with the same seed and number of steps; trainings that were stopped go
on, finished ones are not repeated.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.effect.ablation_settings import Setting, ablation_settings
from benchmarks.effect.anomaly import Frame, read_frames
from benchmarks.effect.page import frame_slice, publish
from benchmarks.effect.paired import Measured, markdown
from benchmarks.effect.region_frames import (
    SEEN,
    VOID,
    camvid_val,
    photograph_state,
    photographs,
    street_states,
)
from benchmarks.effect.trainings import images_per_second
from csl_plugin import RegionMap, fuse, load_proposer, soft_assignment
from csl_plugin.datasets import open_dataset
from csl_plugin.metrics import PooledAnomaly, RegionQuality
from csl_plugin.metrics.metric import State
from csl_plugin.models import CSLNetwork
from csl_plugin.proposers import NetworkProposals, NetworkRegions
from csl_plugin.proposers.hierarchy.scales import AUTO
from examples.ood_scores import ood_scores

_BASE, _SOFT = "no regions", "eq. 2"
_LEARNED, _BOTH = "learned boundaries", "eq. 2 along boundaries"
_UNTRAINED, _SUPERPIXELS = "no network", "superpixels"
_SCALE = 10.0
_SCORES = ("energy", "sml")
_EFFECT = ["pasted energy", "pasted sml", "CamVid energy", "CamVid sml"]
_QUALITY = ["bsds500", "seen", "unseen"]
_HEAD = """\
# What made the difference

Written by `python -m benchmarks.effect.ablation`; do not edit.
Every row is a network trained alone, from a random
start with the same seed, {steps} steps: batches of 8 crops of 192x256 unless the row says otherwise. The rows
down to "all" add one thing each to the row above; those below take one thing away from "all", or change it.
All networks have point queries and a boundary head except where the row says so.

Three kinds of regions. "eq. 2" is the arg max of the queries' R and V. "learned boundaries" are gathered
along the boundary head's, at scale {scale:g}, and do not use the queries. "eq. 2 along boundaries" is what
ships: of all that the boundaries enclose, eq. 2 takes what agrees best with the queries' proposals. The
superpixels are gathered in the same way from the image alone.
"""
_EFFECT_HEAD = """\
## Effect on a teacher's scores

AP / FPR95 in per cent after eq. 3, on frames {frames} of the pasted objects and of CamVid val (people and
cyclists unseen); below, the 95 % interval of the change against no regions, by bootstrap over frames.
"""
_QUALITY_HEAD = """\
## Quality of the regions

Per cent. Best IoU: the mean, over true regions, of the best intersection over union with a region of the
partition; covering weighs them by their pixels. BSDS500: the first {photographs} validation photographs, all
annotators. CamVid val, frames {frames}: components of at least 60 pixels, of the classes that are trained on
("seen") and of people and cyclists ("unseen"), void taken out. Speed: training images per second of processor
time on one thread, drawing the batches included, measured in turns; another machine has other speeds.
"""
_STEPS_HEAD = """\
## What each step changed

The 95 % interval of the change against the row that it builds on, in points: AP of the scores after eq. 3
with the same kind of regions, and best IoU.
"""
_LIMITS = """\
## What this can and cannot show

The intervals are over the choice of frames. There is one seed and one short training per row, so a difference
may also be the luck of a run: believe a change that is large, and that the columns of a row agree on.
Trainings this short favor what is learned quickly; the bundled weights were trained more than ten times as
long. The pasted frames resemble what pasting trains on; BSDS500 and the people of CamVid do not. Rows with
fewer parts see every picture of the parts that they have more often.
"""


def region_maps(network: CSLNetwork, image: torch.Tensor) -> dict[str, RegionMap]:
    """The partitions (1, H, W) that a network gives of an image, by kind."""
    size = image.shape[2], image.shape[3]
    found = {_SOFT: soft_assignment(NetworkProposals(network)(image)[0], size)}
    if network.config.boundary:
        found[_LEARNED], found[_BOTH] = NetworkRegions(network).at_scales(image, (_SCALE, AUTO))
    return found


def fused_state(scores: NDArray[np.float32], regions: RegionMap | None, label: NDArray[np.uint8]) -> State:
    """One frame's scores after eq. 3, or as they are, measured."""
    metric = PooledAnomaly()
    metric.update(scores if regions is None else fuse(scores, regions, split=False), label)
    return metric.state()


def makers_of(
    settings: Sequence[Setting], networks: Sequence[CSLNetwork]
) -> dict[str, Callable[[torch.Tensor], dict[str, RegionMap]]]:
    """What makes the partitions of every row."""
    superpixels = load_proposer(_SUPERPIXELS)
    found: dict[str, Any] = {_UNTRAINED: lambda image: {_SUPERPIXELS: superpixels(image)[0]}}
    for setting, network in zip(settings, networks, strict=True):
        found[setting.row] = partial(region_maps, network)
    return found


def measure(
    makers: Mapping[str, Callable[[torch.Tensor], dict[str, RegionMap]]],
    data: Path,
    part: slice,
    count: int,
    draws: int,
) -> Measured:
    """Everything that the tables are made of."""
    metrics = dict.fromkeys(_EFFECT, PooledAnomaly) | dict.fromkeys(_QUALITY, RegionQuality)
    measured = Measured(metrics, draws)
    teacher = data / "teacher"
    every = ood_scores(teacher / "statistics.json")
    read = partial(read_frames, scores={score: every[score] for score in _SCORES}, part=part)

    def effect(place: str, frame: Frame, anomaly: NDArray[np.uint8]) -> None:
        for score in _SCORES:
            measured.add(f"{place} {score}", _BASE, fused_state(frame.scores[score], None, anomaly))
        for row, maker in makers.items():
            for kind, regions in maker(frame.image).items():
                for score in _SCORES:
                    state = fused_state(frame.scores[score], regions, anomaly)
                    measured.add(f"{place} {score}", f"{row}, {kind}", state)
                if place == "CamVid":
                    for group, found in street_states(regions, frame.label).items():
                        measured.add(group, f"{row}, {kind}", found)

    for frame in read(open_dataset("folder", data / "pasted"), teacher / "pasted"):
        effect("pasted", frame, frame.label)
    for frame in read(camvid_val(data), teacher / "camvid_val"):
        unseen = (frame.label >= len(SEEN)).astype(np.uint8)
        effect("CamVid", frame, np.where(frame.label == VOID, np.uint8(VOID), unseen))
    for photograph in photographs(data, slice(count)):
        for row, maker in makers.items():
            for kind, regions in maker(photograph.image).items():
                measured.add("bsds500", f"{row}, {kind}", photograph_state(regions, photograph))
    return measured


def methods_of(setting: Setting) -> list[str]:
    """The kinds of regions that a row has."""
    return [_SOFT, _LEARNED, _BOTH] if setting.training.has_boundary_head else [_SOFT]


def effect_table(settings: Sequence[Setting], measured: Measured) -> list[str]:
    """AP and FPR95 with intervals against no regions."""
    rows = [[_UNTRAINED, "none", *(measured.text(figure, _BASE, "ap", "fpr95") for figure in _EFFECT)]]
    for row, kind in _all_rows(settings):
        name = f"{row}, {kind}"
        cells = [
            f"{measured.text(figure, name, 'ap', 'fpr95')}<br>"
            + measured.change(figure, _BASE, name, "ap", "fpr95")
            for figure in _EFFECT
        ]
        rows.append([row, kind, *cells])
    return markdown(["trained on", "regions", *_EFFECT], rows)


def quality_table(
    settings: Sequence[Setting], measured: Measured, images_per_second: Mapping[str, float]
) -> list[str]:
    """Best IoU and covering, and how fast training is."""
    speeds = {setting.row: f"{images_per_second[setting.training.name]:.1f}" for setting in settings}
    rows = []
    for row, kind in _all_rows(settings):
        cells = [measured.text(figure, f"{row}, {kind}", "best_iou", "covering") for figure in _QUALITY]
        rows.append([row, kind, *cells, speeds.get(row, "") if kind == _SOFT else ""])
    columns = [f"{name}: best IoU / covering" for name in ("BSDS500 val", "CamVid seen", "CamVid unseen")]
    return markdown(["trained on", "regions", *columns, "images/s"], rows)


def steps_table(settings: Sequence[Setting], measured: Measured) -> list[str]:
    """The change against the row that a row builds on."""
    rows = []
    for setting in settings:
        if setting.against is None:
            continue
        for kind in methods_of(setting):
            pair = f"{setting.against}, {kind}", f"{setting.row}, {kind}"
            cells = [measured.change(figure, *pair, "ap") for figure in _EFFECT]
            cells += [measured.change(figure, *pair, "best_iou") for figure in ("bsds500", "unseen")]
            rows.append([setting.row, setting.against, kind, *cells])
    return markdown(["row", "against", "regions", *_EFFECT, "BSDS500 best IoU", "unseen best IoU"], rows)


def _all_rows(settings: Sequence[Setting]) -> list[tuple[str, str]]:
    trained = [(setting.row, kind) for setting in settings for kind in methods_of(setting)]
    return [(_UNTRAINED, _SUPERPIXELS), *trained]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder of the trainings")
    parser.add_argument("--out", type=Path, help="folder of the page; left out, it is printed alone")
    parser.add_argument("--steps", type=int, default=600, help="of each training")
    parser.add_argument("--finished", action="store_true", help="only the rows that WORK holds; train none")
    parser.add_argument("--frames", default="1::2", help="a slice of the street frames")
    parser.add_argument("--photographs", type=int, default=50, help="of BSDS500 val")
    parser.add_argument("--draws", type=int, default=1000)
    options = parser.parse_args()
    part = frame_slice(options.frames)
    settings, missing = ablation_settings(options.steps), []
    if options.finished:
        missing = [setting.row for setting in settings if not setting.training.is_finished(options.work)]
        settings = [setting for setting in settings if setting.row not in missing]
    networks = [setting.training.network(options.data, options.work) for setting in settings]
    speeds = images_per_second([setting.training for setting in settings], options.data)
    makers = makers_of(settings, networks)
    measured = measure(makers, options.data, part, options.photographs, options.draws)
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

"""mIoU of the classes in the training labels, before and after fusion: docs/results/semantic.md.

    python -m benchmarks.effect.semantic --data DATA --frames 1::2 --out docs/results

DATA holds `camvid` and `teacher/camvid_val` with the logits of a segmenter; with `segmenter`, the output of
`examples/train_segmenter.py`, that segmenter too. IoU over CamVid's nine seen classes, of the arg max of the
segmenter and of the arg max after fusion.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from benchmarks.effect.networks.bundled import bundled_network
from benchmarks.effect.networks.teachers import StoredLogits, Teacher, TrainedLogits
from benchmarks.effect.page.command import frame_slice, page_parser, publish
from benchmarks.effect.page.measured import Measured, markdown
from csl_plugin import RegionMap, fuse_labels, load_proposer, soft_assignment, split_components
from csl_plugin.datasets import Dataset, open_dataset
from csl_plugin.io import image_batch, read_label_png
from csl_plugin.metrics import SemanticMetric
from csl_plugin.proposers import DEFAULT as BOTH
from csl_plugin.proposers import NetworkProposals
from csl_plugin.proposers.base import Partition, as_partitions
from examples.train_segmenter import CLASSES, seen

BASE, DEFAULT = "base", "csl-tiny"
EQ2, EQ2_SPLIT, TRUE = "csl-tiny, eq. 2", "csl-tiny, eq. 2, split", "true regions"
_PROPOSERS = {DEFAULT: "csl-tiny", "superpixels 150": "superpixels:150", "superpixels 40": "superpixels:40"}
REGIONS = (*_PROPOSERS, EQ2, EQ2_SPLIT, TRUE)
SEVERAL = (BOTH, "superpixels:150,40")
_ADAPTIVE, _AVERAGE, _MEAN = ", adaptive", ", average of region means", ", region mean"
_IOU = "iou"
_HEAD = """\
# Classes in the training labels

Written by `python -m benchmarks.effect.semantic`; do not edit.

IoU in per cent of CamVid's nine seen classes on frames {frames} of its val split ({count} frames; people,
cyclists and void are void), of the arg max before and after fusion of the whole distribution, C = 9. Rows of
one partition are of eq. 3, region mean times pixel, unless they name another rule; "adaptive" is the default
of `fuse`. The square root of eq. 3 (rule "geometric") has the same arg max, which is checked on every frame,
and no rows. Intervals: 95 % of the change of the mean IoU against the base, by bootstrap over
frames. True regions are the connected components of the labels: the upper limit, with perfect regions.

Regions are those of `NetworkRegions` with `csl-tiny` unless a row names others; "eq. 2" is the soft
assignment of its region scores.
"""


@dataclass(frozen=True)
class Case:
    """The logits of one frame, its label and its partitions."""

    logits: Tensor
    label: NDArray[np.uint8]
    regions: dict[str, RegionMap]
    several: dict[str, tuple[RegionMap, ...]] = field(default_factory=dict)


def cases(dataset: Dataset, labels: Path, teacher: Teacher, part: slice) -> Iterator[Case]:
    """The frames of a data set with their regions."""
    known = {name: load_proposer(source) for name, source in _PROPOSERS.items()}
    joined = {name: load_proposer(name) for name in SEVERAL}
    eq2 = NetworkProposals(bundled_network(DEFAULT))
    for frame in tqdm(dataset.frames[part], desc=dataset.output_name, unit="frame", disable=None):
        image, stored = image_batch(dataset.read_image(frame)), read_label_png(labels / f"{frame.name}.png")
        regions = {name: _maps(proposer(image))[0] for name, proposer in known.items()}
        soft = soft_assignment(eq2(image)[0], (stored.shape[0], stored.shape[1]))
        true = RegionMap(torch.from_numpy(stored.astype(np.int32))[None])
        regions |= {EQ2: soft, EQ2_SPLIT: split_components(soft), TRUE: split_components(true)}
        several = {name: _maps(proposer(image)) for name, proposer in joined.items()}
        yield Case(teacher(image, frame.name), seen(stored), regions, several)


def measure(found: Iterator[Case], draws: int) -> Measured:
    """The class metrics of every method."""
    fresh = partial(SemanticMetric, len(CLASSES))
    measured = Measured({_IOU: fresh}, draws)
    for case in found:
        for row, predicted in labels_by_method(case).items():
            metric = fresh()
            metric.update(predicted, case.label)
            measured.add(_IOU, row, metric.state())
    return measured


def labels_by_method(case: Case) -> dict[str, Tensor]:
    """The labels (H, W) of each method.

    Raises:
        AssertionError: The labels of the geometric rule differ from those of eq. 3.
    """
    size = case.label.shape
    full = F.interpolate(case.logits[None], size, mode="bilinear", align_corners=False)[0]
    labeled = {BASE: full.argmax(0)}
    for name, regions in case.regions.items():
        fused = partial(fuse_labels, case.logits, regions, split=False, size=(size[0], size[1]), logits=True)
        labeled[name] = fused(rule="product")
        labeled[name + _MEAN] = fused(rule="mean")
        labeled[name + _ADAPTIVE] = fused(rule="adaptive")
        if not torch.equal(fused(rule="geometric"), labeled[name]):
            raise AssertionError(name)
    for name, maps in case.several.items():
        for suffix, rule in ((_ADAPTIVE, "adaptive"), (_AVERAGE, "mean")):
            labeled[name + suffix] = fuse_labels(
                case.logits, maps, rule=rule, split=False, size=(size[0], size[1]), logits=True
            )
    return labeled


def tables(measured: Measured) -> list[str]:
    """The mean IoU of every method, and the IoU of every class before and after."""
    rows = [BASE, *(name + rule for name in REGIONS for rule in ("", _MEAN, _ADAPTIVE))]
    rows += [name + rule for name in SEVERAL for rule in (_ADAPTIVE, _AVERAGE)]
    lines = markdown(
        ["regions", "mIoU", "change", "pixel accuracy"],
        [
            [
                row,
                measured.text(_IOU, row, "miou"),
                "" if row == BASE else measured.change(_IOU, BASE, row, "miou"),
                measured.text(_IOU, row, "pacc"),
            ]
            for row in rows
        ],
    )
    shown = (BASE, DEFAULT, DEFAULT + _MEAN, DEFAULT + _ADAPTIVE, BOTH + _ADAPTIVE, TRUE)
    of_class = [measured.values(_IOU, row).per_class for row in shown]
    lines += markdown(
        ["class", *shown],
        [[name, *(f"{100 * iou[index]:.1f}" for iou in of_class)] for index, name in enumerate(CLASSES)],
    )
    change = 100 * (of_class[1] - of_class[0])
    order = [f"{CLASSES[index]} {change[index]:+.1f}" for index in np.argsort(-change)]
    return [
        *lines,
        f"By eq. 3 with the regions of {DEFAULT}, largest gain first: {', '.join(order)}.",
        "",
    ]


def _maps(regions: Partition | tuple[Partition, ...]) -> tuple[RegionMap, ...]:
    partitions = as_partitions(regions)
    assert all(isinstance(each, RegionMap) for each in partitions)  # noqa: S101
    return partitions  # type: ignore[return-value]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    options = page_parser(__doc__, frames=":", draws=1000).parse_args(arguments)
    part = frame_slice(options.frames)
    dataset = open_dataset("folder", options.data / "camvid", subset="val")
    lines = [_HEAD.format(frames=options.frames, count=len(dataset.frames[part]))]
    given, trained = options.data / "teacher", options.data / "segmenter"
    teachers: dict[str, Teacher] = {
        "The segmenter whose logits are given": StoredLogits(given / "camvid_val", given / "statistics.json")
    }
    if trained.is_dir():
        teachers["The segmenter of examples/train_segmenter.py"] = TrainedLogits(trained)
    for title, teacher in teachers.items():
        found = cases(dataset, options.data / "camvid" / "labels" / "val", teacher, part)
        lines += [f"## {title}", "", *tables(measure(found, options.draws))]
    publish(lines, options.out, "semantic.md")


if __name__ == "__main__":
    main()

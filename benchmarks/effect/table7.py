"""Class-agnostic training and soft assignment, the paper's Table 7 in miniature: docs/results/table7.md.

    OMP_NUM_THREADS=1 python -m benchmarks.effect.table7 --data DATA --work WORK --out docs/results

DATA holds `camvid` and `bsds500`. Two networks are trained alike in WORK on CamVid train, with pedestrians
and cyclists unseen: one whose queries have classes, on class masks (None-CA), and one without classes, on
mask-split regions, followed by hard or soft assignment (CA+HA, CA+SA). Interrupted trainings are resumed,
finished ones are not repeated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.effect.frames.true_regions import (
    CLASSES,
    QUALITY,
    SEEN,
    UNSEEN,
    Partitions,
    add_photographs,
    add_street,
    camvid_val,
)
from benchmarks.effect.networks.bundled import recipe_of
from benchmarks.effect.networks.trainings import Training
from benchmarks.effect.page.command import frame_slice, page_parser, publish
from benchmarks.effect.page.measured import Measured, markdown
from csl_plugin import RegionMap, hard_assignment, soft_assignment
from csl_plugin.io import image_batch
from csl_plugin.metrics import RegionQuality, RegionVoteMetric
from csl_plugin.models import CSLNetwork
from csl_plugin.proposers import NetworkProposals

_HEAD = """\
# Class-agnostic training and soft assignment

Written by `python -m benchmarks.effect.table7`; do not edit.

The paper's Table 7 in miniature. Two networks of the same size are trained from the same random start with
the same seed on the same crops of CamVid train, {steps} steps each. People, cyclists and void count in no
loss, and nothing is pasted.

- None-CA: each query predicts one of the {classes} seen classes or none. Targets are class masks, not split
  (at most one region per class and crop); the matching cost and the loss hold the probability of the class.
  V is the largest class probability; soft assignment, as in the paper's Figure 3.
- CA+HA, CA+SA: one network without classes, trained on mask-split regions, followed by hard or soft
  assignment.

Measured on {frames} of CamVid val and of BSDS500 val; neither was used for any choice. Majority vote: every
region takes its most frequent class (void does not vote, a pixel in no region is a miss), then mIoU over all
eleven classes, the nine seen and the two unseen ones. Best IoU and covering as in [ablation.md](ablation.md).
Per cent; the 95 % intervals of the differences are by bootstrap over frames.
"""
_LIMITS = """\
The paper trains on Cityscapes and tests on COCO-Stuff; here a network of 3 million parameters is trained on
367 street frames for less than an hour, from a random start, and the unseen are two classes of the same
streets. The intervals are over the choice of frames, not over trainings: with one seed each, None-CA against
CA compares two trainings, while CA+HA against CA+SA compares two readings of one network. Mask split and
classes change together here, as in the paper. Mask split asks for about three times as many regions as there
are classes in a crop, which is harder to learn, so a short training favors None-CA; a majority vote favors
methods with more regions.
"""

METHODS = ("None-CA", "CA+HA", "CA+SA")
PAPER = {
    "miou": (45.99, 49.17, 51.34),
    "miou_seen": (68.44, 76.35, 77.20),
    "miou_unseen": (43.83, 46.56, 48.85),
}
_MEANS = ("regions per street frame", "street pixels in no region")
_VOTE = {"miou": "mIoU", "miou_seen": "seen mIoU", "miou_unseen": "unseen mIoU"}
_OVERLAPS = {
    ("seen", "best_iou"): "CamVid seen, best IoU",
    ("seen", "covering"): "CamVid seen, covering",
    ("unseen", "best_iou"): "CamVid unseen, best IoU",
    ("unseen", "covering"): "CamVid unseen, covering",
    ("bsds500", "best_iou"): "BSDS500 val, best IoU",
    ("bsds500", "covering"): "BSDS500 val, covering",
}


def class_aware_and_agnostic(steps: int) -> tuple[Training, Training]:
    """The two trainings, which differ in classes and mask split only.

    Args:
        steps: Of each.
    """
    bundled = json.loads(recipe_of().read_text(encoding="utf-8"))
    shared = {
        "settings": {"steps": steps, "save_every": 150},
        "cropping": bundled["cropping"],
        "sources": {"camvid": bundled["sources"]["camvid"]},
        "parts": [{"source": "camvid"}],
    }
    aware = {**shared, "network": {"region_classes": len(SEEN)}, "split": False}
    return Training("class-aware", aware), Training("class-agnostic", {**shared, "network": {}})


def region_maps(aware: CSLNetwork, agnostic: CSLNetwork, image: torch.Tensor) -> dict[str, RegionMap]:
    """The partition (1, H, W) of each method."""
    size = image.shape[2], image.shape[3]
    (proposals,) = NetworkProposals(agnostic)(image)
    maps = (
        soft_assignment(NetworkProposals(aware)(image)[0], size),
        hard_assignment(proposals, size),
        soft_assignment(proposals, size),
    )
    return dict(zip(METHODS, maps, strict=True))


def measure(
    aware: CSLNetwork, agnostic: CSLNetwork, data: Path, part: slice, draws: int
) -> tuple[Measured, dict[str, dict[str, float]]]:
    """Majority vote, covering and best IoU of all methods on all frames; means over street frames."""
    vote = partial(RegionVoteMetric, len(CLASSES), unseen=UNSEEN)
    metrics: Mapping[str, Any] = {"vote": vote, **dict.fromkeys(QUALITY, RegionQuality)}
    measured = Measured(metrics, draws)
    partitions: Partitions = partial(region_maps, aware, agnostic)
    found: dict[str, dict[str, list[float]]] = {name: {method: [] for method in METHODS} for name in _MEANS}
    streets = camvid_val(data)
    for frame in tqdm(streets.frames[part], desc="camvid", unit="frame", disable=None):
        label, maps = streets.read_label(frame), partitions(image_batch(streets.read_image(frame)))
        for method, regions in maps.items():
            metric = vote()
            metric.update(regions.labels[0], label)
            measured.add("vote", method, metric.state())
            assigned = regions.labels.numpy() >= 0
            found[_MEANS[0]][method].append(len(np.unique(regions.labels.numpy()[assigned])))
            found[_MEANS[1]][method].append(100 * (1 - float(assigned.mean())))
        add_street(measured, maps, label)
    add_photographs(measured, partitions, data, part)
    means = {
        name: {method: float(np.mean(values[method])) for method in METHODS} for name, values in found.items()
    }
    return measured, means


def metrics_table(measured: Measured, means: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The metrics of each method with the paper's values, and the intervals of the differences."""
    rows = []
    pairs = list(combinations(METHODS, 2))
    for (measurement, name), title in {
        **{("vote", key): text for key, text in _VOTE.items()},
        **_OVERLAPS,
    }.items():
        cells = [measured.text(measurement, method, name) for method in METHODS]
        cells += [measured.change(measurement, one, other, name) for one, other in pairs]
        published = " / ".join(f"{value:.1f}" for value in PAPER[name]) if measurement == "vote" else ""
        rows.append([title, *cells, published])
    for name, values in means.items():
        rows.append([name, *(f"{values[method]:.1f}" for method in METHODS), *[""] * (len(pairs) + 1)])
    changes = [f"{other} minus {one}" for one, other in pairs]
    return markdown(["", *METHODS, *changes, "paper: " + " / ".join(METHODS)], rows)


def verdict(measured: Measured) -> list[str]:
    """The order of the methods by each metric of the paper."""
    lines, pairs = [], list(combinations(METHODS, 2))
    for name, title in _VOTE.items():
        values = [getattr(measured.values("vote", method), name) for method in METHODS]
        ranked = sorted(zip(values, METHODS, strict=True), key=lambda pair: pair[0])
        rises = all(before < after for before, after in pairwise(values))
        agreement = "the paper's order" if rises else "not the paper's order"
        compared = [f"{after} {_placed(measured, name, before, after)} {before}" for before, after in pairs]
        order = " <= ".join(method for _, method in ranked)
        lines.append(f"- {title}: {order}, {agreement}. By their intervals, {', '.join(compared)}.")
    return lines


def _placed(measured: Measured, name: str, before: str, after: str) -> str:
    interval = measured.intervals("vote", before, after)[name]
    if interval.low > 0:
        return "is above"
    return "is below" if interval.high < 0 else "does not differ from"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    options = page_parser(__doc__, work=Path, steps=5000, frames=":", draws=1000).parse_args(arguments)
    part = frame_slice(options.frames)
    trainings = class_aware_and_agnostic(options.steps)
    aware, agnostic = (training.network(options.data, options.work) for training in trainings)
    measured, means = measure(aware, agnostic, options.data, part, options.draws)
    lines = [
        _HEAD.format(
            steps=options.steps,
            classes=len(SEEN),
            frames="all frames" if options.frames == ":" else f"frames {options.frames}",
        ),
        *metrics_table(measured, means),
        "By majority vote:",
        "",
        *verdict(measured),
        "",
        _LIMITS,
    ]
    publish(lines, options.out, "table7.md")


if __name__ == "__main__":
    main()

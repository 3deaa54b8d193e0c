"""What regions do to a teacher's scores: docs/results.md.

    python -m benchmarks.effect --data DATA --frames 1::2 --out docs
    python -m benchmarks.effect --data DATA --frames 1::2 --out docs --network csl-tiny-strict

DATA holds `pasted`, `camvid` and `teacher` as the examples describe them. Every score of the teacher is fused
with every kind of regions, and measured exactly over the pooled pixels of each set; intervals by bootstrap
over frames.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from tqdm import tqdm

import csl_plugin
from csl_plugin import RegionMap, fuse, hard_assignment, load_proposer, soft_assignment, split_components
from csl_plugin.datasets import Dataset, open_dataset
from csl_plugin.metrics import PooledAnomaly, bootstrap_difference
from csl_plugin.models import CSLNetwork
from csl_plugin.proposers.network_regions import NetworkProposals, NetworkRegions
from examples.ood_scores import ood_scores

Scores = dict[str, NDArray[np.float32]]
_BUNDLED = ("csl-tiny", "csl-tiny-strict", "csl-tiny-open")
_WEIGHTS = Path(csl_plugin.__file__).parent / "weights"
_BLUR = 6.0
_UNSEEN = {"anomaly": [9, 10], "void": [11]}
_TITLES = {
    "pasted": "Objects pasted into street frames",
    "camvid_val": "CamVid val, people and cyclists unseen",
}
_HEAD = """\
# Results

Written by `python -m benchmarks.effect`; do not edit. What regions do to the scores of a small segmenter
that never saw what is looked for (`examples/pasted_objects.py`, `examples/camvid_unseen.py` say what the
data and the scores are): AP / FPR95 in per cent, exact over the pooled pixels of the frames, void left out.
Eq. 3 unless a row says "region mean". Under {name}, the 95 % interval of its change against the base,
by bootstrap over frames.

The network never saw these frames or objects, but the few constants and the scale by which its regions are
gathered were chosen on the even frames of both sets; the tables are of frames {frames}. True regions are
the connected components of the labels, crossed with the classes that the segmenter predicts: what eq. 3
could do if regions were perfect. {name} is `{proposer}`.
"""


@dataclass(frozen=True)
class Frame:
    """One frame with all that regions can be made of."""

    image: torch.Tensor
    label: NDArray[np.uint8]
    scores: Scores
    predicted: NDArray[np.int64]


Method = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def read_frames(dataset: Dataset, logits: Path, scores: Mapping[str, Any], part: slice) -> Iterator[Frame]:
    """The frames of a data set with the teacher's scores at their size."""
    for frame in tqdm(dataset.frames[part], desc=dataset.output_name, unit="frame", disable=None):
        rgb = dataset.read_image(frame)
        low = torch.from_numpy(np.load(logits / f"{frame.name}.npz", allow_pickle=False)["logits"]).float()
        full = F.interpolate(low[None], rgb.shape[:2], mode="bilinear", align_corners=False)[0]
        image = torch.from_numpy(rgb.transpose(2, 0, 1)[None].copy()).float() / 255
        found = {name: score(full).numpy() for name, score in scores.items()}
        yield Frame(image, dataset.read_label(frame), found, full.argmax(0).numpy())


def methods_of(frame: Frame, network: CSLNetwork, own: str) -> dict[str, Method]:
    """All ways of making a frame's scores better, by name."""
    size = frame.label.shape
    proposals = NetworkProposals(network)(frame.image)
    soft, hard = soft_assignment(proposals, size), hard_assignment(proposals, size)
    regions = {
        "superpixels": load_proposer("superpixels")(frame.image),
        "superpixels:40": load_proposer("superpixels:40")(frame.image),
        "network, hard assignment": hard,
        "network, soft assignment (eq. 2)": soft,
        "network, eq. 2, split": split_components(soft),
        own: NetworkRegions(network)(frame.image),
        "true regions": true_regions(frame),
    }
    found: dict[str, Method] = {
        "base": lambda score: score,
        "Gaussian blur": lambda score: cv2.GaussianBlur(score, (0, 0), _BLUR) * score,
    }
    for name, region_map in regions.items():
        found[name] = _fused(region_map, "product")
    for name in (own, "true regions"):
        found[f"{name}, region mean"] = _fused(regions[name], "mean")
    return found


def _fused(regions: RegionMap, rule: str) -> Method:
    return lambda score: fuse(score, regions, rule=rule, split=False)  # type: ignore[arg-type]


def true_regions(frame: Frame) -> RegionMap:
    """Connected components of the labels crossed with the class that the teacher predicts."""
    crossed = frame.predicted * 256 + frame.label
    _, ids = np.unique(crossed, return_inverse=True)
    return split_components(RegionMap(torch.from_numpy(ids.reshape(1, *frame.label.shape).astype(np.int32))))


def measure(
    dataset: Dataset, logits: Path, statistics: Path, network: CSLNetwork, own: str, part: slice
) -> dict[str, dict[str, list[dict[str, NDArray[Any]]]]]:
    """The states of all frames by score and method."""
    states: dict[str, dict[str, list[dict[str, NDArray[Any]]]]] = {}
    for frame in read_frames(dataset, logits, ood_scores(statistics), part):
        for name, method in methods_of(frame, network, own).items():
            for score, values in frame.scores.items():
                metric = PooledAnomaly()
                metric.update(method(values).astype(np.float32), frame.label)
                states.setdefault(score, {}).setdefault(name, []).append(metric.state())
    return states


def table(states: dict[str, dict[str, list[dict[str, NDArray[Any]]]]], own: str, draws: int) -> list[str]:
    """Markdown: AP and FPR95 by method and score; intervals of the change for `own`."""
    lines = ["| regions | " + " | ".join(states) + " |", "|---|" + "---|" * len(states)]
    rows: dict[str, list[str]] = {}
    for found in states.values():
        for name, frames in found.items():
            metric = PooledAnomaly()
            for state in frames:
                metric.add_state(state)
            figures = metric.compute()
            text = f"{100 * figures.ap:.1f} / {100 * figures.fpr95:.1f}"
            if name == own and draws:
                spans = bootstrap_difference(PooledAnomaly(), found["base"], frames, draws=draws)
                text = f"**{text}**<br>" + " / ".join(
                    f"{100 * spans[key].low:+.1f} to {100 * spans[key].high:+.1f}" for key in ("ap", "fpr95")
                )
            rows.setdefault(name, []).append(text)
    return [*lines, *(f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows.items())]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--network", default=_BUNDLED[0], choices=_BUNDLED)
    parser.add_argument("--out", type=Path, help="folder of the page; left out, it is printed alone")
    parser.add_argument("--frames", default=":", help="a slice of the frames, such as 1::2")
    parser.add_argument("--draws", type=int, default=1000)
    options = parser.parse_args()
    network = CSLNetwork.from_pretrained(_WEIGHTS / options.network)
    part = slice(*(int(number) if number else None for number in options.frames.split(":")))
    teacher = options.data / "teacher"
    unseen = (options.out or Path("build")) / "camvid_unseen.json"
    unseen.parent.mkdir(parents=True, exist_ok=True)
    unseen.write_text(json.dumps(_UNSEEN), encoding="utf-8")
    sets = {
        "pasted": open_dataset("folder", options.data / "pasted"),
        "camvid_val": open_dataset("folder", options.data / "camvid", split="val", classes=unseen),
    }
    unseen.unlink()
    lines = [_HEAD.format(name=options.network, frames=options.frames, proposer=NetworkRegions(network))]
    for name, dataset in sets.items():
        states = measure(dataset, teacher / name, teacher / "statistics.json", network, options.network, part)
        lines += [f"## {_TITLES[name]}, {len(dataset.frames[part])} frames", ""]
        lines += [*table(states, options.network, options.draws), ""]
    print("\n".join(lines))
    if options.out:
        page = "results.md" if options.network == _BUNDLED[0] else f"results-{options.network}.md"
        (options.out / page).write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()

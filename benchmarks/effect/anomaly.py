"""What regions do to a teacher's scores: docs/results/anomaly.md.

    python -m benchmarks.effect.anomaly --data DATA --frames 1::2 --out docs/results
    python -m benchmarks.effect.anomaly --data DATA --frames 1::2 --out docs/results --network csl-tiny-strict

DATA holds `pasted`, `camvid` and `teacher` as the examples describe them. Every score of the teacher is fused
with every kind of regions, and measured exactly over the pooled pixels of each set; intervals by bootstrap
over frames.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from tqdm import tqdm

import csl_plugin
from benchmarks.effect.page import frame_slice, publish
from benchmarks.effect.paired import markdown
from benchmarks.effect.ways import (
    BASE,
    EQ3,
    SUPERPIXELS,
    TRUE_EQ3,
    TRUST,
    Way,
    default_source,
    methods_of,
    own_regions,
)
from csl_plugin import RegionMap, split_components
from csl_plugin.datasets import Dataset, open_dataset
from csl_plugin.metrics import PooledAnomaly, State, bootstrap_difference
from csl_plugin.models import CSLNetwork
from examples.ood_scores import ood_scores

Scores = dict[str, NDArray[np.float32]]
States = dict[str, dict[Way, "StoredStates"]]
"""Of all frames, by score and way."""

FIGURES = {"ap": "AP", "fpr95": "FPR95", "auroc": "AUROC"}
_BUNDLED = ("csl-tiny", "csl-tiny-strict", "csl-tiny-open")
_WEIGHTS = Path(csl_plugin.__file__).parent / "weights"
_UNSEEN = {"anomaly": [9, 10], "void": [11]}
TITLES = {
    "pasted": "Objects pasted into street frames",
    "camvid_val": "CamVid val, people and cyclists unseen",
}
_HEAD = """\
# Results

Written by `python -m benchmarks.effect.anomaly`; do not edit.
What regions do to the scores of a small segmenter
that never saw what is looked for (`examples/pasted_objects.py`, `examples/camvid_unseen.py` say what the
data and the scores are): AP, FPR95 and AUROC in per cent, exact over the pooled pixels of the frames, void
left out. FPR95 is better where it is lower.

The network never saw these frames or objects, but the few constants of the rule "trust", of the proposers
and their scales were chosen on the even frames of both sets; the tables are of frames {frames}.

| rule | what it makes of a pixel's score |
|---|---|
| eq. 3 | the mean of its region times the score |
| mean | the mean of its region; of several partitions, the average of these |
| soft mixture | region means by the posterior r v of every region of eq. 2 instead of its arg max |
| trust | see docs/guide/fusion.md |

Regions are named as `load_proposer` takes them; **{default}** is {default_word}.
**{own}** are the regions of `load_proposer("{name}")`: eq. 2 over what the network's boundaries enclose.
"eq. 2" alone is the soft assignment of its region scores as they are, "split" cuts its regions into connected
components. True regions are the connected components of the labels, crossed with the classes that the
segmenter predicts: what could be done if regions were perfect.
"""


@dataclass(frozen=True)
class Frame:
    """One frame with all that regions can be made of."""

    image: torch.Tensor
    label: NDArray[np.uint8]
    scores: Scores
    predicted: NDArray[np.int64]


class StoredStates(Sequence[State]):
    """The records of frames in files: all scores of all ways are some gigabytes.

    Args:
        folder: Where they lie; made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder, self._count = folder, 0

    def append(self, state: State) -> None:
        """Add one frame."""
        arrays: dict[str, Any] = dict(state)
        np.savez(self._folder / f"{self._count}.npz", **arrays)
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < self._count:
            raise IndexError(index)
        with np.load(self._folder / f"{index}.npz", allow_pickle=False) as stored:
            return dict(stored)


def open_sets(data: Path) -> dict[str, Dataset]:
    """The two sets that are measured, by name."""
    with tempfile.TemporaryDirectory() as folder:
        unseen = Path(folder) / "camvid_unseen.json"
        unseen.write_text(json.dumps(_UNSEEN), encoding="utf-8")
        return {
            "pasted": open_dataset("folder", data / "pasted"),
            "camvid_val": open_dataset("folder", data / "camvid", subset="val", classes=unseen),
        }


def read_frames(dataset: Dataset, logits: Path, scores: Mapping[str, Any], part: slice) -> Iterator[Frame]:
    """The frames of a data set with the teacher's scores at their size."""
    for frame in tqdm(dataset.frames[part], desc=dataset.output_name, unit="frame", disable=None):
        rgb = dataset.read_image(frame)
        low = torch.from_numpy(np.load(logits / f"{frame.name}.npz", allow_pickle=False)["logits"]).float()
        full = F.interpolate(low[None], rgb.shape[:2], mode="bilinear", align_corners=False)[0]
        image = torch.from_numpy(rgb.transpose(2, 0, 1)[None].copy()).float() / 255
        found = {name: score(full).numpy() for name, score in scores.items()}
        yield Frame(image, dataset.read_label(frame), found, full.argmax(0).numpy())


def true_regions(frame: Frame) -> RegionMap:
    """Connected components of the labels crossed with the class that the teacher predicts."""
    crossed = frame.predicted * 256 + frame.label
    _, ids = np.unique(crossed, return_inverse=True)
    return split_components(RegionMap(torch.from_numpy(ids.reshape(1, *frame.label.shape).astype(np.int32))))


def measure(frames: Iterable[Frame], network: CSLNetwork, name: str, folder: Path) -> States:
    """The states of all frames by score and way, kept in a folder."""
    states: States = {}
    for frame in frames:
        methods = methods_of(frame.image, true_regions(frame), network, name)
        for score, values in frame.scores.items():
            found = states.setdefault(score, {})
            for index, (way, method) in enumerate(methods.items()):
                if way not in found:
                    found[way] = StoredStates(folder / f"{score}-{index}")
                found[way].append(state_of(method(values), frame.label))
    return states


def state_of(values: NDArray[Any], label: NDArray[np.uint8]) -> State:
    """The record of one frame."""
    metric = PooledAnomaly()
    metric.update(values.astype(np.float32), label)
    return metric.state()


def pooled(frames: Iterable[State]) -> PooledAnomaly:
    """The metric of several frames together."""
    metric = PooledAnomaly()
    for state in frames:
        metric.add_state(state)
    return metric


def tables(states: States, name: str) -> list[str]:
    """Markdown: a table for each figure, a row for each way, a column for each score."""
    chosen = Way(default_source(name), TRUST)
    computed = {
        score: {way: pooled(frames).compute() for way, frames in found.items()}
        for score, found in states.items()
    }
    lines: list[str] = []
    for figure, title in FIGURES.items():
        rows = []
        for way in next(iter(states.values())):
            cells = [*way, *(f"{100 * getattr(computed[score][way], figure):.1f}" for score in states)]
            rows.append([f"**{cell}**" for cell in cells] if way == chosen else cells)
        lines += [f"### {title}", "", *markdown(["regions", "rule", *states], rows)]
    return lines


def changes(states: States, name: str, draws: int) -> list[str]:
    """Markdown: 95 % intervals of what the default changes, by bootstrap over frames."""
    changed = {TRUST: Way(default_source(name), TRUST), EQ3: Way(own_regions(name), EQ3)}
    against = {"base": BASE, f"true regions, {EQ3}": TRUE_EQ3}
    against |= {f"{source}, {EQ3}": Way(source, EQ3) for source in SUPERPIXELS}
    pairs = {
        f"{rule} - {words}": (before, after)
        for rule, after in changed.items()
        for words, before in against.items()
    }
    rows = []
    for title, (before, after) in pairs.items():
        spans = {
            score: bootstrap_difference(PooledAnomaly(), found[before], found[after], draws=draws)
            for score, found in states.items()
        }
        for figure, word in FIGURES.items():
            found = [spans[score][figure] for score in states]
            rows.append(
                [title, word, *(f"{100 * span.low:+.1f} to {100 * span.high:+.1f}" for span in found)]
            )
    words = (
        f'95 % intervals of changes, by bootstrap over frames. "{TRUST}" is that of {default_source(name)}, '
        f'"{EQ3}" alone that of {own_regions(name)}.'
    )
    return ["### Changes", "", words, "", *markdown(["change", "figure", *states], rows)]


def section(frames: Iterable[Frame], network: CSLNetwork, name: str, draws: int) -> list[str]:
    """Markdown for one data set."""
    with tempfile.TemporaryDirectory() as folder:
        states = measure(frames, network, name, Path(folder))
        return [*tables(states, name), *changes(states, name, draws)]


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
    name = options.network
    network = CSLNetwork.from_pretrained(_WEIGHTS / name)
    part = frame_slice(options.frames)
    teacher = options.data / "teacher"
    scores = ood_scores(teacher / "statistics.json")
    word = "what `load_proposer()` gives" if name == _BUNDLED[0] else "the default with this network"
    lines = [
        _HEAD.format(
            name=name,
            own=own_regions(name),
            frames=options.frames,
            default=default_source(name),
            default_word=word,
        )
    ]
    for key, dataset in open_sets(options.data).items():
        frames = read_frames(dataset, teacher / key, scores, part)
        lines += [f"## {TITLES[key]}, {len(dataset.frames[part])} frames", ""]
        lines += section(frames, network, name, options.draws)
    page = "anomaly.md" if name == _BUNDLED[0] else f"{name}.md"
    publish(lines, options.out, page)


if __name__ == "__main__":
    main()

"""Scheme 1 and scheme 2: docs/results/scheme1.md.

    python -m benchmarks.effect.scheme1 --data DATA --teacher SEGMENTER --work WORK --frames 1::2 \
        --out docs/results

DATA holds `camvid`, `bsds500` and `pasted`; SEGMENTER is the output folder of `examples/train_segmenter.py`.
Two networks that start as csl-tiny are distilled from that teacher, or loaded from WORK if it holds them: one
on its softmax (C = 9), one on its SML score (C = 1). Both schemes are measured on frames that are in no
training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

from benchmarks import machine
from benchmarks.effect.frames.scored import TITLES, open_sets
from benchmarks.effect.networks.distillation import (
    Student,
    class_target,
    distil,
    load_teacher,
    score_target,
    student,
)
from benchmarks.effect.page.command import frame_slice, page_parser, publish
from benchmarks.effect.page.measured import Measured, markdown
from benchmarks.effect.rows.scheme1 import (
    OTHER_EQ2,
    OTHER_REGIONS,
    OWN_EQ2,
    OWN_REGIONS,
    ROWS,
    ROWS_OF_CLASSES,
    ROWS_OF_SCORE,
    SCORE,
    TEACHER,
    UNFUSED,
    Comparison,
    measure,
    measure_classes,
)
from benchmarks.timing import one_thread, spread, take_turns
from csl_plugin import CSLWrapper
from csl_plugin.adapters import OutputAdapter
from csl_plugin.datasets import Dataset
from csl_plugin.end_to_end import EndToEnd
from csl_plugin.io import image_batch
from csl_plugin.proposers import NetworkProposals, NetworkRegions
from examples.train_segmenter import CLASSES

_METRICS = ("ap", "fpr95")
_DISTRIBUTION = f"distribution distilled (C = {len(CLASSES)})"
_SCORE = "SML distilled (C = 1)"
_HEAD = """\
# Scheme 1: one network, distilled

Written by `python -m benchmarks.effect.scheme1`; do not edit.

The teacher is the small segmenter of `examples/train_segmenter.py`. Neither it nor the networks below were
trained on labels of the objects to be found. csl-tiny with a distribution head was trained for {steps} more
steps with the teacher in the loop, on CamVid train with the pasted objects of csl-tiny's recipe: mean Huber
distillation beside the region losses. There are two such networks: one distilled from the teacher's softmax,
one from its SML score, as in the paper for out-of-distribution segmentation (C = 1). Unlike their teacher
they were trained on images with pasted objects, though without labels for them, which favors them on
`pasted`.

AP / FPR95 in per cent, exact over the pooled pixels of frames {frames}, void excluded. Below: the 95 %
interval of the change against the teacher's own score, by bootstrap over frames. Eq. 3 with
component split, as in the paper; with the default proposer, of two partitions, by `fuse`'s default rule
"adaptive". "Regions" are `NetworkRegions`, "eq. 2" is the soft assignment of the region scores. One training
and one seed each.

## Which scores a distilled distribution has

The Huber loss on probabilities distils probabilities. A softmax loses the level of its logits, so three of
the five scores are defined after it: MSP, entropy, and SML of the log-probabilities (the logarithm of the
largest, standardized by its class; `EndToEnd(network, score=...)`). After normalization, the maximal logit is
the logarithm of the largest probability, which orders pixels as MSP does before fusion, and the energy is
constant; both columns are empty. The scores of the raw logits of the distilled network, whose level no loss
fixes, have rows of their own. Where the network needs the teacher's logit-based score, distil that score: the
second network.
"""

_CAUGHT_UP = """\
After {steps} steps the distilled distribution is {behind:+.1f} points of mIoU from its teacher's. As long as
it is many points below, the training is not complete: the comparison above is then of a network in training,
uncertain of rare classes too, and says little about scheme 1 itself. (The paper gives scheme 1 twice the
iterations.)"""


def table(measured: Measured, scores: Sequence[str], rows: Mapping[str, Sequence[str]]) -> list[str]:
    """AP / FPR95 with intervals of the change against the teacher, by row and score."""

    def cell(row: str, score: str) -> str:
        if score not in rows[row]:
            return "-"
        text = measured.text(score, row, *_METRICS)
        return text if row == TEACHER else f"{text}<br>{measured.change(score, TEACHER, row, *_METRICS)}"

    return markdown(["", *scores], [[row, *(cell(row, score) for score in scores)] for row in rows])


def differences(measured: Measured, scores: Sequence[str], title: str) -> Iterator[list[str]]:
    """Scheme 1 minus scheme 2 with the same regions: rows of a table, first their mean."""
    pairs = {"regions": (OTHER_REGIONS, OWN_REGIONS), "eq. 2": (OTHER_EQ2, OWN_EQ2)}
    rows, changes = [], []
    for (regions, (two, one)), score in product(pairs.items(), scores):
        before, after = (measured.values(score, row) for row in (two, one))
        change = [100 * (getattr(after, name) - getattr(before, name)) for name in _METRICS]
        intervals = [measured.change(score, two, one, name) for name in _METRICS]
        cells = [f"{value:+.1f} ({interval})" for value, interval in zip(change, intervals, strict=True)]
        rows.append([f"{score}, {regions}", *cells])
        changes.append(change)
    means = (f"**{sum(values) / len(values):+.1f}**" for values in zip(*changes, strict=True))
    yield [f"**{title}**, mean", *means]
    yield from rows


def classes_table(measured: Measured) -> list[str]:
    """Mean IoU of the seen classes by row."""
    rows = []
    for row in ROWS:
        change = "" if row == TEACHER else measured.change("classes", TEACHER, row, "miou")
        rows.append([row, measured.text("classes", row, "miou"), change])
    return markdown(["", "mIoU", "change against the teacher"], rows)


def times(comparison: Comparison, dataset: Dataset, rounds: int) -> list[str]:
    """Times of both schemes in turns, and the ratios within each round."""
    one_thread()
    image = image_batch(dataset.read_image(dataset.frames[0]))
    network, adapter = comparison.student.network, OutputAdapter("logits")
    regions, proposals = NetworkRegions(network), NetworkProposals(network)
    calls = {
        "teacher only": lambda: comparison.teacher(image),
        "scheme 2, eq. 2": lambda: CSLWrapper(comparison.teacher, proposals, adapter)(image),
        "scheme 1, eq. 2": lambda: EndToEnd(network)(image),
        "scheme 2, regions": lambda: CSLWrapper(comparison.teacher, regions, adapter)(image),
        "scheme 1, regions": lambda: EndToEnd(network, proposer=regions)(image),
    }
    load = machine.load()
    seconds = take_turns(calls, rounds)
    milliseconds = {name: [1000 * value for value in values] for name, values in seconds.items()}
    lines = [
        f"One thread of {machine.describe()['processor']}, 360 x 480, {rounds} turns, load {load:.1f}.",
        "",
    ]
    rows = [[name, spread(values, 0)] for name, values in milliseconds.items()]
    lines += markdown(["", "ms, median (quartiles)"], rows)
    for kind in ("eq. 2", "regions"):
        pairs = zip(seconds[f"scheme 2, {kind}"], seconds[f"scheme 1, {kind}"], strict=True)
        ratio = spread([two / one for two, one in pairs], 2)
        lines += [f"With {kind}, scheme 2 takes {ratio} times as long as scheme 1 (paper: 1.33).", ""]
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = page_parser(__doc__, teacher=Path, work=Path, frames=":", steps=3000, draws=1000, rounds=15)
    parser.add_argument("--train-only", action="store_true", help="stop when both networks are trained")
    options = parser.parse_args(arguments)
    part = frame_slice(options.frames)
    teacher, stored = load_teacher(options.teacher), options.teacher / "statistics.json"
    classes = distil(
        class_target(teacher), len(CLASSES), options.data, options.work / "classes", options.steps
    )
    score = distil(score_target(teacher, stored, SCORE), 1, options.data, options.work / SCORE, options.steps)
    if options.train_only:
        return
    folders = [options.data / "camvid" / kind for kind in ("images", "labels")]
    train = [folder / "train" for folder in folders]
    comparison = Comparison(teacher, stored, student(classes, *train, options.work / "classes"))
    of_score = Comparison(teacher, stored, Student(score), SCORE)
    sets = open_sets(options.data)
    lines, changes = [_HEAD.format(frames=options.frames, steps=options.steps)], []
    for name, dataset in sets.items():
        lines += [f"## {TITLES[name]}, {len(dataset.frames[part])} frames", ""]
        for distilled, case, rows in (
            (_DISTRIBUTION, comparison, ROWS_OF_CLASSES),
            (_SCORE, of_score, ROWS_OF_SCORE),
        ):
            measured = measure(dataset, case, part, options.draws)
            scores = rows[TEACHER]
            lines += [f"### {distilled}", "", *table(measured, scores, rows)]
            changes += differences(measured, rows[OWN_REGIONS], f"{TITLES[name]}, {distilled}")
    lines += ["## Scheme 1 minus scheme 2, the same network's regions", ""]
    lines += markdown(["", "AP", "FPR95"], changes)
    lines += ["In the paper scheme 1 is 0.3 points of AP below scheme 2, with FPR95 either way.", ""]
    lines += ["## Seen classes, CamVid val", ""]
    of_classes = measure_classes(sets["camvid_val"], folders[1] / "val", comparison, part, options.draws)
    lines += classes_table(of_classes)
    behind = 100 * (of_classes.values("classes", UNFUSED).miou - of_classes.values("classes", TEACHER).miou)
    lines += [_CAUGHT_UP.format(steps=options.steps, behind=behind), ""]
    lines += ["## Time", "", *times(comparison, sets["camvid_val"], options.rounds), ""]
    publish(lines, options.out, "scheme1.md")


if __name__ == "__main__":
    main()

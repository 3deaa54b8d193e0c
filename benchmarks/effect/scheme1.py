"""Scheme 1 beside scheme 2: docs/results/scheme1.md.

    python -m benchmarks.effect.scheme1 --data DATA --teacher SEGMENTER --work WORK --frames 1::2 \
        --out docs/results

DATA holds `camvid`, `bsds500` and `pasted`; SEGMENTER is what `examples/train_segmenter.py` wrote. Two
networks that begin as csl-tiny are distilled from that teacher, or taken from WORK where they were trained
before: one follows its softmax (C = 9), one its SML score (C = 1). Both schemes are then measured on frames
that nobody trained on.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

from benchmarks.effect.anomaly import TITLES, open_sets
from benchmarks.effect.distilled import Student, class_target, distil, load_teacher, score_target, student
from benchmarks.effect.page import frame_slice, publish
from benchmarks.effect.paired import Measured, markdown
from benchmarks.effect.scheme1_effect import (
    ALONE,
    OTHER_EQ2,
    OTHER_REGIONS,
    OWN_EQ2,
    OWN_REGIONS,
    ROWS,
    ROWS_OF_CLASSES,
    ROWS_OF_SCORE,
    SCORE,
    TEACHER,
    Contest,
    measure,
    measure_classes,
)
from benchmarks.effect.turns import one_thread, spread, take_turns
from benchmarks.speed import machine
from csl_plugin import CSLWrapper
from csl_plugin.adapters import OutputAdapter
from csl_plugin.datasets import Dataset
from csl_plugin.end_to_end import EndToEnd
from csl_plugin.io import image_batch
from csl_plugin.proposers import NetworkProposals, NetworkRegions
from examples.train_segmenter import CLASSES

_ROUNDS = 15
_FIGURES = ("ap", "fpr95")
_TAUGHT = f"distribution distilled (C = {len(CLASSES)})"
_TAUGHT_SCORE = "SML distilled (C = 1)"
_HEAD = """\
# Scheme 1: one network, distilled

Written by `python -m benchmarks.effect.scheme1`; do not edit.
The teacher is the small segmenter of
`examples/train_segmenter.py`, which never saw what is looked for (nor did the networks below, as labels).
csl-tiny, given a distribution head, was trained on for {steps} steps with the teacher in the loop, on CamVid
train with the pasted objects of csl-tiny's recipe: mean Huber distillation beside the region losses. Two such
networks: one follows the teacher's softmax, one its SML score, as the paper has it for out-of-distribution
segmentation (C = 1). Unlike their teacher they have met pasted things, if without labels for them, which
favors them on `pasted`.

AP / FPR95 in per cent, exact over the pooled pixels of frames {frames}, void left out; below, the 95 %
interval of the change against the teacher's own score, by bootstrap over frames. Eq. 3 with component split;
the default proposer gives several partitions, which `fuse` combines by its rule for them. "Regions" are
`NetworkRegions`, "eq. 2" is the soft assignment of the region scores. One run, one seed each.

## Which scores a distilled distribution has

Huber loss on probabilities teaches probabilities. A softmax forgets the level of its logits, so of the five
scores three have a meaning after it: MSP, entropy, and SML of the log-probabilities (the logarithm of the
largest, standardized by its class; `EndToEnd(network, score=...)`). Normalized, the maximal logit is the
logarithm of the largest probability, which orders pixels as MSP does before fusion, and the energy is
constant; both columns are empty. What the raw logits of the distilled network say, whose level nothing
taught, is in rows of their own. Where the network shall have the teacher's logit-based score, that score is
what has to be distilled: the second network.
"""

_CAUGHT_UP = """\
After {steps} steps the distilled distribution is {behind:+.1f} points of mIoU from its teacher's. While that
is many points below, it has not caught up: what is compared above is then a network on its way, unsure of
rare classes too, and says little of scheme 1 itself. (The paper gives scheme 1 twice the iterations.)"""


def table(measured: Measured, scores: Sequence[str], rows: Mapping[str, Sequence[str]]) -> list[str]:
    """AP / FPR95 with intervals against the teacher; one line for each row, with the scores that it has."""

    def cell(row: str, score: str) -> str:
        if score not in rows[row]:
            return "-"
        text = measured.text(score, row, *_FIGURES)
        return text if row == TEACHER else f"{text}<br>{measured.change(score, TEACHER, row, *_FIGURES)}"

    return markdown(["", *scores], [[row, *(cell(row, score) for score in scores)] for row in rows])


def differences(measured: Measured, scores: Sequence[str], title: str) -> Iterator[list[str]]:
    """Scheme 1 minus scheme 2 with the same regions: rows of a table, the first their mean."""
    pairs = {"regions": (OTHER_REGIONS, OWN_REGIONS), "eq. 2": (OTHER_EQ2, OWN_EQ2)}
    rows, changes = [], []
    for (regions, (two, one)), score in product(pairs.items(), scores):
        before, after = (measured.figures(score, row) for row in (two, one))
        change = [100 * (getattr(after, name) - getattr(before, name)) for name in _FIGURES]
        spans = [measured.change(score, two, one, name) for name in _FIGURES]
        cells = [f"{value:+.1f} ({span})" for value, span in zip(change, spans, strict=True)]
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


def times(contest: Contest, dataset: Dataset, rounds: int) -> list[str]:
    """Seconds of both schemes in turns, and the ratio within each round."""
    one_thread()
    image = image_batch(dataset.read_image(dataset.frames[0]))
    network, adapter = contest.student.network, OutputAdapter("logits")
    regions, proposals = NetworkRegions(network), NetworkProposals(network)
    calls = {
        "teacher alone": lambda: contest.teacher(image),
        "scheme 2, eq. 2": lambda: CSLWrapper(contest.teacher, proposals, adapter)(image),
        "scheme 1, eq. 2": lambda: EndToEnd(network)(image),
        "scheme 2, regions": lambda: CSLWrapper(contest.teacher, regions, adapter)(image),
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


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for option in ("data", "teacher", "work"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="folder of the page; left out, it is printed alone")
    parser.add_argument("--frames", default=":", help="a slice of the frames, such as 1::2")
    parser.add_argument("--steps", type=int, default=3000, help="of each distillation (%(default)s)")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="turns of the timing (%(default)s)")
    parser.add_argument("--train-only", action="store_true", help="stop when both networks are trained")
    options = parser.parse_args()
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
    contest = Contest(teacher, stored, student(classes, *train, options.work / "classes"))
    of_score = Contest(teacher, stored, Student(score), SCORE)
    sets = open_sets(options.data)
    lines, changes = [_HEAD.format(frames=options.frames, steps=options.steps)], []
    for name, dataset in sets.items():
        lines += [f"## {TITLES[name]}, {len(dataset.frames[part])} frames", ""]
        for taught, case, rows in (
            (_TAUGHT, contest, ROWS_OF_CLASSES),
            (_TAUGHT_SCORE, of_score, ROWS_OF_SCORE),
        ):
            measured = measure(dataset, case, part, options.draws)
            scores = rows[TEACHER]
            lines += [f"### {taught}", "", *table(measured, scores, rows)]
            changes += differences(measured, rows[OWN_REGIONS], f"{TITLES[name]}, {taught}")
    lines += ["## Scheme 1 minus scheme 2, the same network's regions", ""]
    lines += markdown(["", "AP", "FPR95"], changes)
    lines += ["The paper has scheme 1 trail by 0.3 in AP, with FPR95 either way.", ""]
    lines += ["## Seen classes, CamVid val", ""]
    of_classes = measure_classes(sets["camvid_val"], folders[1] / "val", contest, part, options.draws)
    lines += classes_table(of_classes)
    behind = 100 * (of_classes.figures("classes", ALONE).miou - of_classes.figures("classes", TEACHER).miou)
    lines += [_CAUGHT_UP.format(steps=options.steps, behind=behind), ""]
    lines += ["## Time", "", *times(contest, sets["camvid_val"], options.rounds), ""]
    publish(lines, options.out, "scheme1.md")


if __name__ == "__main__":
    main()

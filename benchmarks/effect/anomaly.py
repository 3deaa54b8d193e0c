"""Regions and anomaly scores on real frames: docs/results/anomaly.md.

    OMP_NUM_THREADS=1 python -m benchmarks.effect.anomaly --data DATA --work WORK --out docs/results

DATA holds `real` (a folder with `images`, `labels` and `logits/<segmenter>` of each set, and
`statistics_<segmenter>.json`), and `pasted`, `camvid` and `teacher` as the examples describe them; with
`segmenter`, the output of `examples/train_segmenter.py`, that segmenter too. The whole takes half an hour on
one core and 1 GB in WORK.

What was measured is kept there: a call that was stopped goes on, and a changed file, score, proposer, row or
default rule is measured again by itself. Changed code of proposers, metrics or filters is not noticed: name
the rows after --again. Several processes share WORK if each takes other --sets or --networks; without --out
and --pictures they only measure. Reasons for the worst frames stand in `benchmarks/effect/reasons.json`, by
the names of the pictures without their number.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from benchmarks.effect.frames.sets import FrameSet, open_frame_sets
from benchmarks.effect.page.anomaly_page import page
from benchmarks.effect.page.cells import cells_of
from benchmarks.effect.page.command import page_parser, publish
from benchmarks.effect.page.frame_changes import frame_changes, worst_frames
from benchmarks.effect.page.frame_pictures import write_pictures
from benchmarks.effect.rows.anomaly import ROWS, Row
from benchmarks.effect.states.measure import measure_set
from benchmarks.effect.states.measurements import COMPONENTS, PIXELS, SetStates
from benchmarks.effect.states.store import StateStore, Unit
from benchmarks.timing import one_thread


@dataclass(frozen=True)
class Chosen:
    """What a call measures: sets, the segmenters of each, and rows."""

    sets: Mapping[str, FrameSet]
    networks: Mapping[str, tuple[str, ...]]
    rows: tuple[Row, ...]


def chosen(options: argparse.Namespace) -> Chosen:
    """What a command line names; rows whose package is missing are said and left out."""
    sets = open_frame_sets(options.data, options.first)
    if options.sets:
        sets = {key: sets[key] for key in options.sets}
    networks = {
        key: tuple(name for name in frames.teachers if not options.networks or name in options.networks)
        for key, frames in sets.items()
    }
    for row in ROWS:
        if row.missing:
            tqdm.write(f"Without the row {row.key}: {row.missing} is not installed.")
    return Chosen(
        {key: frames for key, frames in sets.items() if networks[key]},
        networks,
        tuple(row for row in ROWS if not row.missing),
    )


def discard(what: Chosen, keys: Sequence[str], store: StateStore) -> None:
    """Forget what was measured of some rows."""
    for frames in what.sets.values():
        store.discard(
            [
                Unit(measurement, frames.key, network, frame.name, key)
                for measurement in (PIXELS, COMPONENTS)
                for network in what.networks[frames.key]
                for frame in frames.frames
                for key in keys
            ]
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = page_parser(__doc__, work=Path("build/effect"), draws=1000)
    parser.add_argument("--sets", nargs="+", metavar="SET", help="only these, by the names of their folders")
    parser.add_argument("--networks", nargs="+", metavar="NAME", help="only these segmenters")
    parser.add_argument("--first", type=int, help="only so many frames of each set")
    parser.add_argument(
        "--again",
        nargs="+",
        default=[],
        metavar="ROW",
        choices=[row.key for row in ROWS],
        help="measure anew",
    )
    parser.add_argument(
        "--pictures", type=Path, help="folder for pictures of the worst frames; the data may not be published"
    )
    options = parser.parse_args(arguments)
    one_thread()
    store = StateStore(options.work / "anomaly")
    what = chosen(options)
    discard(what, options.again, store)
    for key, frames in what.sets.items():
        measure_set(frames, what.networks[key], what.rows, store)
    if not options.out and not options.pictures:
        return
    cells, changes = [], []
    for key, frames in what.sets.items():
        states = SetStates(store, frames)
        changes += frame_changes(frames, states, what.networks[key])
        if options.out:
            cells += cells_of(frames, states, what.networks[key], what.rows, options.draws)
    if options.pictures:
        write_pictures(worst_frames(changes), options.pictures)
    if options.out:
        publish(page(cells, changes, what.rows, options.draws), options.out, "anomaly.md")


if __name__ == "__main__":
    main()

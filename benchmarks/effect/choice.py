"""The choice of the default by docs/results/protocol.md: docs/results/choice.md.

    OMP_NUM_THREADS=1 python -m benchmarks.effect.choice --data DATA --work WORK --out docs/results

DATA and WORK are those of `benchmarks.effect.anomaly`. What was measured is kept in WORK, and several
processes share it if each takes other --sets. Without --out they only measure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.effect.frames.sets import EVEN, GIVEN, NETWORKS, FrameSet, open_frame_sets
from benchmarks.effect.frames.tiny import TinyObjects
from benchmarks.effect.page.choice_page import page
from benchmarks.effect.page.class_choice import section
from benchmarks.effect.page.command import page_parser, publish
from benchmarks.effect.page.gains import Cell
from benchmarks.effect.rows.candidates import ROWS
from benchmarks.effect.states.measure import SCORES, measure_pixels
from benchmarks.effect.states.measurements import SetStates
from benchmarks.effect.states.store import StateStore
from benchmarks.timing import one_thread

_STEP = 4  # of the pixels of real frames: there are many candidates


def opened(data: Path) -> dict[str, FrameSet]:
    """The sets of the protocol, by name."""
    sets = {
        key: replace(frames, step=_STEP) if frames.real else frames
        for key, frames in open_frame_sets(data, street=EVEN).items()
    }
    tiny = TinyObjects.among(sets["camvid_val"])
    return {**sets, tiny.key: tiny}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = page_parser(__doc__, work=Path("build/effect"), draws=100)
    parser.add_argument("--sets", nargs="+", metavar="SET", help="only measure these")
    options = parser.parse_args(arguments)
    one_thread()
    store = StateStore(options.work / "choice")
    cells: dict[str, list[Cell]] = {}
    for key, frames in opened(options.data).items():
        if options.sets and key not in options.sets:
            continue
        networks = NETWORKS if frames.real else (GIVEN,)
        measure_pixels(frames, networks, ROWS, store)
        if options.out:
            states = SetStates(store, frames)
            several = [Cell(states, network, score) for network in networks for score in SCORES]
            cells[key] = [cell for cell in several if cell.informative]
    if options.out:
        lines = [*page(cells, options.draws), *section(options.data, options.draws)]
        publish(lines, options.out, "choice.md")


if __name__ == "__main__":
    main()

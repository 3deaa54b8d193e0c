"""What a state over frames does to flicker and AP: docs/results/video.md.

    OMP_NUM_THREADS=1 python -m benchmarks.effect.video --data DATA --out docs/results

DATA holds `camvid`, `pasted`, and `teacher` with the logits of a segmenter. The validation frames of CamVid
are one sequence; its first half chooses among the candidates, the other reports.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.effect.frames.video import read_video
from benchmarks.effect.page.command import page_parser, publish
from benchmarks.effect.page.video_page import Figures, choose, informative, page
from benchmarks.effect.rows.memories import BASELINES, NONE, REGIONS
from benchmarks.effect.states.video_measures import (
    flicker_inside,
    kept_regions,
    measure_half,
    measure_objects,
    milliseconds,
)
from benchmarks.timing import one_thread


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    options = page_parser(__doc__, draws=1000).parse_args(arguments)
    one_thread()
    video = read_video(options.data)
    middle = len(video.frames) // 2
    parts = range(middle), range(middle, len(video.frames))
    memories = (NONE, *REGIONS, *BASELINES)
    choosing, reporting = (measure_half(video, part, memories) for part in parts)
    scores = informative(choosing), informative(reporting)
    regions, baseline = (choose(choosing, kind, scores[0]) for kind in (REGIONS, BASELINES))
    shown = (NONE, regions, baseline)
    objects = {memory: measure_objects(video, *parts, memory, scores[1]) for memory in shown}
    times = {memory: milliseconds(memory, video, parts[0]) for memory in memories}
    why = kept_regions(video), flicker_inside(video, scores[1])
    figures = Figures(choosing, reporting, scores, objects, times, *why, options.draws)
    publish(page(figures, regions, baseline), options.out, "video.md")


if __name__ == "__main__":
    main()

"""docs/results/video.md from its figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.effect.page.measured import markdown
from benchmarks.effect.rows.memories import BASELINES, NONE, REGIONS, Memory
from benchmarks.effect.states.flicker import ObjectFlicker
from benchmarks.effect.states.measure import SCORES
from benchmarks.effect.states.video_measures import Halves, Weights, blocks
from benchmarks.machine import describe

_LOW_AUROC = 0.7
_CHEAP = 0.1  # of the baseline's time, at which half of its gain is enough
_HEAD = """\
# A state over frames

Written by `python -m benchmarks.effect.video`; do not edit.

Does a fused map flicker less if regions remember their scores, and what does it cost? The protocol is in
[protocol.md](protocol.md), "A state over frames", written before the figures.

One sequence, {frames} frames of CamVid val at 15 per second, people and cyclists unseen, the given teacher,
the default regions and rule; the first {chosen} frames chose, the other {reported} report. It is one street,
one camera, one small segmenter: the intervals (95 %, {draws} draws of blocks of five frames) say how a figure
depends on these frames, and nothing of other videos.

AP in per cent, means over the scores whose base has an AUROC over 70 on the half, {cells}. Flicker: the mean
change of a pixel against the map before, moved by optical flow, in hundredths of the map's standard
deviation; "on anomalies": of pixels that are anomalous in both frames.
"""


@dataclass(frozen=True)
class Figures:
    """All that the page shows.

    Attributes:
        choosing: On the half that chooses.
        reporting: On the other.
        scores: The cells of each.
        objects: On the reporting half, by memory, budget and score.
        times: Milliseconds of a frame.
        kept: Shares of the pixels whose region was there before, by partition, from coarse to fine.
        inside: Flicker of the map, of the means of its fine regions, and of the rest.
        draws: Of the bootstrap.
    """

    choosing: Halves
    reporting: Halves
    scores: tuple[Sequence[str], Sequence[str]]
    objects: Mapping[Memory, Mapping[float, Mapping[str, ObjectFlicker]]]
    times: Mapping[Memory, float]
    kept: Sequence[float]
    inside: Sequence[float]
    draws: int


def informative(half: Halves) -> list[str]:
    """The scores that count."""
    return [score for score in SCORES if half[NONE].values(score).auroc > _LOW_AUROC]


def mean_ap(half: Halves, memory: Memory, scores: Sequence[str]) -> float:
    """Over the cells, a fraction."""
    return float(np.mean([half[memory].values(score).ap for score in scores]))


def mean_flicker(half: Halves, memory: Memory, scores: Sequence[str]) -> NDArray[np.float64]:
    """Over the cells: of all pixels, and on anomalies."""
    return np.asarray(np.mean([half[memory].changes(score) for score in scores], 0))


def choose(half: Halves, memories: Sequence[Memory], scores: Sequence[str]) -> Memory:
    """The least flicker of those that lose no AP; else the highest AP."""
    least = mean_ap(half, NONE, scores)
    kept = [memory for memory in memories if mean_ap(half, memory, scores) >= least]
    if kept:
        return min(kept, key=lambda memory: float(mean_flicker(half, memory, scores)[0]))
    return max(memories, key=lambda memory: mean_ap(half, memory, scores))


def page(figures: Figures, regions: Memory, baseline: Memory) -> list[str]:
    """The lines of the page.

    Args:
        figures: Of all memories.
        regions: The chosen one of regions.
        baseline: The chosen one of pixels.
    """
    frames = [len(half[NONE].counts[SCORES[0]]) for half in (figures.choosing, figures.reporting)]
    weights = blocks(frames[1], figures.draws)
    machine = describe()
    head = _HEAD.format(
        frames=sum(frames),
        chosen=frames[0],
        reported=frames[1],
        draws=figures.draws,
        cells=" and ".join(str(len(scores)) for scores in figures.scores),
    )
    return [
        head,
        *_verdict(figures, regions, baseline, weights),
        *_why(figures, baseline),
        "## All candidates",
        "",
        "The number is the share of the past. Milliseconds: the fastest of 20 frames of 360x480 on one "
        "thread, optical flow included; other load on the machine was not excluded.",
        "",
        *_candidates(figures),
        "## The chosen ones, score by score, on the reporting half",
        "",
        "Changes are to no state, with their intervals.",
        "",
        *_cells(figures, (regions, baseline), weights),
        "## Objects, on the reporting half",
        "",
        "Means over the scores, of `find_objects` at the threshold fitted on the choosing half. Events: "
        "objects that appear or vanish.",
        "",
        *_objects(figures, (NONE, regions, baseline), weights),
        f"Measured on {machine['processor']}; {machine['versions']}; {machine['date']}.",
        "",
    ]


def _verdict(figures: Figures, regions: Memory, baseline: Memory, weights: Weights) -> list[str]:
    half, scores = figures.reporting, figures.scores[1]
    met = [_conditions(figures, memory, weights) for memory in (regions, baseline)]
    pays = all(met[0].values()) and _as_good(figures, regions, baseline)
    rows = [[text, *(_yes(each[text]) for each in met)] for text in met[0]]
    rows.append(["as good as the baseline for its cost", _yes(_as_good(figures, regions, baseline)), ""])
    shown: dict[str, Callable[[Memory], str]] = {
        "mean AP": lambda memory: f"{100 * mean_ap(half, memory, scores):.2f}",
        "mean flicker": lambda memory: f"{100 * mean_flicker(half, memory, scores)[0]:.1f}",
    }
    for text, value in shown.items():
        rows.append([f"{text}, without a state {value(NONE)}", value(regions), value(baseline)])
    answer = "pays" if pays else "does not pay, and the package has none"
    baseline_pays = (
        " The baseline, which knows no regions, meets what is demanded of it: the fused map, averaged along "
        "optical flow as in `benchmarks/effect/frames/motion.py`."
        if all(met[1].values())
        else ""
    )
    return [
        "## In short",
        "",
        f"By the protocol a state of regions {answer}.{baseline_pays}",
        "",
        *markdown(
            ["on the reporting half", f"regions: {regions.title}", f"baseline: {baseline.title}"], rows
        ),
    ]


def _yes(met: bool) -> str:
    return "yes" if met else "**no**"


def _conditions(figures: Figures, memory: Memory, weights: Weights) -> dict[str, bool]:
    """What is demanded of a memory by itself."""
    half, scores = figures.reporting, figures.scores[1]
    strict = min(figures.objects[NONE])
    after, before = (figures.objects[each][strict] for each in (memory, NONE))
    rarer = _mean(after, scores, _events) < _mean(before, scores, _events)
    return {
        "flicker of the map lower beyond the interval in every cell": all(
            _flicker_change(half, memory, score, weights, 0)[1] < 0 for score in scores
        ),
        "fewer objects appear or vanish, no fewer true ones found": rarer
        and _mean(after, scores, _hits) >= _mean(before, scores, _hits),
        "mean AP not lower": mean_ap(half, memory, scores) >= mean_ap(half, NONE, scores),
        "AP in no cell lower beyond the interval": all(
            _ap_change(half, memory, score, weights)[1] >= 0 for score in scores
        ),
    }


def _as_good(figures: Figures, regions: Memory, baseline: Memory) -> bool:
    """Whether regions are as good as pixels for their cost."""
    half, scores = figures.reporting, figures.scores[1]
    ap = [mean_ap(half, memory, scores) for memory in (regions, baseline)]
    before, *after = (float(mean_flicker(half, memory, scores)[0]) for memory in (NONE, regions, baseline))
    gains = [before - flicker for flicker in after]
    cheap = gains[0] >= gains[1] / 2 and figures.times[regions] <= _CHEAP * figures.times[baseline]
    return (gains[0] >= gains[1] and ap[0] >= ap[1]) or cheap


def _why(figures: Figures, baseline: Memory) -> list[str]:
    shares = [f"{100 * share:.0f} %" for share in figures.kept]
    whole, means, rest = (100 * part for part in figures.inside)
    reached = 100 * mean_flicker(figures.reporting, baseline, figures.scores[1])[0]
    return [
        "## Where the flicker is",
        "",
        f"Regions are found again: {shares[0]} of the pixels lie in a coarse region, {shares[-1]} in a fine "
        "one, whose IoU with a region of the frame before, moved, is one half or more. The flicker of the "
        f"map is {whole:.1f}, that of the means of its fine regions {means:.1f}, that of what remains inside "
        f"of them {rest:.1f} (without a state, all frames, in the same units). No state of fine regions "
        f"touches what remains; *{baseline.title}* comes down to {reached:.1f} in all.",
        "",
    ]


def _candidates(figures: Figures) -> list[str]:
    rows = []
    for memory in (NONE, *REGIONS, *BASELINES):
        row = [memory.title]
        for half, scores in zip((figures.choosing, figures.reporting), figures.scores, strict=True):
            changes = 100 * mean_flicker(half, memory, scores)
            row += [f"{100 * mean_ap(half, memory, scores):.2f}", f"{changes[0]:.1f}", f"{changes[1]:.1f}"]
        rows.append([*row, f"{figures.times[memory]:.1f}" if memory is not NONE else ""])
    names = ("AP", "flicker", "on anomalies")
    head = ["", *(f"{name}, {half}" for half in ("choosing", "reporting") for name in names), "ms"]
    return markdown(head, rows)


def _cells(figures: Figures, memories: Sequence[Memory], weights: Weights) -> list[str]:
    half, rows = figures.reporting, []
    for score in figures.scores[1]:
        changes = 100 * half[NONE].changes(score)
        values = half[NONE].values(score)
        row = [score, NONE.title, f"{100 * values.ap:.2f}", "", f"{100 * values.fpr95:.1f}"]
        rows.append([*row, f"{changes[0]:.1f}", "", f"{changes[1]:.1f}", ""])
        for memory in memories:
            changes, values = 100 * half[memory].changes(score), half[memory].values(score)
            rows.append(
                [
                    score,
                    memory.title,
                    f"{100 * values.ap:.2f}",
                    _text(_ap_change(half, memory, score, weights), 2),
                    f"{100 * values.fpr95:.1f}",
                    f"{changes[0]:.1f}",
                    _text(_flicker_change(half, memory, score, weights, 0), 1),
                    f"{changes[1]:.1f}",
                    _text(_flicker_change(half, memory, score, weights, 1), 1),
                ]
            )
    head = ["score", "", "AP", "change", "FPR95", "flicker", "change", "on anomalies", "change"]
    return markdown(head, rows)


def _objects(figures: Figures, memories: Sequence[Memory], weights: Weights) -> list[str]:
    rows, scores = [], figures.scores[1]
    for budget in figures.objects[NONE]:
        for memory in memories:
            found = figures.objects[memory][budget]
            row = [f"{budget:g}", memory.title]
            row += [f"{_mean(found, scores, each):.2f}" for each in (_number, _false, _events)]
            before = figures.objects[NONE][budget]
            change = "" if memory is NONE else _text(_events_change(before, found, scores, weights), 2, 1)
            rows.append([*row, change, f"{100 * _mean(found, scores, _hits):.1f}"])
    head = [
        "false per frame allowed",
        "",
        "objects per frame",
        "false per frame",
        "events per frame",
        "change",
    ]
    return markdown([*head, "true objects found, %"], rows)


def _number(found: ObjectFlicker) -> float:
    return found.objects / found.frames


def _false(found: ObjectFlicker) -> float:
    return found.false / found.frames


def _events(found: ObjectFlicker) -> float:
    return float(np.mean(found.events))


def _hits(found: ObjectFlicker) -> float:
    return found.hits / max(found.true, 1)


def _mean(
    found: Mapping[str, ObjectFlicker], scores: Sequence[str], value: Callable[[ObjectFlicker], float]
) -> float:
    return float(np.mean([value(found[score]) for score in scores]))


Interval = tuple[float, float]


def _ap_change(half: Halves, memory: Memory, score: str, weights: Weights) -> Interval:
    return _interval(half[memory].redrawn_ap(score, weights) - half[NONE].redrawn_ap(score, weights))


def _flicker_change(half: Halves, memory: Memory, score: str, weights: Weights, side: int) -> Interval:
    after, before = (half[each].changes(score, weights)[side] for each in (memory, NONE))
    return _interval(after - before)


def _events_change(
    before: Mapping[str, ObjectFlicker],
    after: Mapping[str, ObjectFlicker],
    scores: Sequence[str],
    weights: Weights,
) -> Interval:
    change = np.mean([np.subtract(after[score].events, before[score].events) for score in scores], 0)
    taken = weights[:, 1:]
    return _interval((taken @ change) / np.maximum(taken.sum(1), 1))


def _interval(changes: NDArray[np.float64]) -> Interval:
    low, high = np.nanquantile(changes, [0.025, 0.975])
    return float(low), float(high)


def _text(interval: Interval, digits: int, scale: float = 100) -> str:
    return " to ".join(f"{scale * side:+.{digits}f}" for side in interval)

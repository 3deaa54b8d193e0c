"""The lines of docs/results/choice.md on anomaly scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.effect.frames.tiny import TINY
from benchmarks.effect.page.gains import Cells, Gains, gains, interval, share_worse
from benchmarks.effect.page.measured import markdown
from benchmarks.effect.rows.candidates import CANDIDATES, Candidate

_WORSE_ALLOWED = 1 / 3
_SHOWN = 12
_HEAD = """\
# The choice of the default

Written by `python -m benchmarks.effect.choice`; do not edit. Sets, cells, gain and choice are those of
[protocol.md](protocol.md), which was written before. m is the average of a pixel's region means, t the square
of the average of its regions' means of √D. h is the average in which every partition counts half as much as
the one before it, m₁ the mean of the first alone, f the square of the mean of √D over the region of the last.
√(h max(D, f)) is the rule "adaptive" for one score.
"""


def page(cells: Cells, draws: int) -> list[str]:
    """The lines of the page.

    Args:
        cells: Those that count, by set.
        draws: Of the bootstraps.
    """
    found = gains(cells)
    greatest = _best(found, range(len(cells)), CANDIDATES)
    leader = _best(found, range(len(cells)), _allowed(_demanded(cells)))
    strict = _best(found, range(len(cells)), _allowed(cells))
    order = sorted(CANDIDATES, key=lambda candidate: -float(found[candidate].mean()))
    shown = [
        each
        for index, each in enumerate(order)
        if index < _SHOWN or each.rule == leader.rule or each.regions == leader.regions
    ]
    counted = ", ".join(f"{key} {len(several)}" for key, several in cells.items())
    rows = [_row(cells, found, each, each == leader) for each in shown]
    return [
        *(_HEAD, f"Cells that count: {counted}.", "", "## Gain by set", ""),
        *markdown(
            ["regions", "rule", *cells, "mean", "FPR95 above the base's (without the tiny / with them)"], rows
        ),
        *("## Choice", "", f"- The greatest mean gain of all: {greatest}."),
        "- The greatest of those whose FPR95 is above the base's in at most a third of the cells, the tiny "
        f"left out: {leader}.",
        f"- The same, counted over the tiny too: {strict}.",
        "",
        *_rivals(cells, leader, shown, draws),
        *_left_out(cells, found, leader),
    ]


def _best(found: Mapping[Candidate, Gains], sets: Sequence[int], among: Sequence[Candidate]) -> Candidate:
    """The greatest mean gain over some sets."""
    return max(among, key=lambda candidate: float(found[candidate][list(sets)].mean()))


def _allowed(cells: Cells) -> list[Candidate]:
    return [candidate for candidate in CANDIDATES if share_worse(cells, candidate) <= _WORSE_ALLOWED]


def _demanded(cells: Cells) -> Cells:
    """The cells of the condition: the tiny are a part of another set."""
    return {key: several for key, several in cells.items() if key != TINY}


def _row(cells: Cells, found: Mapping[Candidate, Gains], candidate: Candidate, bold: bool) -> list[str]:
    numbers = [f"{value:+.2f}" for value in (*found[candidate], found[candidate].mean())]
    shares = (share_worse(_demanded(cells), candidate), share_worse(cells, candidate))
    words = [
        candidate.regions,
        candidate.rule,
        *numbers,
        " / ".join(f"{100 * share:.0f} %" for share in shares),
    ]
    return [f"**{word}**" for word in words] if bold else words


def _rivals(cells: Cells, leader: Candidate, shown: Sequence[Candidate], draws: int) -> list[str]:
    """What the leader gains over those with its rule or its regions, and whom each harms."""
    rivals = [
        each
        for each in shown
        if (each != leader and leader.rule == each.rule) or leader.regions == each.regions
    ]
    rows = []
    for rival in rivals:
        harmed = sum(cell.is_harmed(rival, draws) for several in cells.values() for cell in several)
        ends = (
            ["", ""] if rival == leader else [f"{end:+.3f}" for end in interval(cells, leader, rival, draws)]
        )
        trees, partitions = rival.cost
        rows.append([rival.regions, rival.rule, f"{trees}, {partitions}", *ends, str(harmed)])
    words = (
        f"The mean gain of {leader} less that of others with its rule or its regions, 95 % by bootstrap over "
        "the frames of each set; and in how many cells FPR95 is above the base's beyond its interval."
    )
    head = ["regions", "rule", "trees, partitions", "from", "to", "cells harmed"]
    return [words, "", *markdown(head, rows)]


def _left_out(cells: Cells, found: Mapping[Candidate, Gains], leader: Candidate) -> list[str]:
    rows = []
    for index, key in enumerate(cells):
        rest = [each for each in range(len(cells)) if each != index]
        others = {name: several for name, several in cells.items() if name != key}
        picked, ideal = _best(found, rest, _allowed(_demanded(others))), _best(found, [index], CANDIDATES)
        shown = [f"{found[each][index]:+.2f}" for each in (picked, leader, ideal)]
        rows.append([key, f"{picked}", *shown, f"{ideal}"])
    head = ["left out", "chosen on the others", "its gain", "of the overall choice", "best possible", "which"]
    return ["## Leave one set out", "", *markdown(head, rows)]

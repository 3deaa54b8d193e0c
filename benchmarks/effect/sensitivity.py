"""What the parameters of the rule "trust" do, on the frames they were chosen on: docs/results/sensitivity.md.

    python -m benchmarks.effect.sensitivity --data DATA --out docs/results

DATA as for `benchmarks.effect.anomaly`. Each parameter is changed by itself; then a setting is chosen on four
fifths of the frames and measured on the last, which says how much could be gained by choosing better.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from benchmarks.effect.anomaly import Frame, open_sets, pooled, read_frames, state_of
from benchmarks.effect.page import publish
from benchmarks.effect.paired import markdown
from csl_plugin import Trust, fuse, load_proposer
from csl_plugin.metrics import State
from csl_plugin.proposers.base import as_partitions
from examples.ood_scores import ood_scores

SCORES = ("energy", "sml")
VALUES: Mapping[str, tuple[float, ...]] = {
    "effective_samples": (600, 1200, 2500, 5000, 10000),
    "exponent": (0, 0.75, 1.5, 2, 3),
    "prior_strength": (0.25, 1, 4),
    "keep_sigma": (1.5, 2, 2.5, 3, np.inf),
}
_DEVELOPMENT = slice(0, None, 2)
_FOLDS = 5
Case: TypeAlias = tuple[str, str]
"""A data set and a score."""
States: TypeAlias = dict[Case, dict["Trust | None", list[State]]]
"""Of all frames, by case and setting; None is the score as it is."""

_HEAD = """\
# What the parameters of the rule "trust" do

Written by `python -m benchmarks.effect.sensitivity`; do not edit.
AP / FPR95 in per cent with the partitions of
`load_proposer()`, on the even frames of both sets ({counts}).
Those are the frames that the defaults were chosen on; docs/results/anomaly.md has the others.

The gain is relative to the base score, in per cent: the mean of the gains of AP and of the reductions of
FPR95 over the four cases. `help(csl_plugin.Trust)` says what a parameter means. Defaults are bold.
"""
_CROSS = """\
## Chosen on some frames, measured on others

Of the settings above the one with the largest gain on four fifths of the frames, and its gain on the last
fifth beside that of the default. Fifths are consecutive frames, because neighbors in a video are alike, and
the same ones in both sets.
"""


def settings() -> list[Trust]:
    """The default, and every one that differs from it in one parameter."""
    default = Trust()
    changed = [replace(default, **{name: value}) for name, values in VALUES.items() for value in values]
    return list(dict.fromkeys([default, *changed]))


def measure(sets: Mapping[str, Iterable[Frame]]) -> States:
    """All settings on all frames; regions are proposed once a frame."""
    proposer, states = load_proposer(), States()
    for name, frames in sets.items():
        for frame in frames:
            regions = as_partitions(proposer(frame.image))
            for score in SCORES:
                values, found = frame.scores[score], states.setdefault((name, score), {})
                found.setdefault(None, []).append(state_of(values, frame.label))
                for trust in settings():
                    fused = fuse(values, regions, rule=trust, split=False)
                    found.setdefault(trust, []).append(state_of(fused, frame.label))
    return states


def figures(
    states: States, setting: Trust | None, chosen: Sequence[Sequence[int]]
) -> dict[Case, tuple[float, float]]:
    """AP and FPR95 of every case, pooled over some frames of each set.

    Args:
        states: Of all frames.
        setting: Which.
        chosen: Indices of the frames, for each data set in the order of `states`.
    """
    frames_of = dict(zip(dict.fromkeys(name for name, _ in states), chosen, strict=True))
    computed = {
        case: pooled(found[setting][index] for index in frames_of[case[0]]).compute()
        for case, found in states.items()
    }
    return {case: (figure.ap, figure.fpr95) for case, figure in computed.items()}


def gain(before: Mapping[Case, tuple[float, float]], after: Mapping[Case, tuple[float, float]]) -> float:
    """The mean relative gain: that of AP, and of FPR95 with its sign turned."""
    gains = [(after[case][0] / ap - 1, 1 - after[case][1] / fpr95) for case, (ap, fpr95) in before.items()]
    return float(np.mean(gains))


def parameter_tables(states: States, chosen: Sequence[Sequence[int]]) -> list[str]:
    """One table for each parameter."""
    default, base = Trust(), figures(states, None, chosen)
    head = [f"{name}, {score}" for name, score in states]

    def cells(found: Mapping[Case, tuple[float, float]]) -> list[str]:
        return [f"{100 * ap:.1f} / {100 * fpr95:.1f}" for ap, fpr95 in found.values()]

    lines = markdown(["", *head], [["base", *cells(base)]])
    for name, values in VALUES.items():
        rows = []
        for value in values:
            setting = replace(default, **{name: value})
            found = figures(states, setting, chosen)
            row = [f"{value:g}", *cells(found), f"{100 * gain(base, found):+.1f}"]
            rows.append([f"**{cell}**" for cell in row] if setting == default else row)
        lines += [f"## {name}", "", *markdown([name, *head, "gain"], rows)]
    return lines


def cross_validation(states: States, counts: Sequence[int]) -> list[str]:
    """A row for each fifth of the frames, and their mean."""
    fold_of = [np.arange(count) * _FOLDS // count for count in counts]
    rows, kept = [], []
    for fold in range(_FOLDS):
        held = [np.flatnonzero(which == fold).tolist() for which in fold_of]
        rest = [np.flatnonzero(which != fold).tolist() for which in fold_of]
        base, base_held = figures(states, None, rest), figures(states, None, held)
        best = max(settings(), key=lambda setting: gain(base, figures(states, setting, rest)))
        gains = [gain(base_held, figures(states, setting, held)) for setting in (best, Trust())]
        kept.append(gains)
        rows.append([str(fold + 1), _difference(best), *(f"{100 * value:+.1f}" for value in gains)])
    rows.append(["mean", "", *(f"{100 * value:+.1f}" for value in np.mean(kept, axis=0))])
    return markdown(["fifth", "chosen", "gain of the chosen", "gain of the default"], rows)


def _difference(setting: Trust) -> str:
    """What tells a setting from the default."""
    default = Trust()
    changed = [
        f"{name}={getattr(setting, name):g}"
        for name in VALUES
        if getattr(setting, name) != getattr(default, name)
    ]
    return ", ".join(changed) or "the default"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="folder of the page; left out, it is printed alone")
    options = parser.parse_args()
    teacher, sets = options.data / "teacher", open_sets(options.data)
    scores = {
        name: score for name, score in ood_scores(teacher / "statistics.json").items() if name in SCORES
    }
    states = measure(
        {name: read_frames(dataset, teacher / name, scores, _DEVELOPMENT) for name, dataset in sets.items()}
    )
    counts = [len(dataset.frames[_DEVELOPMENT]) for dataset in sets.values()]
    words = ", ".join(f"{name}: {count}" for name, count in zip(sets, counts, strict=True))
    lines = [
        _HEAD.format(counts=words),
        *parameter_tables(states, [range(count) for count in counts]),
        _CROSS,
        *cross_validation(states, counts),
    ]
    publish(lines, options.out, "sensitivity.md")


if __name__ == "__main__":
    main()

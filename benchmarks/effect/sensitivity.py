"""What the parameters of the rule "trust" do, on the frames they were chosen on: docs/results/sensitivity.md.

    python -m benchmarks.effect.sensitivity --data DATA --out docs/results

DATA as for `benchmarks.effect.anomaly`. Each parameter is varied with the others at their defaults. Then the
best setting on four fifths of the frames is measured on the last fifth, which shows how much a better choice
could gain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from benchmarks.effect.frames.scored import Frame, open_sets, read_frames
from benchmarks.effect.page.command import page_parser, publish
from benchmarks.effect.page.measured import markdown
from benchmarks.effect.page.pooled import pooled, state_of
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
"""Of all frames, by case and setting; None is the unfused score."""

_HEAD = """\
# What the parameters of the rule "trust" do

Written by `python -m benchmarks.effect.sensitivity`; do not edit.

AP / FPR95 in per cent with the partitions of `load_proposer()`, on the even frames of both sets ({counts}).
The defaults were chosen on these frames; [anomaly.md](anomaly.md) has the others.

The gain is relative to the base score, in per cent: the mean over the four cases of the gains of AP and the
reductions of FPR95. `help(csl_plugin.Trust)` describes the parameters. Defaults are bold.
"""
_CROSS = """\
## Cross-validation

The setting with the largest gain on four fifths of the frames, and its gain on the last fifth beside that of
the default. Fifths are consecutive frames, because neighboring frames of a video are alike, and the same ones
in both sets.
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


def ap_and_fpr95(
    states: States, setting: Trust | None, chosen: Sequence[Sequence[int]]
) -> dict[Case, tuple[float, float]]:
    """AP and FPR95 of every case, pooled over some frames of each set.

    Args:
        states: Of all frames.
        setting: A rule, or None for the unfused score.
        chosen: Indices of the frames, for each data set in the order of `states`.
    """
    frames_of = dict(zip(dict.fromkeys(name for name, _ in states), chosen, strict=True))
    computed = {
        case: pooled(found[setting][index] for index in frames_of[case[0]]).compute()
        for case, found in states.items()
    }
    return {case: (values.ap, values.fpr95) for case, values in computed.items()}


def gain(before: Mapping[Case, tuple[float, float]], after: Mapping[Case, tuple[float, float]]) -> float:
    """The mean relative gain: that of AP, and of FPR95 with its sign turned."""
    gains = [(after[case][0] / ap - 1, 1 - after[case][1] / fpr95) for case, (ap, fpr95) in before.items()]
    return float(np.mean(gains))


def parameter_tables(states: States, chosen: Sequence[Sequence[int]]) -> list[str]:
    """One table for each parameter."""
    default, base = Trust(), ap_and_fpr95(states, None, chosen)
    head = [f"{name}, {score}" for name, score in states]

    def cells(found: Mapping[Case, tuple[float, float]]) -> list[str]:
        return [f"{100 * ap:.1f} / {100 * fpr95:.1f}" for ap, fpr95 in found.values()]

    lines = markdown(["", *head], [["base", *cells(base)]])
    for name, values in VALUES.items():
        rows = []
        for value in values:
            setting = replace(default, **{name: value})
            found = ap_and_fpr95(states, setting, chosen)
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
        base, base_held = ap_and_fpr95(states, None, rest), ap_and_fpr95(states, None, held)
        best = max(settings(), key=lambda setting: gain(base, ap_and_fpr95(states, setting, rest)))
        gains = [gain(base_held, ap_and_fpr95(states, setting, held)) for setting in (best, Trust())]
        kept.append(gains)
        rows.append([str(fold + 1), _difference(best), *(f"{100 * value:+.1f}" for value in gains)])
    rows.append(["mean", "", *(f"{100 * value:+.1f}" for value in np.mean(kept, axis=0))])
    return markdown(["fifth", "chosen", "gain of the chosen", "gain of the default"], rows)


def _difference(setting: Trust) -> str:
    """The parameters in which a setting differs from the default."""
    default = Trust()
    changed = [
        f"{name}={getattr(setting, name):g}"
        for name in VALUES
        if getattr(setting, name) != getattr(default, name)
    ]
    return ", ".join(changed) or "the default"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    options = page_parser(__doc__).parse_args(arguments)
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

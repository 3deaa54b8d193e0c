"""Regions and the anomaly scores of a teacher: docs/results/anomaly.md, csl-tiny-strict.md, csl-tiny-open.md.

    python -m benchmarks.effect.anomaly --data DATA --frames 1::2 --out docs/results
    python -m benchmarks.effect.anomaly --data DATA --frames 1::2 --out docs/results --network csl-tiny-strict

DATA holds `pasted`, `camvid` and `teacher` as the examples describe them. Every score of the teacher is fused
with every kind of regions. Metrics are exact over the pooled pixels of each set, intervals are by bootstrap
over frames.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.effect.frames.scored import TITLES, Frame, open_sets, read_frames, true_regions
from benchmarks.effect.networks.bundled import BUNDLED, bundled_network
from benchmarks.effect.page.command import frame_slice, page_parser, publish
from benchmarks.effect.page.measured import markdown
from benchmarks.effect.page.pooled import StoredStates, pooled, state_of
from benchmarks.effect.rows.anomaly import (
    BASE,
    EQ3,
    SUPERPIXELS,
    TRUE_EQ3,
    TRUST,
    Row,
    default_source,
    methods_of,
    own_regions,
)
from csl_plugin.metrics import PooledAnomaly, bootstrap_difference
from csl_plugin.models import CSLNetwork
from examples.ood_scores import ood_scores

States = dict[str, dict[Row, StoredStates]]
"""Of all frames, by score and row."""

METRICS = {"ap": "AP", "fpr95": "FPR95", "auroc": "AUROC"}
_HEAD = """\
# {title}

Written by `python -m benchmarks.effect.anomaly`; do not edit.

What regions do to the scores of a small segmenter that was not trained on the objects to be found
(`examples/pasted_objects.py` and `examples/camvid_unseen.py` describe the data and the scores). AP, FPR95 and
AUROC in per cent, exact over the pooled pixels of the frames, void excluded. Lower FPR95 is better.

The network was not trained on these frames or objects. The few constants of the rule "trust" and of the
proposers were chosen on the even frames of both sets; the tables are of frames {frames}.

| rule | the score of a pixel becomes |
|---|---|
| eq. 3 | the mean of its region times the score |
| mean | the mean of its region; with several partitions, the average of these means |
| soft mixture | region means by the posterior R·V of every region of eq. 2 instead of its arg max |
| trust | see [fusion.md](../guide/fusion.md) |

Regions are named as in `load_proposer`. **{default}** is {default_word}.
**{own}** are the regions of `load_proposer("{name}")`: eq. 2 over the regions that the network's boundaries
enclose. "eq. 2" is the soft assignment of the region scores, "split" cuts its regions into connected
components. True regions are the connected components of the labels, crossed with the classes that the
segmenter predicts: the upper limit, with perfect regions.
"""


def measure(frames: Iterable[Frame], network: CSLNetwork, name: str, folder: Path) -> States:
    """The states of all frames by score and row, kept in a folder."""
    states: States = {}
    for frame in frames:
        methods = methods_of(frame.image, true_regions(frame), network, name)
        for score, values in frame.scores.items():
            found = states.setdefault(score, {})
            for index, (row, method) in enumerate(methods.items()):
                if row not in found:
                    found[row] = StoredStates(folder / f"{score}-{index}")
                found[row].append(state_of(method(values), frame.label))
    return states


def tables(states: States, name: str) -> list[str]:
    """Markdown: a table for each metric, with a row for each method and a column for each score."""
    chosen = Row(default_source(name), TRUST)
    computed = {
        score: {row: pooled(frames).compute() for row, frames in found.items()}
        for score, found in states.items()
    }
    lines: list[str] = []
    for metric, title in METRICS.items():
        rows = []
        for row in next(iter(states.values())):
            cells = [*row, *(f"{100 * getattr(computed[score][row], metric):.1f}" for score in states)]
            rows.append([f"**{cell}**" for cell in cells] if row == chosen else cells)
        lines += [f"### {title}", "", *markdown(["regions", "rule", *states], rows)]
    return lines


def changes(states: States, name: str, draws: int) -> list[str]:
    """Markdown: 95 % intervals of the changes by the default and by eq. 3, by bootstrap over frames."""
    changed = {TRUST: Row(default_source(name), TRUST), EQ3: Row(own_regions(name), EQ3)}
    against = {"base": BASE, f"true regions, {EQ3}": TRUE_EQ3}
    against |= {f"{source}, {EQ3}": Row(source, EQ3) for source in SUPERPIXELS}
    pairs = {
        f"{rule} - {words}": (before, after)
        for rule, after in changed.items()
        for words, before in against.items()
    }
    rows = []
    for title, (before, after) in pairs.items():
        intervals = {
            score: bootstrap_difference(PooledAnomaly(), found[before], found[after], draws=draws)
            for score, found in states.items()
        }
        for metric, word in METRICS.items():
            found = [intervals[score][metric] for score in states]
            rows.append(
                [title, word, *(f"{100 * each.low:+.1f} to {100 * each.high:+.1f}" for each in found)]
            )
    words = (
        f'95 % intervals of changes, by bootstrap over frames. "{TRUST}" is that of {default_source(name)}, '
        f'"{EQ3}" that of {own_regions(name)}.'
    )
    return ["### Changes", "", words, "", *markdown(["change", "metric", *states], rows)]


def section(frames: Iterable[Frame], network: CSLNetwork, name: str, draws: int) -> list[str]:
    """Markdown for one data set."""
    with tempfile.TemporaryDirectory() as folder:
        states = measure(frames, network, name, Path(folder))
        return [*tables(states, name), *changes(states, name, draws)]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = page_parser(__doc__, frames=":", draws=1000)
    parser.add_argument("--network", default=BUNDLED[0], choices=BUNDLED)
    options = parser.parse_args(arguments)
    name, part = options.network, frame_slice(options.frames)
    default = name == BUNDLED[0]
    network = bundled_network(name)
    teacher = options.data / "teacher"
    scores = ood_scores(teacher / "statistics.json")
    lines = [
        _HEAD.format(
            title="Anomaly scores with regions" + ("" if default else f" of {name}"),
            name=name,
            own=own_regions(name),
            frames=options.frames,
            default=default_source(name),
            default_word="the proposer of `load_proposer()`" if default else "the default with this network",
        )
    ]
    for key, dataset in open_sets(options.data).items():
        frames = read_frames(dataset, teacher / key, scores, part)
        lines += [f"## {TITLES[key]}, {len(dataset.frames[part])} frames", ""]
        lines += section(frames, network, name, options.draws)
    publish(lines, options.out, "anomaly.md" if default else f"{name}.md")


if __name__ == "__main__":
    main()

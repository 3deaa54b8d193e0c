"""The tables of docs/results/anomaly.md."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmarks.effect.page.cells import AGAINST, F1, LOWER_IS_BETTER, Cell, Change
from benchmarks.effect.page.measured import markdown
from benchmarks.effect.rows.anomaly import BASE, SHIPPED, Row

_PIXELS = ("ap", "fpr95", "auroc")
_COMPONENTS = ("siou_gt", "ppv", F1)
_NEARLY = 0.98
_WORDS = {"ap": "AP", "fpr95": "FPR95", F1: "mean F1"}


def summary(cells: Sequence[Cell]) -> list[str]:
    """In how many cells the default is better or worse than the rows it is compared with."""
    rows = []
    for name, row in AGAINST.items():
        for metric, word in _WORDS.items():
            changes = [
                cell.changes[row.key, metric]
                for cell in cells
                if cell.informative and (row.key, metric) in cell.changes
            ]
            if changes:
                rows.append([name, word, *_counted(changes)])
    return markdown(
        ["against", "metric", "cells", "better", "beyond the interval", "worse", "beyond it"], rows
    )


def _counted(changes: Sequence[Change]) -> list[str]:
    better, worse = ([each for each in changes if sign * each.gain > 0] for sign in (1, -1))
    counts = [len(changes), len(better), sum(each.beyond for each in better)]
    return [str(count) for count in (*counts, len(worse), sum(each.beyond for each in worse))]


def all_rows(cells: Sequence[Cell], rows: Sequence[Row]) -> list[str]:
    """Of every row: its mean values, and in how many cells it is worse than the base score."""
    told = [cell for cell in cells if cell.informative]
    lines = []
    for row in rows:
        texts = [row.title]
        for metric in ("ap", "fpr95"):
            values = [_value(cell.pixels, row, metric) for cell in told]
            base = [_value(cell.pixels, BASE, metric) for cell in told]
            worse = sum(_is_worse(metric, *pair) for pair in zip(values, base, strict=True))
            texts += [_per_cent(_mean(values)), f"{worse} of {len(told)}" if row is not BASE else ""]
        lines.append([f"**{text}**" if text else "" for text in texts] if row is SHIPPED else texts)
    return markdown(["row", "mean AP", "AP below base", "mean FPR95", "FPR95 above base"], lines)


def pixel_table(cells: Sequence[Cell], rows: Sequence[Row]) -> list[str]:
    """AP / FPR95 / AUROC of every row and score of one segmenter on one set."""
    return _table(cells, rows, _PIXELS, lambda cell: cell.pixels)


def component_table(cells: Sequence[Cell], rows: Sequence[Row]) -> list[str]:
    """sIoU_gt / PPV / mean F1 of the rows whose components are measured."""
    measured = [row for row in rows if row.components]
    return _table(cells, measured, _COMPONENTS, lambda cell: cell.components)


def _table(
    cells: Sequence[Cell],
    rows: Sequence[Row],
    metrics: Sequence[str],
    of: Callable[[Cell], Mapping[str, Any]],
) -> list[str]:
    best = {
        (cell.score, metric): _best(metric, (_value(of(cell), row, metric) for row in rows if not row.bound))
        for cell in cells
        for metric in metrics
    }
    lines = []
    for row in rows:
        texts = [row.title]
        for cell in cells:
            values = of(cell)
            texts.append(
                " / ".join(
                    _marked(
                        metric,
                        _value(values, row, metric),
                        _value(values, BASE, metric),
                        None if row.bound else best[cell.score, metric],
                    )
                    for metric in metrics
                )
            )
        lines.append(texts)
    return markdown(["", *(cell.score for cell in cells)], lines)


def changes_table(cells: Sequence[Cell]) -> list[str]:
    """The default against other rows: change and interval, in points."""
    pairs = [
        (name, row.key, metric)
        for name, row in AGAINST.items()
        for metric in _WORDS
        if (row.key, metric) in cells[0].changes
    ]
    head = [f"{_WORDS[metric]}, less {name}" for name, _, metric in pairs]
    rows = [
        [
            cell.frames.title,
            cell.network,
            cell.score if cell.informative else f"({cell.score})",
            *(_change_text(cell.changes[key, metric]) for _, key, metric in pairs),
        ]
        for cell in cells
    ]
    return markdown(["set", "segmenter", "score", *head], rows)


def losses_table(cells: Sequence[Cell]) -> list[str]:
    """The cells in which the default is worse than the base, or clearly worse in AP than another rule."""
    rows = []
    for cell in cells:
        found = [
            _within(f"{_WORDS[metric]} {100 * change.value:+.1f} to {name}", change)
            for name, row in AGAINST.items()
            for metric in _WORDS
            if (change := cell.changes.get((row.key, metric))) and _is_loss(cell, row, metric, change)
        ]
        if found and cell.informative:
            rows.append([cell.frames.title, cell.network, cell.score, ", ".join(found)])
    return markdown(["set", "segmenter", "score", "the default"], rows) if rows else ["None.", ""]


def _is_loss(cell: Cell, row: Row, metric: str, change: Change) -> bool:
    if row is BASE:
        return change.gain < 0
    other = _value(cell.pixels, row, "ap")
    return metric == "ap" and other + change.value < _NEARLY * other


def _within(text: str, change: Change) -> str:
    return text if change.beyond else f"({text})"


def _change_text(change: Change) -> str:
    text = (
        f"{100 * change.value:+.1f} ({100 * change.interval.low:+.1f} to {100 * change.interval.high:+.1f})"
    )
    if not change.beyond:
        return text
    return f"**{text}**" if change.gain > 0 else f"*{text}*"


def _value(values: Mapping[str, Any], row: Row, metric: str) -> float:
    return float(getattr(values[row.key], metric))


def _best(metric: str, values: Iterable[float]) -> float:
    defined = [value for value in values if math.isfinite(value)]
    if not defined:
        return math.nan
    return min(defined) if metric in LOWER_IS_BETTER else max(defined)


def _marked(metric: str, value: float, base: float, best: float | None) -> str:
    text = _per_cent(value)
    if value == best:
        return f"**{text}**"
    return f"*{text}*" if _is_worse(metric, value, base) else text


def _is_worse(metric: str, value: float, base: float) -> bool:
    return value > base if metric in LOWER_IS_BETTER else value < base


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _per_cent(value: float) -> str:
    return f"{100 * value:.1f}" if math.isfinite(value) else "-"

"""What the tasks of `csl-plugin eval` share: the loop over pairs, and the table of values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from csl_plugin.cli.anomaly_labels import stored_values
from csl_plugin.cli.answer import SUCCESS, Answer
from csl_plugin.cli.eval.pairs import Pairs, Reader, naming_files, read_pairs
from csl_plugin.cli.streams import say
from csl_plugin.io import read_label_png
from csl_plugin.io.json_values import null_for_nan


def measure(
    pairs: Pairs, read: Reader, metrics: Sequence[Any], verb: str, read_label: Reader = read_label_png
) -> None:
    """Update metrics with all pairs.

    Raises:
        CSLError: A file cannot be read or measured; the message names it.
    """
    for pair, prediction, label in read_pairs(pairs, read, read_label, verb):
        with naming_files(pair):
            for metric in metrics:
                metric.update(prediction, label)


def label_values(pairs: Pairs) -> list[int]:
    """The values that the labels hold, in rising order; the files are read again."""
    return sorted(set[int]().union(*(stored_values(pair.label) for pair in pairs)))


def answer(
    task: str,
    found: Mapping[str, float],
    facts: Mapping[str, Any],
    pairs: Pairs,
    warnings: Sequence[str],
    per_class: Sequence[float] = (),
    *,
    details: Mapping[str, Any] = MappingProxyType({}),
    lines: Sequence[str] = (),
) -> Answer:
    """Values and settings: a table in per cent, or JSON of fractions; warnings go to stderr too.

    Args:
        task: Its name.
        found: The values.
        facts: The settings, and what else is in both.
        pairs: What was measured.
        warnings: What is not defined, and why.
        per_class: The value of each class.
        details: What is in the JSON alone.
        lines: What is in the text alone, below the table.
    """
    for warning in warnings:
        say(f"warning: {warning}")
    values = {**found, **({"per_class": per_class} if per_class else {})}
    written = {
        "command": "eval",
        "task": task,
        **values,
        **facts,
        **details,
        "skipped_files": pairs.skipped,
        "warnings": [*warnings],
    }
    width = max(map(len, found))
    table = [f"{task}: " + ", ".join(f"{name} {_word(value)}" for name, value in facts.items())]
    table += [f"  {name:<{width}}  {_per_cent(value)}" for name, value in found.items()]
    table += [f"  {f'class {index}':<{width}}  {_per_cent(value)}" for index, value in enumerate(per_class)]
    table += lines
    if pairs.skipped:
        suffixes = ", ".join(f"{count} {suffix}" for suffix, count in pairs.skipped.items())
        table.append(f"  skipped files: {sum(pairs.skipped.values())} ({suffixes})")
    return Answer(SUCCESS, null_for_nan(written), table)


def _per_cent(value: float) -> str:
    return f"{100 * value:6.2f} %" if math.isfinite(value) else "not defined"


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else "not defined"
    return str(value)

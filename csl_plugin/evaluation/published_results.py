"""The paper's printed rows, tables 1 to 7, as data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class PrintedRow:
    """One method of one table, in per cent as printed.

    Args:
        table: 1 to 7.
        benchmark: Name of the benchmark.
        split: The split it was measured on.
        method: As printed, without marks.
        base: Figures of the method alone (in table 7, of the region proposals).
        csl1: Figures of scheme 1, empty where none are printed.
        csl2: Figures of scheme 2, the one this command measures.
    """

    table: int
    benchmark: str
    split: str
    method: str
    base: Mapping[str, Any]
    csl1: Mapping[str, Any]
    csl2: Mapping[str, Any]


@cache
def printed_rows() -> tuple[PrintedRow, ...]:
    """All rows, in the order of the tables.

    Example:
        >>> row = printed_rows()[5]
        >>> row.table, row.method, row.base["ap"], row.csl2["ap"]
        (1, 'ObsNet', 75.4, 80.1)

    Source:
        Paper, tables 1 to 7; AUPR and AP are one figure here, "ap".
    """
    text = files("csl_plugin.evaluation").joinpath("published_results.json").read_text(encoding="utf-8")
    empty: dict[str, Any] = {"base": {}, "csl1": {}, "csl2": {}}
    return tuple(PrintedRow(**{**empty, **row}) for row in json.loads(text))


def printed_for(benchmark: str, split: str, method: str | None) -> tuple[PrintedRow, ...]:
    """The rows of a method on a benchmark and split; of every proposal where the rows are the methods.

    Spaces, dashes, underscores and capitals of the method's name do not matter. Table 7 has no methods of
    others, so its rows come whatever the name. A row of another split is not comparable and not given.

    Example:
        >>> [row.table for row in printed_for("smiyc-anomaly-track", "test", "obsnet")]
        [1, 4]
    """
    rows = [row for row in printed_rows() if (row.benchmark, row.split) == (benchmark, split)]
    if benchmark == "coco-stuff-regions":
        return tuple(rows)
    return tuple(row for row in rows if method and _plain(row.method) == _plain(method))


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())

"""The results that the paper prints in its tables 1 to 7, and those of a public leaderboard, as data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class PublishedRow:
    """One method of one table, in per cent as printed.

    Args:
        table: 1 to 7 of the paper; None for a row of another source.
        benchmark: Name of the benchmark.
        subset: The data set's subset.
        method: As printed, without marks.
        base: Values of the method alone (in table 7, of the region proposals).
        csl1: Values of scheme 1, empty if none are printed.
        csl2: Values of scheme 2, which `run_benchmark` measures.
        source: Where the row stands, if not in the paper.
    """

    table: int | None
    benchmark: str
    subset: str
    method: str
    base: Mapping[str, Any]
    csl1: Mapping[str, Any]
    csl2: Mapping[str, Any]
    source: str = ""

    @property
    def origin(self) -> str:
        """Where the row stands."""
        return self.source or f"paper, table {self.table}"

    def as_json(self) -> dict[str, Any]:
        """JSON values; the subset is called "split", as on the command line."""
        return {"split" if name == "subset" else name: value for name, value in asdict(self).items()}


@cache
def published_rows() -> tuple[PublishedRow, ...]:
    """All rows, in the order of the tables, then those of other sources.

    Example:
        >>> row = published_rows()[5]
        >>> row.table, row.method, row.base["ap"], row.csl2["ap"]
        (1, 'ObsNet', 75.4, 80.1)

    Source:
        Paper, tables 1 to 7; "ap" stands for both AUPR and AP. SegmentMeIfYouCan's leaderboard.
    """
    text = files("csl_plugin.evaluation").joinpath("published_results.json").read_text(encoding="utf-8")
    empty: dict[str, Any] = {"base": {}, "csl1": {}, "csl2": {}}
    return tuple(PublishedRow(**{**empty, **row}) for row in json.loads(text))


def published_rows_of(benchmark: str, subset: str, method: str | None) -> tuple[PublishedRow, ...]:
    """The rows of a method on a benchmark and subset; all rows of table 7, which has no methods of others.

    Spaces, dashes, underscores and capitals in the method's name are ignored. Of a plug-in on another method,
    such as "AnomDINO + RbA", each of the two names is enough. Rows of another subset are not comparable and
    are omitted.

    Example:
        >>> [row.table for row in published_rows_of("smiyc-anomaly-track", "test", "obsnet")]
        [1, 4]
        >>> [row.method for row in published_rows_of("smiyc-obstacle-track", "test", "rba")]
        ['RbA', 'AnomDINO + RbA']
    """
    rows = [row for row in published_rows() if (row.benchmark, row.subset) == (benchmark, subset)]
    if benchmark == "coco-stuff-regions":
        return tuple(rows)
    return tuple(row for row in rows if method and _plain(method) in _names(row.method))


def _names(method: str) -> set[str]:
    """The names that select a method: its own, and those of a plug-in and its base."""
    return {_plain(name) for name in (method, *method.split("+"))}


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())

"""The results that the paper prints in its tables 1 to 7, as data."""

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
        table: 1 to 7.
        benchmark: Name of the benchmark.
        subset: The data set's subset.
        method: As printed, without marks.
        base: Values of the method alone (in table 7, of the region proposals).
        csl1: Values of scheme 1, empty if none are printed.
        csl2: Values of scheme 2, which `run_benchmark` measures.
    """

    table: int
    benchmark: str
    subset: str
    method: str
    base: Mapping[str, Any]
    csl1: Mapping[str, Any]
    csl2: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """JSON values; the subset is called "split", as on the command line."""
        return {"split" if name == "subset" else name: value for name, value in asdict(self).items()}


@cache
def published_rows() -> tuple[PublishedRow, ...]:
    """All rows, in the order of the tables.

    Example:
        >>> row = published_rows()[5]
        >>> row.table, row.method, row.base["ap"], row.csl2["ap"]
        (1, 'ObsNet', 75.4, 80.1)

    Source:
        Paper, tables 1 to 7; "ap" stands for both AUPR and AP.
    """
    text = files("csl_plugin.evaluation").joinpath("published_results.json").read_text(encoding="utf-8")
    empty: dict[str, Any] = {"base": {}, "csl1": {}, "csl2": {}}
    return tuple(PublishedRow(**{**empty, **row}) for row in json.loads(text))


def published_rows_of(benchmark: str, subset: str, method: str | None) -> tuple[PublishedRow, ...]:
    """The rows of a method on a benchmark and subset; all rows of table 7, which has no methods of others.

    Spaces, dashes, underscores and capitals in the method's name are ignored. Rows of another subset are not
    comparable and are omitted.

    Example:
        >>> [row.table for row in published_rows_of("smiyc-anomaly-track", "test", "obsnet")]
        [1, 4]
    """
    rows = [row for row in published_rows() if (row.benchmark, row.subset) == (benchmark, subset)]
    if benchmark == "coco-stuff-regions":
        return tuple(rows)
    return tuple(row for row in rows if method and _plain(row.method) == _plain(method))


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())

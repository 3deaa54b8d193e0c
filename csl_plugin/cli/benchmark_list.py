"""`csl-plugin benchmark --list`: the data sets, and what is known of one before it is opened."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

from csl_plugin._nearest import did_you_mean
from csl_plugin.cli.answer import SUCCESS, Answer
from csl_plugin.errors import OptionError

if TYPE_CHECKING:
    from csl_plugin.datasets import DatasetInfo

_WIDTH = 100
_METRICS = {
    "anomaly": "AP, AUROC, FPR95",
    "components": "AP, AUROC, FPR95, mean F1",
    "inspection": "AP, AUROC, FPR95, AUPRO",
    "classes": "mIoU",
    "regions": "mIoU of regions",
    "either": "AP, AUROC, FPR95 or mIoU",
}


def check_name(name: str | None) -> str:
    """The name of a benchmark.

    Raises:
        OptionError: No name, or none of a benchmark.
    """
    known = _known()
    if name is None or name not in known:
        got = "none" if name is None else ascii(name)
        hint = did_you_mean(name, known, "csl-plugin benchmark --list names all.")
        raise OptionError("NAME", got, "the name of a benchmark", hint)
    return name


def listing(name: str | None) -> Answer:
    """The benchmarks, one a line; or of one of them all that is known before it is opened.

    Args:
        name: Which one; None for all.

    Raises:
        OptionError: There is no such benchmark.
    """
    known = _known()
    shown = known if name is None else {check_name(name): known[name]}
    facts = {
        each: {
            "title": info.title,
            "metrics": _METRICS[measured],
            "where": info.where,
            "license": info.license,
            "layout": info.layout,
            "splits": list(info.subsets),
            "default_split": info.default_subset,
            "options": dict(info.options),
        }
        for each, (info, measured) in shown.items()
    }
    lines = _table(known) if name is None else _page(name, *known[name])
    return Answer(SUCCESS, {"command": "benchmark", "benchmarks": facts}, lines)


def missing_data(name: str) -> OptionError:
    """The error of a benchmark without its data."""
    info = _known()[name][0]
    hint = f"Get it from: {info.where}. csl-plugin benchmark {name} --list says more."
    return OptionError("--data", "none", f"the data set's folder: {info.layout}", hint)


def _known() -> Mapping[str, tuple[DatasetInfo, str]]:
    from csl_plugin.datasets import DATASETS, dataset_info, dataset_names
    from csl_plugin.evaluation.registry import REGIONS_BENCHMARK

    infos = {name: dataset_info(name) for name in dataset_names()}
    found = {name: (info, info.measured) for name, info in infos.items()}
    return found | {REGIONS_BENCHMARK: (DATASETS["coco-stuff"], "regions")}


def _table(known: Mapping[str, tuple[DatasetInfo, str]]) -> list[str]:
    rows = [("NAME", "METRICS", "DATA SET")]
    rows += [
        (name, _METRICS[measured], f"{info.title.partition(' (')[0]}: {_address(info.where)}")
        for name, (info, measured) in known.items()
    ]
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    table = [f"{name:<{first}}  {metrics:<{second}}  {what}" for name, metrics, what in rows]
    return [*table, "", "The layout, the splits and the options of one: csl-plugin benchmark NAME --list"]


def _address(where: str) -> str:
    """The first address in a text, without the name of an archive; the text where there is none."""
    found = re.search(r"\S+\.\S*\w", where)
    return re.sub(r"/[^/]*\.zip$", "", found[0]) if found else where


def _page(name: str, info: DatasetInfo, measured: str) -> list[str]:
    splits = [f"{each} (default)" if each == info.default_subset else each for each in info.subsets]
    entries = [
        ("data set", info.title),
        ("metrics", _METRICS[measured]),
        ("get it from", info.where),
        ("terms", info.license),
        ("layout", info.layout),
        ("--split", ", ".join(splits) or "a folder of that name inside"),
        *((f"--option {option}=", values) for option, values in info.options.items()),
    ]
    width = max(len(label) for label, _ in entries)
    lines = [name]
    for label, text in entries:
        first, *rest = textwrap.wrap(text, _WIDTH - width, break_long_words=False, break_on_hyphens=False)
        lines += [f"  {label:<{width}}  {first}", *(f"  {'':<{width}}  {line}" for line in rest)]
    scores = "" if measured == "regions" else " --scores SCORES"
    images = " --images IMAGES" if "images" in info.options else ""
    return [*lines, "", f"  csl-plugin benchmark {name} --data DIR{images}{scores}"]

"""The benchmarks by name: the data sets, and the region benchmark of table 7."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from csl_plugin.arrays import shown
from csl_plugin.datasets import Dataset, dataset_names, open_dataset
from csl_plugin.datasets.coco_stuff import cityscapes_named_classes
from csl_plugin.errors import OptionError
from csl_plugin.evaluation.protocols import Protocols

REGIONS_BENCHMARK = "coco-stuff-regions"


def benchmark_names() -> tuple[str, ...]:
    """The names of all benchmarks."""
    return (*dataset_names(), REGIONS_BENCHMARK)


def open_benchmark(
    name: str, data: Path, subset: str | None, options: Mapping[str, Any]
) -> tuple[Dataset, Protocols]:
    """The data set of a benchmark and what is measured on it.

    Raises:
        OptionError: No such benchmark, subset or option.
        FileError: The data set does not have the published layout.
    """
    if not isinstance(name, str) or name not in benchmark_names():
        expected = "one of " + ", ".join(benchmark_names())
        raise OptionError("NAME", shown(name), expected, "Check the spelling.")
    dataset = open_dataset(
        "coco-stuff" if name == REGIONS_BENCHMARK else name, data, subset=subset, **dict(options)
    )
    protocols = Protocols.of(dataset)
    if name == REGIONS_BENCHMARK:
        unseen = set(range(len(dataset.classes))) - set(cityscapes_named_classes())
        protocols = replace(protocols, task="regions", unseen=tuple(sorted(unseen)))
    return dataset, protocols

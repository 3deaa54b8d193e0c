"""The data sets of the paper and of inspection in their published layouts, and plain folders.

A data set is opened by name. Its layout is checked first; the error names what is missing and where to get
it. Images and labels are read one frame at a time, labels in evaluation ids.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from csl_plugin._nearest import did_you_mean
from csl_plugin.arrays import shown
from csl_plugin.datasets import (
    cityscapes,
    coco_stuff,
    fishyscapes,
    folder,
    lost_and_found,
    mvtec,
    pascal_voc,
    road_anomaly,
    smiyc,
    synscapes,
)
from csl_plugin.datasets.dataset import Dataset, DatasetInfo, Frame, Task
from csl_plugin.datasets.entry_points import registered_dataset, registered_names
from csl_plugin.datasets.ids import ANOMALY_IDS, VOID, IdTable
from csl_plugin.errors import CSLError, FileError, OptionError
from csl_plugin.places import local_path

__all__ = [
    "ANOMALY_IDS",
    "DATASETS",
    "VOID",
    "Dataset",
    "DatasetInfo",
    "Frame",
    "IdTable",
    "Task",
    "dataset_info",
    "dataset_names",
    "open_dataset",
]

DATASETS: dict[str, DatasetInfo] = {
    "smiyc-anomaly-track": smiyc.ANOMALY_TRACK,
    "smiyc-obstacle-track": smiyc.OBSTACLE_TRACK,
    "lostandfound-noknown": lost_and_found.INFO,
    "road-anomaly": road_anomaly.INFO,
    "fishyscapes-lostandfound": fishyscapes.LOST_AND_FOUND,
    "fishyscapes-static": fishyscapes.STATIC,
    "coco-stuff": coco_stuff.INFO,
    "pascal-voc": pascal_voc.INFO,
    "cityscapes": cityscapes.INFO,
    "synscapes": synscapes.INFO,
    "mvtec-ad": mvtec.MVTEC_AD,
    "mvtec-ad-2": mvtec.MVTEC_AD_2,
    "visa": mvtec.VISA,
    "folder": folder.INFO,
}
"""The data sets of this package by name."""


def dataset_names() -> tuple[str, ...]:
    """The names of this package's data sets, and of those that other packages register."""
    return (*DATASETS, *(name for name in registered_names() if name not in DATASETS))


def dataset_info(name: str) -> DatasetInfo:
    """What is known of a data set before it is opened.

    Args:
        name: One of `DATASETS`, or a name that an installed package registers under the entry-point group
            "csl_plugin.datasets".

    Raises:
        OptionError: An unknown name, or one that several packages register.
        MissingExtraError: The package that registers the name cannot be imported.
        DTypeError: It registers something else.

    Example:
        >>> dataset_info("folder").title
        'a folder of images and labels'
    """
    info = DATASETS.get(name) or registered_dataset(name) if isinstance(name, str) else None
    if info is None:
        names = dataset_names()
        hint = did_you_mean(name, names, "Choose one of the data sets.")
        raise OptionError("name", shown(name), ", ".join(names), hint)
    return info


def open_dataset(
    name: str, path: str | os.PathLike[str], *, subset: str | None = None, **options: Any
) -> Dataset:
    """Open a data set in a folder.

    Args:
        name: As for `dataset_info`.
        path: The folder with the published layout, or its parent.
        subset: One of the data set's subsets, such as "val"; None for its default.
        options: Options of the data set, as listed in `dataset_info(name).options`; None is the default.

    Raises:
        OptionError: An unknown name, subset, option or value of an option.
        FileError: The layout is missing or incomplete.
        MissingExtraError, DTypeError: As for `dataset_info`.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> import numpy as np
        >>> from csl_plugin.io import write_png
        >>> with TemporaryDirectory() as path:
        ...     write_png(f"{path}/images/a.png", np.zeros((2, 3, 3), np.uint8))
        ...     write_png(f"{path}/labels/a.png", np.array([[0, 1, 255], [0, 0, 1]], np.uint8))
        ...     dataset = open_dataset("folder", path)
        ...     dataset.task, dataset.read_label(dataset.frames[0]).tolist()
        ('anomaly', [[0, 1, 255], [0, 0, 1]])
    """
    info = dataset_info(name)
    if subset is not None and not isinstance(subset, str):
        raise OptionError("subset", shown(subset), "a name", "Omit it for the default.")
    given = {option: value for option, value in options.items() if value is not None}
    for option in given:
        if option not in info.options:
            expected = ", ".join(info.options) or "no option"
            hint = did_you_mean(option, info.options, f"{name} has no such option: omit it.")
            raise OptionError(option, "an option", expected, hint)
    _check_choices(info, given)
    if info.subsets and subset not in (None, *info.subsets):
        hint = did_you_mean(subset, info.subsets, f"Choose a subset of {name}.")
        raise OptionError("subset", shown(subset), ", ".join(info.subsets), hint)
    if not info.subsets and subset is not None and not _is_plain(subset):
        hint = "Name a folder of the data set."
        raise OptionError("subset", shown(subset), "the name of a folder", hint)
    try:
        place = local_path(path, "path")
        dataset = info.open(place, info.default_subset if subset is None else subset, **given)
    except CSLError:
        raise
    except (OSError, ValueError) as error:  # a name that the system does not take, or no permission
        got, hint = getattr(error, "strerror", None) or str(error), "Check the name and the permissions."
        raise FileError(str(path), got, info.layout, hint) from error
    return replace(dataset, name=name)


def _check_choices(info: DatasetInfo, given: dict[str, Any]) -> None:
    for option, value in given.items():
        choices = info.options[option].split(", ")
        if len(choices) > 1 and (value if isinstance(value, str) else shown(value)) not in choices:
            hint = did_you_mean(value, choices, "Omit it, and it is detected where possible.")
            raise OptionError(option, shown(value), " or ".join(choices), hint)


def _is_plain(subset: str) -> bool:
    return subset == Path(subset).name and subset not in ("", ".", "..")

"""Any images with labels: images/ and labels/ by stem, with a table of the label values."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from csl_plugin.datasets.dataset import Dataset, DatasetInfo
from csl_plugin.datasets.ids import ANOMALY_IDS, VOID, IdTable
from csl_plugin.datasets.layout import find_root, frames_of, listed
from csl_plugin.errors import OptionError
from csl_plugin.io.images import IMAGE_SUFFIXES, list_images
from csl_plugin.io.json_files import read_json
from csl_plugin.io.json_schema import Place, array, in_json, integer, record, table, text
from csl_plugin.io.listing import other_suffixes

_LARGEST_VALUE = 65535
_STORED = integer(0, _LARGEST_VALUE)
_TABLE = '{"names": [...], "ids": {"png value": index}, "void": [png values], "unseen": [indices]}'
_HINT = 'Only names is required, at most 255 of them. For anomalies: {"anomaly": [png values]}.'


def open_folder(path: Path, subset: str | None, *, classes: str | os.PathLike[str] | None = None) -> Dataset:
    """Open a folder of images and labels.

    Args:
        path: Holds images/ and labels/ with files of the same stems; labels are PNG.
        subset: A subfolder of both; None if they hold the files directly.
        classes: The id table, a JSON file; None for classes.json in the folder, if it exists:
            `{"names": [...], "ids": {"png value": index}, "void": [png values], "unseen": [indices]}`.
            Without "ids" the values are the indices; 255 is void unless "ids" contains it. Or
            `{"anomaly": [png values], "void": [png values]}`: all other values are normal. Without a table
            the labels are 0 normal, 1 anomaly and 255 void.

    Raises:
        FileError: Images or labels are missing, or the table is invalid.
    """
    below = f"/{subset}" if subset else ""
    root = find_root(INFO, path, (f"images{below}", f"labels{below}"))
    images = list_images(root / f"images{below}")
    labels = listed(root / f"labels{below}", (".png",))
    frames = frames_of(INFO, root, images, labels)
    file = Path(classes) if classes is not None else root / "classes.json"
    table = read_id_table(file) if classes is not None or file.exists() else None
    return Dataset(
        name="folder",
        task="semantic" if table and table.names else "anomaly",
        subset=subset or "all",
        frames=frames,
        ids=table.ids if table else ANOMALY_IDS,
        output_name=root.resolve().name,
        classes=table.names if table else (),
        unseen=table.unseen if table else (),
        notes=tuple(_left_out(root / f"images{below}", images, labels)),
    )


def _left_out(folder: Path, images: Mapping[str, Path], labels: Mapping[str, Path]) -> Iterator[str]:
    """What is in the folder and no frame."""
    skipped = other_suffixes(folder, IMAGE_SUFFIXES)
    if skipped:
        suffixes = ", ".join(f"{count} {suffix}" for suffix, count in skipped.items())
        yield f"Files in {folder.name} that were skipped: {suffixes}."
    alone = [label.name for stem, label in labels.items() if stem not in images]
    if alone:
        yield f"Labels without an image: {len(alone)}, such as {alone[0]}."


@dataclass(frozen=True)
class ClassTable:
    """Class names, () for anomalies; the meaning of stored values; and the unseen classes."""

    names: tuple[str, ...]
    ids: IdTable
    unseen: tuple[int, ...] = ()


def read_id_table(file: Path) -> ClassTable:
    """The id table of a JSON file, as `open_folder` describes it.

    Raises:
        FileError: Missing, another structure, or indices without a name.
    """
    values, place = read_json(file, _TABLE), Place(str(file))
    if isinstance(values, dict) and "anomaly" in values:
        return record(_anomaly_table, {"anomaly": array(_STORED, 1), "void": array(_STORED)})(values, place)
    if not isinstance(values, dict) or "names" not in values:
        raise place.error(in_json(values), _TABLE, _HINT)
    names = array(text, 1, VOID)(values["names"], place["names"])
    index = integer(0, len(names) - 1)
    fields = {
        "names": array(text),
        "ids": table(index),
        "void": array(_STORED),
        "unseen": array(index),
    }
    return record(_class_table, fields)(values, place)


def _class_table(
    names: tuple[str, ...],
    ids: Mapping[str, int] | None = None,
    void: tuple[int, ...] = (),
    unseen: tuple[int, ...] = (),
) -> ClassTable:
    stored = {str(index): index for index in range(len(names))} if ids is None else ids
    for value in stored:
        if not re.fullmatch(r"[0-9]{1,5}", value) or int(value) > _LARGEST_VALUE:
            hint = "Write the value that the label files hold, in quotes."
            raise OptionError("ids", in_json(value), f"a value from 0 to {_LARGEST_VALUE}", hint)
    if len({int(value) for value in stored}) != len(stored):
        raise OptionError("ids", "a value in two spellings", "each value once", "Write it without zeros.")
    if len(set(unseen)) != len(unseen):
        raise OptionError("unseen", "a class twice", "each class once", "Remove one of the two.")
    values = {int(value): index for value, index in stored.items()}
    return ClassTable(names, IdTable({VOID: VOID} | values | dict.fromkeys(void, VOID)), unseen)


def _anomaly_table(anomaly: tuple[int, ...], void: tuple[int, ...] = ()) -> ClassTable:
    if both := {*anomaly} & {*void}:
        hint = "Remove it from one of the two."
        raise OptionError("void", f"{min(both)}, which is an anomaly too", "values of one meaning", hint)
    values = dict.fromkeys(anomaly, 1) | dict.fromkeys(void, VOID)
    return ClassTable((), IdTable({VOID: VOID} | values, rest=0))


INFO = DatasetInfo(
    title="a folder of images and labels",
    where="your own data",
    license="your own",
    layout="images/<frame>.png (or .jpg, ...) and labels/<frame>.png: 0 normal, 1 anomalous, 255 void, or "
    "what classes.json says",
    subsets=(),
    default_subset=None,
    table="",
    open=open_folder,
    options={"classes": 'a JSON file of the label values: {"anomaly": [255]} or {"names": [...]}'},
    measured="either",
)

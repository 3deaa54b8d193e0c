"""Any images with labels: images/ and labels/ by stem, with a table of the label values."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from csl_plugin.datasets.dataset import Dataset, DatasetInfo
from csl_plugin.datasets.ids import ANOMALY_IDS, VOID, IdTable
from csl_plugin.datasets.layout import find_root, frames_of, listed
from csl_plugin.errors import FileError
from csl_plugin.io.images import list_images
from csl_plugin.io.limits import as_file_error, check_file

_STORED_VALUE = re.compile(r"[0-9]{1,5}")
_LARGEST_VALUE = 65535
_LONGEST_TABLE = 1 << 20


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
    frames = frames_of(INFO, root, images, listed(root / f"labels{below}", (".png",)))
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
    )


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
    if check_file(file) > _LONGEST_TABLE:
        raise FileError(str(file), "a very long file", "an id table", "Name at most 255 classes.")
    with as_file_error(file, "a JSON file"):
        table = json.loads(file.read_text(encoding="utf-8"))
    if isinstance(table, dict) and table.keys() | {"void"} == {"anomaly", "void"}:
        return _anomaly_table(file, table["anomaly"], table.get("void", []))
    if not isinstance(table, dict) or not table.keys() <= {"names", "ids", "void", "unseen"}:
        raise _invalid(file, "another content")
    names = table.get("names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _invalid(file, "no list of names")
    if not 1 <= len(names) <= VOID:
        raise _invalid(file, f"{len(names)} names")
    stored = table.get("ids", {str(index): index for index in range(len(names))})
    if not isinstance(stored, dict) or not all(_STORED_VALUE.fullmatch(value) for value in stored):
        raise _invalid(file, "ids that are not an object of stored values")
    values = {int(value): index for value, index in stored.items()}
    void, unseen = table.get("void", []), table.get("unseen", [])
    _check_numbers(file, "ids", list(stored.values()), len(names) - 1)
    _check_numbers(file, "stored values", list(values), _LARGEST_VALUE)
    _check_numbers(file, "void", void, _LARGEST_VALUE)
    _check_numbers(file, "unseen", unseen, len(names) - 1)
    if len(set(unseen)) != len(unseen):
        raise _invalid(file, "an unseen class twice")
    ids = IdTable({VOID: VOID} | values | dict.fromkeys(void, VOID))
    return ClassTable(tuple(names), ids, tuple(unseen))


def _anomaly_table(file: Path, anomaly: object, void: object) -> ClassTable:
    _check_numbers(file, "anomaly", anomaly, _LARGEST_VALUE)
    _check_numbers(file, "void", void, _LARGEST_VALUE)
    ones, voids = cast("list[int]", anomaly), cast("list[int]", void)
    if not ones or {*ones} & {*voids}:
        raise _invalid(file, "no anomaly value, or one that is void too")
    return ClassTable((), IdTable({VOID: VOID} | dict.fromkeys(ones, 1) | dict.fromkeys(voids, VOID), rest=0))


def _check_numbers(file: Path, what: str, numbers: object, top: int) -> None:
    if not isinstance(numbers, list):
        raise _invalid(file, f"{what} that is not a list")
    for number in numbers:
        if type(number) is not int or not 0 <= number <= top:
            raise _invalid(file, f"{number!r} among the {what} instead of a number from 0 to {top}")


def _invalid(file: Path, got: str) -> FileError:
    expected = '{"names": [...], "ids": {"png value": index}, "void": [png values], "unseen": [indices]}'
    hint = 'Only names is required, at most 255 of them. For anomalies: {"anomaly": [png values]}.'
    return FileError(str(file), got, expected, hint)


INFO = DatasetInfo(
    title="a folder of images and labels",
    where="your own data",
    license="your own",
    layout="images/<frame>.png (or .jpg, ...) and labels/<frame>.png, and classes.json with the label values",
    subsets=(),
    default_subset=None,
    table="",
    open=open_folder,
    options={"classes": "a JSON id table"},
)

"""PASCAL VOC 2012 segmentation with the zero-shot split of 15 seen and 5 unseen classes."""

from __future__ import annotations

import re
from pathlib import Path

from csl_plugin.datasets.dataset import Dataset, DatasetInfo
from csl_plugin.datasets.ids import VOID, IdTable
from csl_plugin.datasets.layout import find_root, first_few, frames_of, incomplete, listed
from csl_plugin.datasets.tables import read_table
from csl_plugin.errors import FileError
from csl_plugin.io.limits import as_file_error, check_file

_LISTS = "ImageSets/Segmentation"
_NAME = re.compile(r"[A-Za-z0-9_-]+")


def open_pascal_voc(path: Path, subset: str) -> Dataset:
    """Open PASCAL VOC 2012: 20 classes; the background is void.

    Args:
        path: The folder VOC2012, or one above it.
        subset: "val" (1449 frames), "train" (1464) or "trainaug" (10582): the list trainaug.txt, or
            train.txt and aug.txt together, without the frames of val.txt; labels from SegmentationClassAug/
            if they exist there.

    Raises:
        FileError: Lists, images or labels are missing.
    """
    needed = [
        "JPEGImages",
        "SegmentationClass",
        f"{_LISTS}/{'train' if subset == 'trainaug' else subset}.txt",
    ]
    root = find_root(INFO, path, needed, ("VOC2012", "VOCdevkit/VOC2012"))
    lists = root / _LISTS
    if subset != "trainaug":
        names = _read_list(lists / f"{subset}.txt")
    elif (lists / "trainaug.txt").is_file():
        names = _read_list(lists / "trainaug.txt")
    elif (lists / "aug.txt").is_file():
        names = _read_list(lists / "train.txt") | _read_list(lists / "aug.txt")
    else:
        raise incomplete(INFO, root, f"no {_LISTS}/trainaug.txt and no {_LISTS}/aug.txt")
    labels = listed(root / "SegmentationClass", (".png",))
    if subset == "trainaug":
        if (lists / "val.txt").is_file():
            names -= _read_list(lists / "val.txt")
        labels |= listed(root / "SegmentationClassAug", (".png",))
    present = listed(root / "JPEGImages", (".jpg",))
    missing = sorted(names - present.keys())
    if missing:
        got = f"no image of {first_few(missing)}, {len(missing)} of {len(names)} frames"
        raise incomplete(INFO, root, got)
    table = read_table("pascal_voc")
    classes = tuple(table["names"])
    return Dataset(
        name="pascal-voc",
        task="semantic",
        subset=subset,
        frames=frames_of(INFO, root, {name: present[name] for name in sorted(names)}, labels),
        ids=IdTable({value + 1: value for value in range(len(classes))} | {0: VOID, VOID: VOID}),
        output_name=f"VOC2012-{subset}",
        classes=classes,
        unseen=tuple(table["unseen"]),
        num_published=INFO.num_published[subset],
    )


def _read_list(file: Path) -> set[str]:
    check_file(file)
    with as_file_error(file, "a list of frames"):
        names = set(file.read_text(encoding="ascii").split())
    strange = sorted(name for name in names if not _NAME.fullmatch(name))
    if strange or not names:
        got = f"the line {strange[0]!r}" if strange else "no name"
        raise FileError(
            str(file), got, "one frame name a line", f"Download the list again from {INFO.where}."
        )
    return names


INFO = DatasetInfo(
    title="PASCAL VOC 2012 (VOCtrainval_11-May-2012.tar)",
    where="host.robots.ox.ac.uk/pascal/VOC/voc2012 (trainaug: labels of the SBD data set)",
    license="Flickr terms of the images",
    layout="JPEGImages/<frame>.jpg, SegmentationClass/<frame>.png and ImageSets/Segmentation/<split>.txt",
    subsets=("val", "train", "trainaug"),
    default_subset="val",
    table="5",
    open=open_pascal_voc,
    num_published={"val": 1449, "train": 1464, "trainaug": 10582},
    measured="classes",
)

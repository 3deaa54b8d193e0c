"""Road Anomaly (Lis et al. 2019) in its three copies; the whole image counts, there is no void."""

from __future__ import annotations

import json
from pathlib import Path, PurePath

import numpy as np

from csl_plugin.datasets.dataset import Dataset, DatasetInfo
from csl_plugin.datasets.ids import IdTable
from csl_plugin.datasets.layout import find_root, frames_of, incomplete, listed, some
from csl_plugin.errors import FileError
from csl_plugin.io.labels import read_label_png

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_COPIES = {
    "the authors' (frame_list.json, frames/)": ("frame_list.json", "frames"),
    "the flat copy (original/, labels/)": ("original", "labels"),
    "the copy with labels_masks/ (images/, labels_masks/)": ("images", "labels_masks"),
}
_LONGEST_LIST = 1 << 20


def open_road_anomaly(path: Path, split: str, *, anomaly_from: int | None = None) -> Dataset:
    """Road Anomaly, its copy recognized by what lies there.

    Args:
        path: The folder of a copy.
        split: "all".
        anomaly_from: The lowest label value that is an anomaly, 2 in the authors' files (1 is road there)
            and 1 in copies that hold 0 and 1. Left out, it is 2 for the authors' layout and wherever a label
            file of a copy holds a 2; the files of a copy are read for this when it is opened.

    Raises:
        FileError: No copy is there, or several, or one whose files use 1 in both meanings.
    """
    folders = ("RoadAnomaly", "RoadAnomaly_jpg", "dataset_RoadAnomaly")
    root = next((path / name for name in folders if (path / name).is_dir()), path)
    copies = [name for name, needed in _COPIES.items() if all((root / part).exists() for part in needed)]
    if len(copies) > 1:
        hint = "Pass a folder that holds one copy: the copies name and value their labels differently."
        raise FileError(str(root), " and ".join(copies), "one copy of Road Anomaly", hint)
    if not copies:
        root = find_root(INFO, path, _COPIES[next(iter(_COPIES))], folders)
    authors, flat = copies == list(_COPIES)[:1], copies == list(_COPIES)[1:2]
    if authors:
        images = _listed_by_authors(root)
        labels = {name: root / "frames" / f"{name}.labels" / "labels_semantic.png" for name in images}
        labels = {name: file for name, file in labels.items() if file.is_file()}
    else:
        images = listed(root / ("original" if flat else "images"), _SUFFIXES)
        labels = listed(root / "labels", (".png",)) if flat else _masks(root / "labels_masks")
    frames = frames_of(INFO, root, images, labels)
    if anomaly_from is None:
        anomaly_from = 2 if authors else _lowest_anomaly(root, [labels[frame.name] for frame in frames])
    values = {value: int(value >= int(anomaly_from)) for value in range(255)}
    return Dataset(
        name="road-anomaly",
        task="anomaly",
        split=split,
        frames=frames,
        ids=IdTable(values, hint="Road Anomaly has no void: check where the labels come from."),
        output_name="RoadAnomaly",
        published=INFO.published["all"],
    )


def _listed_by_authors(root: Path) -> dict[str, Path]:
    file = root / "frame_list.json"
    try:
        text = file.read_text(encoding="utf-8") if file.stat().st_size <= _LONGEST_LIST else ""
        names = json.loads(text)
    except (OSError, ValueError):
        names = None
    plain = isinstance(names, list) and all(
        isinstance(name, str) and name == PurePath(name).name and not name.startswith(".") for name in names
    )
    if not plain or not names:
        hint = f"Get the file anew from {INFO.where}."
        raise FileError(str(file), "another content", "a JSON list of image file names", hint)
    images = {PurePath(name).stem: root / "frames" / name for name in sorted(names)}
    lacking = [image.name for image in images.values() if not image.is_file()]
    if lacking:
        raise incomplete(INFO, root, f"no frames/{some(lacking)}, {len(lacking)} of {len(images)} frames")
    return images


def _masks(folder: Path) -> dict[str, Path]:
    return listed(folder, ("_labels_semantic.png",)) or listed(folder, (".png",))


def _lowest_anomaly(root: Path, labels: list[Path]) -> int:
    """2 where the files are the authors', in which 1 is road; 1 where they hold 0 and 1."""
    only_one, two = [], []
    for file in labels:
        occurring = np.unique(read_label_png(file))
        if 2 in occurring:
            two.append(file.name)
        elif 1 in occurring:
            only_one.append(file.name)
    if two and only_one:
        got = f"labels with a 2 ({some(two)}) and others with a 1 and no 2 ({some(only_one)})"
        hint = "Say which value is the first anomaly: anomaly_from=2 where 1 is road, anomaly_from=1 else."
        raise FileError(str(root), got, "one meaning of 1 in all labels", hint)
    return 2 if two else 1


INFO = DatasetInfo(
    title="Road Anomaly",
    where="www.epfl.ch/labs/cvlab/data/road-anomaly",
    license="credits and terms image by image, some Creative Commons",
    layout="frame_list.json, frames/<frame>.jpg and frames/<frame>.labels/labels_semantic.png; or a copy: "
    "original/ and labels/, or images/ and labels_masks/",
    splits=("all",),
    default_split="all",
    table="4",
    open=open_road_anomaly,
    options={"anomaly_from": "1, 2"},
    published={"all": 60},
)

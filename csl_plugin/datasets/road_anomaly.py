"""Road Anomaly (Lis et al. 2019) in its three copies; the whole image is evaluated, there is no void."""

from __future__ import annotations

from pathlib import Path, PurePath

import numpy as np

from csl_plugin.datasets.dataset import Dataset, DatasetInfo
from csl_plugin.datasets.ids import IdTable
from csl_plugin.datasets.layout import find_root, first_few, frames_of, incomplete, listed
from csl_plugin.errors import FileError
from csl_plugin.io.json_files import read_json
from csl_plugin.io.json_schema import Place, array, in_json, text
from csl_plugin.io.labels import read_label_png

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_COPIES = {
    "the authors' (frame_list.json, frames/)": ("frame_list.json", "frames"),
    "the flat copy (original/, labels/)": ("original", "labels"),
    "the copy with labels_masks/ (images/, labels_masks/)": ("images", "labels_masks"),
}


def open_road_anomaly(path: Path, subset: str, *, anomaly_from: int | None = None) -> Dataset:
    """Open Road Anomaly; its copy is detected by the layout.

    Args:
        path: The folder of a copy.
        subset: "all".
        anomaly_from: The lowest label value that is an anomaly: 2 in the authors' files (1 is road there), 1
            in copies that hold 0 and 1. None to detect it: 2 for the authors' layout and for copies with a 2
            in a label file, else 1. All label files of a copy are read for this.

    Raises:
        FileError: No copy, several copies, or a copy in which 1 has both meanings.
    """
    folders = ("RoadAnomaly", "RoadAnomaly_jpg", "dataset_RoadAnomaly")
    root = next((path / name for name in folders if (path / name).is_dir()), path)
    copies = [name for name, needed in _COPIES.items() if all((root / part).exists() for part in needed)]
    if len(copies) > 1:
        hint = "Pass a folder with one copy: names and values of the labels differ between copies."
        raise FileError(str(root), " and ".join(copies), "one copy of Road Anomaly", hint)
    if not copies:
        root = find_root(INFO, path, _COPIES[next(iter(_COPIES))], folders)
    authors, flat = copies == list(_COPIES)[:1], copies == list(_COPIES)[1:2]
    if authors:
        images = _frames_of_authors(root)
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
        subset=subset,
        frames=frames,
        ids=IdTable(values, hint="Road Anomaly has no void: check where the labels come from."),
        output_name="RoadAnomaly",
        num_published=INFO.num_published["all"],
    )


def _frames_of_authors(root: Path) -> dict[str, Path]:
    file = root / "frame_list.json"
    expected = "a JSON list of image file names"
    names = array(text, 1)(read_json(file, expected), Place(str(file)))
    if paths := [name for name in names if name != PurePath(name).name or name.startswith(".")]:
        raise FileError(str(file), in_json(paths[0]), expected, f"Download the file again from {INFO.where}.")
    images = {PurePath(name).stem: root / "frames" / name for name in sorted(names)}
    missing = [image.name for image in images.values() if not image.is_file()]
    if missing:
        raise incomplete(
            INFO, root, f"no frames/{first_few(missing)}, {len(missing)} of {len(images)} frames"
        )
    return images


def _masks(folder: Path) -> dict[str, Path]:
    return listed(folder, ("_labels_semantic.png",)) or listed(folder, (".png",))


def _lowest_anomaly(root: Path, labels: list[Path]) -> int:
    """2 for the authors' files, in which 1 is road; 1 for files that hold 0 and 1."""
    only_one, two = [], []
    for file in labels:
        occurring = np.unique(read_label_png(file))
        if 2 in occurring:
            two.append(file.name)
        elif 1 in occurring:
            only_one.append(file.name)
    if two and only_one:
        got = f"labels with a 2 ({first_few(two)}) and others with a 1 and no 2 ({first_few(only_one)})"
        hint = "Give the lowest anomaly value as the option anomaly_from: 2 if 1 is road, else 1."
        raise FileError(str(root), got, "one meaning of 1 in all labels", hint)
    return 2 if two else 1


INFO = DatasetInfo(
    title="Road Anomaly",
    where="www.epfl.ch/labs/cvlab/data/road-anomaly",
    license="credits and terms image by image, some Creative Commons",
    layout="frame_list.json, frames/<frame>.jpg and frames/<frame>.labels/labels_semantic.png; or a copy: "
    "original/ and labels/, or images/ and labels_masks/",
    subsets=("all",),
    default_subset="all",
    table="4",
    open=open_road_anomaly,
    options={"anomaly_from": "1, 2"},
    num_published={"all": 60},
)

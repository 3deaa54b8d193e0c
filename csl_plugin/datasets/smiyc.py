"""SegmentMeIfYouCan: AnomalyTrack (RoadAnomaly21) and ObstacleTrack (RoadObstacle21)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from csl_plugin.datasets.dataset import Dataset, DatasetInfo
from csl_plugin.datasets.ids import ANOMALY_IDS
from csl_plugin.datasets.layout import find_root, frames_of, listed

_Rule: TypeAlias = Callable[[str, str], bool]

_VALIDATION = "validation"
_SNOW, _NIGHT = ("snowstorm1", "snowstorm2"), ("driveway",)
_TEST_SCENES = (
    *("curvy-street", "one-way-street", "gravel", "greyasphalt"),
    *("motorway", "paving", "darkasphalt", "darkasphalt2"),
)
_OBSTACLE_SCENES = {"test": _TEST_SCENES, "validation": (_VALIDATION,), "night": _NIGHT, "snowstorm": _SNOW}
_EXCLUDED_FROM_VALIDATION = tuple(f"validation_{number}" for number in (19, *range(21, 30)))


def open_anomaly_track(path: Path, subset: str) -> Dataset:
    """Open AnomalyTrack: 100 test frames, whose labels are not public, and 10 validation frames."""
    root = find_root(ANOMALY_TRACK, path, ("images", "labels_masks"), ("dataset_AnomalyTrack",))
    return _open(ANOMALY_TRACK, root, "smiyc-anomaly-track", subset, _in_anomaly_subset)


def open_obstacle_track(path: Path, subset: str) -> Dataset:
    """Open ObstacleTrack: the scene, a frame's name up to its first underscore, decides the subset."""
    root = find_root(OBSTACLE_TRACK, path, ("images", "labels_masks"), ("dataset_ObstacleTrack",))
    return _open(OBSTACLE_TRACK, root, "smiyc-obstacle-track", subset, _in_obstacle_subset)


def _in_anomaly_subset(name: str, subset: str) -> bool:
    return subset == "all" or name.startswith(_VALIDATION) == (subset == "validation")


def _in_obstacle_subset(name: str, subset: str) -> bool:
    if subset == "all":
        return True
    if subset == "validation" and name.startswith(_EXCLUDED_FROM_VALIDATION):
        return False
    return name.split("_")[0] in _OBSTACLE_SCENES[subset]


def _open(info: DatasetInfo, root: Path, name: str, subset: str, chosen: _Rule) -> Dataset:
    images = {
        frame: file
        for frame, file in listed(root / "images", (".jpg", ".webp", ".png")).items()
        if chosen(frame, subset)
    }
    labels = listed(root / "labels_masks", ("_labels_semantic.png",))
    anomaly = info is ANOMALY_TRACK
    return Dataset(
        name=name,
        task="anomaly",
        subset=subset,
        frames=frames_of(info, root, images, labels, labeled=subset == "validation"),
        ids=ANOMALY_IDS,
        output_name="AnomalyTrack-all" if anomaly else "ObstacleTrack-all",
        components="anomaly" if anomaly else "obstacle",
        num_published=info.num_published.get(subset),
    )


_LAYOUT = "images/<frame>.{} and labels_masks/<frame>_labels_semantic.png"
_WHERE = "the links in the README of github.com/SegmentMeIfYouCan/road-anomaly-benchmark"
_LICENSE = "LICENSE.txt in the archive"

ANOMALY_TRACK = DatasetInfo(
    title="SegmentMeIfYouCan AnomalyTrack (dataset_AnomalyTrack)",
    where=_WHERE,
    license=_LICENSE,
    layout=_LAYOUT.format("jpg"),
    subsets=("validation", "test", "all"),
    default_subset="validation",
    table="1, 4",
    open=open_anomaly_track,
    num_published={"validation": 10, "test": 100, "all": 110},
    measured="components",
)
OBSTACLE_TRACK = DatasetInfo(
    title="SegmentMeIfYouCan ObstacleTrack (dataset_ObstacleTrack)",
    where=_WHERE,
    license=_LICENSE,
    layout=_LAYOUT.format("webp"),
    subsets=("validation", "test", "night", "snowstorm", "all"),
    default_subset="validation",
    table="2",
    open=open_obstacle_track,
    num_published={"validation": 30, "test": 327, "night": 30, "snowstorm": 55},
    measured="components",
)

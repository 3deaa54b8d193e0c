"""The sets of docs/results/anomaly.md, their frames and the segmenters that have logits of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.effect.frames.scored import TITLES, open_sets
from benchmarks.effect.networks.teachers import StoredLogits, Teacher, TrainedLogits, digest
from csl_plugin.datasets import Dataset, open_dataset
from csl_plugin.datasets.dataset import Frame
from csl_plugin.metrics import ANOMALY_TRACK, OBSTACLE_TRACK, ComponentSettings

REAL = {
    "anomaly_track_val": ("SMIYC AnomalyTrack val", ANOMALY_TRACK),
    "obstacle_track_val": ("SMIYC ObstacleTrack val", OBSTACLE_TRACK),
    "fishyscapes_lostandfound_val": ("Fishyscapes LostAndFound val", OBSTACLE_TRACK),
    "fishyscapes_static_val": ("Fishyscapes Static val", ANOMALY_TRACK),
}
STREET = ("pasted", "camvid_val")
NETWORKS = ("fddwnet", "espnetv2")
GIVEN, EXAMPLE = "given teacher", "train_segmenter"
ODD, EVEN = slice(1, None, 2), slice(0, None, 2)
_STEP = 2  # of the pixels of real frames that AP, FPR95 and AUROC are computed from


@dataclass(frozen=True)
class FrameSet:
    """Frames with labels.

    Attributes:
        key: Its name on the command line.
        title: In words.
        dataset: Reads images and labels.
        frames: Those that are measured.
        step: Every `step`-th pixel of every `step`-th row counts in AP, FPR95 and AUROC.
        components: The smallest components that count.
        teachers: The segmenters that have logits of these frames, by name.
    """

    key: str
    title: str
    dataset: Dataset
    frames: tuple[Frame, ...]
    step: int
    components: ComponentSettings
    teachers: Mapping[str, Teacher]

    @property
    def real(self) -> bool:
        """Whether it is a benchmark that others measure on too."""
        return self.key in REAL

    def label(self, frame: Frame) -> NDArray[np.uint8]:
        """(H, W): 0 normal, 1 anomaly, 255 void."""
        return self.dataset.read_label(frame)

    def identity(self, frame: Frame) -> str:
        """Changes when the image or the label of a frame does, or the pixels that count."""
        assert frame.label is not None  # noqa: S101
        return f"{digest(frame.image)} {digest(frame.label)} {self.step}"


def open_frame_sets(data: Path, first: int | None = None, street: slice = ODD) -> dict[str, FrameSet]:
    """The sets that a folder holds, real ones first.

    Args:
        data: With `real`, and with `pasted`, `camvid` and `teacher` as the examples describe them.
        first: At most so many frames of each set.
        street: Which frames of the last two.
    """
    found = {}
    for key, (title, components) in REAL.items():
        folder = data / "real" / key
        if folder.is_dir():
            teachers: dict[str, Teacher] = {
                name: StoredLogits(folder / "logits" / name, data / "real" / f"statistics_{name}.json")
                for name in NETWORKS
            }
            dataset = open_dataset("folder", folder)
            found[key] = FrameSet(key, title, dataset, dataset.frames[:first], _STEP, components, teachers)
    for key, dataset in open_sets(data).items() if (data / "pasted").is_dir() else ():
        teachers = {GIVEN: StoredLogits(data / "teacher" / key, data / "teacher" / "statistics.json")}
        if (data / "segmenter").is_dir():
            teachers[EXAMPLE] = TrainedLogits(data / "segmenter")
        frames = dataset.frames[street][:first]
        found[key] = FrameSet(key, TITLES[key], dataset, frames, 1, OBSTACLE_TRACK, teachers)
    return found

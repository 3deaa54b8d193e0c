"""The interface of all data sets: frames with a name, an image and a label, read one at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from csl_plugin.datasets.ids import IdTable
from csl_plugin.errors import FileError
from csl_plugin.io.images import read_image
from csl_plugin.io.labels import read_label_png

Task: TypeAlias = Literal["anomaly", "semantic"]
"""What a data set's labels are of: what is anomalous, or classes."""


@dataclass(frozen=True)
class Frame:
    """The files of one frame of a data set.

    Attributes:
        name: The official id, unique in the data set: the stem of the frame's score file.
        image: The image file.
        label: The label file, or None if the labels are not public, or the frame needs none.
        normal: Whether every pixel is normal, of a frame without a label file.
    """

    name: str
    image: Path
    label: Path | None
    normal: bool = False

    @property
    def is_labeled(self) -> bool:
        """Whether its labels are known."""
        return self.label is not None or self.normal


@dataclass(frozen=True)
class Dataset:
    """A data set on disk, with a checked layout.

    Attributes:
        name: Its name in `dataset_names()`; `open_dataset` sets it.
        task: "anomaly" or "semantic".
        subset: Name of the subset, such as "val".
        frames: In the order of the official lists.
        ids: The meaning of the stored label values.
        output_name: The folder name of its score files in the official tool.
        classes: Class names in the order of the evaluation ids; empty for anomaly.
        unseen: The classes of the unseen group.
        components: The track of the component metrics, if the protocol has them.
        num_published: Number of frames of the published subset, if known. Values are official only if it
            equals `len(frames)`.
        notes: Files in its folders that are no frame; sentences.
        inspection: Whether its protocol is that of industrial inspection: labeled regions and images.
    """

    name: str
    task: Task
    subset: str
    frames: tuple[Frame, ...]
    ids: IdTable
    output_name: str
    classes: tuple[str, ...] = ()
    unseen: tuple[int, ...] = ()
    components: Literal["anomaly", "obstacle"] | None = None
    num_published: int | None = None
    notes: tuple[str, ...] = ()
    inspection: bool = False

    def read_image(self, frame: Frame) -> NDArray[np.uint8]:
        """The image of a frame, (H, W, 3) uint8 RGB.

        Raises:
            FileError: Missing, damaged or too large.
        """
        return read_image(frame.image)

    def read_label(self, frame: Frame) -> NDArray[np.uint8]:
        """The labels of a frame in evaluation ids.

        Returns:
            (H, W) uint8: 0 normal, 1 anomaly and 255 void; or class indices and 255.

        Raises:
            FileError: The frame has no labels, or its file is missing, damaged, too large or holds an unknown
                value.
        """
        if frame.normal:
            return np.zeros(self.read_image(frame).shape[:2], np.uint8)
        if frame.label is None:
            hint = "Only the benchmark's organizers can score this subset: choose another one."
            raise FileError(frame.name, "a frame without labels", "a labeled frame", hint)
        return self.ids.decode(frame.label, read_label_png(frame.label))


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set before it is opened.

    Attributes:
        title: Its full name.
        where: Where to get it.
        license: Its terms of use.
        layout: The published layout of the folder.
        subsets: Their names; empty if any name is accepted.
        default_subset: The subset that the paper reports, or the labeled one; None for all frames.
        table: The tables of the paper that use it; empty for none.
        open: Checks the layout of a folder and returns the data set.
        options: The keyword options of `open`, with the values that each accepts.
        num_published: Number of frames of the subsets, as published.
        measured: What a benchmark measures on it: "anomaly", "components" (anomalies with the component
            metrics of a track), "inspection", "classes", or "either" anomalies or classes.
    """

    title: str
    where: str
    license: str
    layout: str
    subsets: tuple[str, ...]
    default_subset: str | None
    table: str
    open: Callable[..., Dataset]
    options: Mapping[str, str] = field(default_factory=dict)
    num_published: Mapping[str, int] = field(default_factory=dict)
    measured: Literal["anomaly", "components", "inspection", "classes", "either"] = "anomaly"

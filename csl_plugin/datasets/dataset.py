"""What every data set is here: frames with a name, an image and a label, read one at a time."""

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


@dataclass(frozen=True)
class Frame:
    """One frame of a data set; nothing is read until it is asked for.

    Attributes:
        name: The official id, unique in the data set: the stem of the frame's score file.
        image: The image file.
        label: The label file, or None where labels are not public.
    """

    name: str
    image: Path
    label: Path | None


@dataclass(frozen=True)
class Dataset:
    """A data set on disk, its layout checked.

    Attributes:
        name: Its name in `DATASETS`.
        task: "anomaly" or "semantic".
        split: Which part of it.
        frames: In the order of the official lists.
        ids: What the stored label values mean.
        output_name: The folder name that the official tool gives its score files.
        classes: Class names in the order of the evaluation ids; empty for anomaly.
        unseen: The classes of the unseen group.
        components: The settings of the component figures, where the protocol has them.
        published: How many frames the published split has, where that is known; compare with
            `len(frames)` before figures are called official.
    """

    name: str
    task: Task
    split: str
    frames: tuple[Frame, ...]
    ids: IdTable
    output_name: str
    classes: tuple[str, ...] = ()
    unseen: tuple[int, ...] = ()
    components: Literal["anomaly", "obstacle"] | None = None
    published: int | None = None

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
            FileError: The frame has no labels, or its file is missing, damaged, too large or holds a value
                that the data set does not know.
        """
        if frame.label is None:
            hint = "Only the benchmark's organizers can score this split; choose another for figures."
            raise FileError(frame.name, "a frame without labels", "a labeled frame", hint)
        return self.ids.decode(frame.label, read_label_png(frame.label))


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set before it is there.

    Attributes:
        title: Its name in full.
        where: Where to get it.
        license: Under which terms.
        layout: What the folder holds, as published.
        splits: Their names; empty where any name is accepted.
        default_split: The split the paper reports, or the labeled one; None for all there is.
        table: The tables of the paper that use it; empty for none.
        open: Checks the layout of a folder and gives the data set.
        options: The keyword options of `open`, with what each accepts.
        published: How many frames the splits have, as published.
    """

    title: str
    where: str
    license: str
    layout: str
    splits: tuple[str, ...]
    default_split: str | None
    table: str
    open: Callable[..., Dataset]
    options: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[str, int] = field(default_factory=dict)

"""The fused predictions on disk, in the format of the data set's official tool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.datasets import Frame
from csl_plugin.datasets.cityscapes import label_ids
from csl_plugin.datasets.coco_stuff import raw_values
from csl_plugin.evaluation.formats import detectron2
from csl_plugin.evaluation.formats.anomaly_maps import anomaly_path, write_anomaly
from csl_plugin.evaluation.formats.class_maps import read_classes, write_classes
from csl_plugin.evaluation.protocols import Task
from csl_plugin.evaluation.records import file_stem
from csl_plugin.io import read_scores

_CITYSCAPES = ("cityscapes", "synscapes")


@dataclass(frozen=True)
class PredictionFiles:
    """Path and format of the fused prediction of each frame; the data set decides.

    Args:
        out: The output folder.
        benchmark: Name of the benchmark.
        task: What is predicted; regions are not written.
        method: Name of the method; a folder has this name.
        output_name: The folder name that the official tool uses.
    """

    out: Path
    benchmark: str
    task: Task
    method: str
    output_name: str

    def path(self, frame: Frame) -> Path | None:
        """The file of a frame, None if nothing is written."""
        if self.task == "regions":
            return None
        if self.task == "anomaly":
            return anomaly_path(
                self.out, self.method, self.output_name, frame.name, fishyscapes=self._fishyscapes
            )
        return self.out / "predictions" / f"{file_stem(frame.name)}.png"

    def write(self, frame: Frame, prediction: NDArray[Any]) -> None:
        """Write the stored anomaly map (float16) or the classes (uint8) of a frame.

        Raises:
            FileError: The path cannot be written.
        """
        path = self.path(frame)
        if path is None:
            return
        if self.task == "anomaly":
            write_anomaly(path, prediction, fishyscapes=self._fishyscapes)
        else:
            write_classes(path, prediction, self._ids)

    def read(self, frame: Frame) -> NDArray[Any]:
        """The prediction that `write` wrote.

        Raises:
            FileError: The file is missing or cannot be read.
        """
        path = self.path(frame)
        assert path is not None  # noqa: S101
        if self.task == "anomaly":
            return read_scores(path).astype(np.float16)
        return read_classes(path, self._ids)

    def of_all(self, frames: Sequence[Frame]) -> list[Path]:
        """The files that `finish` writes."""
        if self.task != "semantic" or self.benchmark != "coco-stuff" or not frames:
            return []
        return [self.out / "predictions" / detectron2.FILE_NAME]

    def finish(self, frames: Sequence[Frame]) -> dict[str, str]:
        """Write the files that cover all frames.

        Returns:
            The place of each kind of file, relative to the output folder.

        Raises:
            FileError: The path cannot be written, or the file of a frame cannot be read.
        """
        if self.task == "regions" or not frames:
            return {}
        example = self.path(frames[0])
        assert example is not None  # noqa: S101
        folder = example.parent.relative_to(self.out).as_posix()
        if self.task == "anomaly":
            kind = "Fishyscapes maps" if self._fishyscapes else "SegmentMeIfYouCan score maps"
            return {kind: folder}
        found = {"Cityscapes label ids" if self._ids else "class indices": folder}
        for path in self.of_all(frames):
            predictions = ((frame.image.name, self.read(frame)) for frame in frames)
            detectron2.write_predictions(path, predictions, [value + 1 for value in raw_values()])
            found["detectron2 predictions"] = path.relative_to(self.out).as_posix()
        return found

    @property
    def _fishyscapes(self) -> bool:
        return self.benchmark.startswith("fishyscapes")

    @property
    def _ids(self) -> Sequence[int] | None:
        return label_ids() if self.benchmark in _CITYSCAPES else None

"""The two passes of a benchmark over its frames: read a frame, fuse it, measure it, write the results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from csl_plugin.datasets import Dataset, Frame
from csl_plugin.errors import ShapeError
from csl_plugin.evaluation.formats.prediction_files import PredictionFiles
from csl_plugin.evaluation.frames.frame_fusion import FrameFusion
from csl_plugin.evaluation.frames.score_source import ScoreSource
from csl_plugin.evaluation.protocols import Protocols
from csl_plugin.evaluation.records import COMPONENTS, Records
from csl_plugin.io.file_states import sampled_states
from csl_plugin.io.orientation import check_orientation
from csl_plugin.metrics import State
from csl_plugin.proposers.on_files import one_partition, propose_regions, region_files
from csl_plugin.regions.region_map import RegionMap


@dataclass(frozen=True)
class Inputs:
    """A frame as read from disk."""

    sources: str
    image: NDArray[np.uint8]
    label: NDArray[np.uint8] | None
    loaded: Tensor | None

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the image."""
        return self.image.shape[0], self.image.shape[1]


@dataclass(frozen=True)
class Predictions:
    """A frame's predictions: the one to write, and those to measure, by side."""

    sources: str
    label: NDArray[np.uint8] | None
    written: NDArray[Any] | None
    measured: Mapping[str, NDArray[Any]]


class FramePass(Protocol):
    """The steps of a pass over frames; `finish` writes the record that marks a frame as done."""

    @property
    def records(self) -> Records:
        """The records that the pass writes."""
        ...

    def is_done(self, frame: Frame) -> bool:
        """Whether the frame is done."""
        ...

    def read(self, frame: Frame) -> Any:
        """Read the frame's files; called in a thread."""
        ...

    def compute(self, frame: Frame, inputs: Any) -> Predictions:
        """Compute the predictions to measure."""
        ...

    def finish(self, frame: Frame, predictions: Predictions) -> None:
        """Measure and write the predictions; called in a thread."""
        ...


@dataclass(frozen=True)
class FusionPass:
    """The first pass: fuse every frame and measure its pixels.

    Args:
        dataset: Reads images and labels.
        protocols: What is measured.
        source: Gives the scores; None where only regions are measured.
        proposer: Gives the regions; folders of region maps in it find them by the frame's name.
        fusion: Fuses scores with regions.
        predictions: Writes the fused predictions.
        records: Stores the states of the metrics.
    """

    dataset: Dataset
    protocols: Protocols
    source: ScoreSource | None
    proposer: Any
    fusion: FrameFusion
    predictions: PredictionFiles
    records: Records

    def sources(self, frame: Frame) -> str:
        """The state of the files that a frame is made from.

        Raises:
            OSError: One of them is missing.
        """
        files = [frame.image, *([frame.label] if frame.label else [])]
        files += self.source.files(frame) if self.source else ()
        return sampled_states([*files, *region_files(self.proposer, frame.name)])

    def all_sources(self) -> dict[Path, str]:
        """The sources of each file of the frames; of those whose inputs are missing, none."""
        found: dict[Path, str] = {}
        for frame in self.dataset.frames:
            with suppress(OSError):
                found.update(dict.fromkeys(self.files(frame), self.sources(frame)))
        return found

    def regions(self, frame: Frame, image: NDArray[np.uint8]) -> tuple[RegionMap, ...]:
        """The partitions of the frame's image, at its size."""
        return propose_regions(self.proposer, image, frame.name)

    def files(self, frame: Frame) -> list[Path]:
        """The files that the pass writes for a frame."""
        return [*self._predicted(frame), self.records.path(frame.name)]

    def is_done(self, frame: Frame) -> bool:
        """Whether the frame is done; outdated files of it are removed.

        Raises:
            FileError: A file cannot be removed.
        """
        try:
            sources = self.sources(frame)
        except OSError:  # `read` will report it
            sources = ""
        return self.records.is_current(frame.name, sources, self._predicted(frame))

    def read(self, frame: Frame) -> Inputs:
        """Read the frame's files."""
        sources = self.sources(frame)
        image = self.dataset.read_image(frame)
        label = self.dataset.read_label(frame) if frame.is_labeled else None
        if label is not None and label.shape != image.shape[:2]:
            check_orientation(str(frame.label), label.shape, frame.image, image.shape)
            hint = "Take image and label from the same archive."
            raise ShapeError(str(frame.label), f"size {label.shape}", f"the image's, {image.shape[:2]}", hint)
        loaded = self.source.load(frame) if self.source else None
        if loaded is not None:
            check_orientation(f"scores of {frame.name}", loaded.shape, frame.image, image.shape, scaled=True)
        return Inputs(sources, image, label, loaded)

    def compute(self, frame: Frame, inputs: Inputs) -> Predictions:
        """Propose the frame's regions and fuse its scores with them."""
        regions = self.regions(frame, inputs.image)
        if self.source is None:
            labels = one_partition(regions).labels[0].cpu().numpy()
            return Predictions(inputs.sources, inputs.label, None, {"csl": labels})
        scores = self.source.scores(inputs.image, inputs.loaded)
        if self.protocols.task == "anomaly":
            base, stored = self.fusion.anomaly(scores, regions)
            return Predictions(inputs.sources, inputs.label, stored, {"base": base, "csl": stored})
        before, after = self.fusion.semantic(scores, regions, self.protocols.num_classes)
        measured = {"base": before, "csl": after}
        return Predictions(inputs.sources, inputs.label, after.astype(np.uint8), measured)

    def finish(self, frame: Frame, predictions: Predictions) -> None:
        """Measure the frame, write its prediction, and last its record, which marks the frame as done."""
        states: dict[str, State] = {}
        if predictions.label is not None:
            for side, prediction in predictions.measured.items():
                states |= self.protocols.states(side, prediction, predictions.label)
        with self.records.writing(frame.name, predictions.sources, self._predicted(frame)):
            if predictions.written is not None:
                self.predictions.write(frame, predictions.written)
            self.records.write(frame.name, states)

    def _predicted(self, frame: Frame) -> list[Path]:
        path = self.predictions.path(frame)
        return [] if path is None else [path]


@dataclass(frozen=True)
class ComponentPass:
    """The second pass: measure components at the best-F1 threshold of each side.

    Args:
        first: The first pass. Its fused maps are read again; scores of a teacher are computed again.
        thresholds: By side, in the order base, csl.
        records: Stores the states of the metrics.
    """

    first: FusionPass
    thresholds: Mapping[str, float]
    records: Records

    def is_done(self, frame: Frame) -> bool:
        """Whether the frame is done; an outdated record of it is removed.

        Raises:
            FileError: A file cannot be removed.
        """
        return self.records.is_current(frame.name, self._sources(self.first.sources(frame)))

    def read(self, frame: Frame) -> tuple[Inputs, NDArray[Any]]:
        """Read the frame's files and its fused map."""
        return self.first.read(frame), self.first.predictions.read(frame)

    def compute(self, frame: Frame, inputs: tuple[Inputs, NDArray[Any]]) -> Predictions:
        """Compute the base map again."""
        del frame
        read, stored = inputs
        assert self.first.source is not None  # noqa: S101
        scores = self.first.source.scores(read.image, read.loaded)
        base = self.first.fusion.base_anomaly(scores, read.size)
        return Predictions(read.sources, read.label, None, {"base": base, "csl": stored})

    def finish(self, frame: Frame, predictions: Predictions) -> None:
        """Measure the components and write the record."""
        states: dict[str, State] = {}
        assert predictions.label is not None  # noqa: S101
        for side, prediction in predictions.measured.items():
            threshold = self.thresholds[side]
            states |= self.first.protocols.component_states(side, prediction, predictions.label, threshold)
        with self.records.writing(frame.name, self._sources(predictions.sources)):
            self.records.write(frame.name, states)

    def _sources(self, files: str) -> str:
        return json.dumps([json.loads(files), dict(self.thresholds)])


def component_pass(first: FusionPass, thresholds: Mapping[str, float]) -> ComponentPass:
    """The second pass after a first one, with records beside those of the first."""
    return ComponentPass(first, thresholds, Records(first.records.out, COMPONENTS))

"""What a run does to one frame: read it, fuse it, measure it, write it down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from csl_plugin.datasets import Dataset, Frame
from csl_plugin.errors import ShapeError
from csl_plugin.evaluation.formats.prediction_files import Outputs
from csl_plugin.evaluation.frames.frame_fusion import Fusion
from csl_plugin.evaluation.frames.score_source import Source
from csl_plugin.evaluation.protocols import Measures
from csl_plugin.evaluation.records import Records, State, sources_of
from csl_plugin.proposers.on_files import one_partition, propose_regions


@dataclass(frozen=True)
class Read:
    """A frame as it lies on disk."""

    sources: str
    image: NDArray[np.uint8]
    label: NDArray[np.uint8] | None
    loaded: Tensor | None


@dataclass(frozen=True)
class Fused:
    """A frame's predictions: what is written, and what is measured by side."""

    sources: str
    label: NDArray[np.uint8] | None
    written: NDArray[Any] | None
    measured: Mapping[str, NDArray[Any]]


class Pass(Protocol):
    """The steps of a pass over frames; `finish` writes the record that says a frame is done."""

    @property
    def records(self) -> Records:
        """Where states go."""
        ...

    def made(self, frame: Frame) -> bool:
        """Whether the frame is done."""
        ...

    def read(self, frame: Frame) -> Any:
        """Read what lies on disk, in a thread."""
        ...

    def compute(self, frame: Frame, read: Any) -> Fused:
        """Compute what is measured."""
        ...

    def finish(self, frame: Frame, fused: Fused) -> None:
        """Write what was computed, in a thread."""
        ...


@dataclass(frozen=True)
class FrameWork:
    """The steps of the first pass over the frames.

    Args:
        dataset: Reads images and labels.
        measures: What is measured.
        source: Where scores come from; None where only regions are measured.
        proposer: Where regions come from.
        region_files: The files of a folder of region maps by frame name, empty for other proposers.
        fusion: How scores meet regions.
        outputs: Where fused predictions go.
        records: Where states go.
    """

    dataset: Dataset
    measures: Measures
    source: Source | None
    proposer: Any
    region_files: Mapping[str, Path]
    fusion: Fusion
    outputs: Outputs
    records: Records

    def sources(self, frame: Frame) -> str:
        """The files that a frame is made from, with their sizes and times.

        Raises:
            OSError: One of them is missing.
        """
        files = [frame.image, *([frame.label] if frame.label else [])]
        files += self.source.files(frame) if self.source else ()
        files += [self.region_files[frame.name]] if self.region_files else []
        return sources_of(files)

    def made(self, frame: Frame) -> bool:
        """Whether the frame is done; what is left of an older state of it is taken away.

        Raises:
            FileError: Its record is of other settings, or cannot be removed.
        """
        path = self.outputs.path(frame)
        try:
            sources = self.sources(frame)
        except OSError:  # reading it will say so
            sources = ""
        if self.records.made(frame.name, sources) and (path is None or path.is_file()):
            return True
        self.records.remove(frame.name)
        return False

    def read(self, frame: Frame) -> Read:
        """Read the frame's files."""
        sources = self.sources(frame)
        image = self.dataset.read_image(frame)
        label = self.dataset.read_label(frame) if frame.label else None
        if label is not None and label.shape != image.shape[:2]:
            hint = "Take image and label from the same archive."
            raise ShapeError(str(frame.label), f"size {label.shape}", f"the image's, {image.shape[:2]}", hint)
        return Read(sources, image, label, self.source.load(frame) if self.source else None)

    def compute(self, frame: Frame, read: Read) -> Fused:
        """Propose the frame's regions and fuse its scores with them."""
        stem = self.region_files[frame.name].stem if self.region_files else frame.name
        regions = propose_regions(self.proposer, read.image, stem)
        if self.source is None:
            labels = one_partition(regions).labels[0].cpu().numpy()
            return Fused(read.sources, read.label, None, {"csl": labels})
        scores = self.source.scores(read.image, read.loaded)
        if self.measures.task == "anomaly":
            base, stored = self.fusion.anomaly(scores, regions)
            return Fused(read.sources, read.label, stored, {"base": base, "csl": stored})
        before, after = self.fusion.semantic(scores, regions, self.measures.num_classes)
        return Fused(read.sources, read.label, after.astype(np.uint8), {"base": before, "csl": after})

    def finish(self, frame: Frame, fused: Fused) -> None:
        """Measure the frame, write its output, and its record last: it says that the frame is done."""
        states: dict[str, State] = {}
        if fused.label is not None:
            for side, prediction in fused.measured.items():
                states |= self.measures.states(side, prediction, fused.label)
        if fused.written is not None:
            self.outputs.write(frame, fused.written)
        self.records.write(frame.name, fused.sources, states)


@dataclass(frozen=True)
class ComponentWork:
    """The steps of the second pass: components at the best-F1 threshold of each side.

    Args:
        first: The first pass, whose fused maps are read again. Scores of a teacher are computed again.
        thresholds: By side, in the order base, csl.
        records: Where states go.
    """

    first: FrameWork
    thresholds: Mapping[str, float]
    records: Records

    def made(self, frame: Frame) -> bool:
        """Whether the frame is done."""
        return self.records.made(frame.name, self.first.sources(frame))

    def read(self, frame: Frame) -> tuple[Read, NDArray[Any]]:
        """Read the frame's files and its fused map."""
        return self.first.read(frame), self.first.outputs.read(frame)

    def compute(self, frame: Frame, read: tuple[Read, NDArray[Any]]) -> Fused:
        """The base map again."""
        del frame
        disk, stored = read
        assert self.first.source is not None  # noqa: S101
        scores = self.first.source.scores(disk.image, disk.loaded)
        size = (disk.image.shape[0], disk.image.shape[1])
        base = self.first.fusion.base_anomaly(scores, size)
        return Fused(disk.sources, disk.label, None, {"base": base, "csl": stored})

    def finish(self, frame: Frame, fused: Fused) -> None:
        """Measure the components and write the record."""
        states: dict[str, State] = {}
        assert fused.label is not None  # noqa: S101
        for side, prediction in fused.measured.items():
            threshold = self.thresholds[side]
            states |= self.first.measures.component_states(side, prediction, fused.label, threshold)
        self.records.write(frame.name, fused.sources, states)

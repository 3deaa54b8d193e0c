"""The outcome of a run: figures side by side, and what they were made with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from csl_plugin.evaluation.protocols import Block, Task
from csl_plugin.evaluation.published_results import PrintedRow


@dataclass(frozen=True)
class Curve:
    """A precision-recall curve of a few hundred points, recall rising."""

    recall: tuple[float, ...]
    precision: tuple[float, ...]


@dataclass(frozen=True)
class FrameChange:
    """One frame's own figure before and after, as fractions: AP, or mIoU over the classes it shows."""

    name: str
    base: float
    csl: float

    @property
    def change(self) -> float:
        """Fused minus base."""
        return self.csl - self.base


@dataclass(frozen=True)
class Result:
    """What a run found; every figure a fraction, nan where undefined.

    Args:
        benchmark: Its name.
        title: The data set in words.
        task: What was measured.
        split: The split.
        method: What made the scores.
        num_frames: Frames of the split, all of which have an output.
        num_measured: Frames with labels, over which the figures are; 0 where the labels are hidden.
        num_published: Frames that the split has as published, where that is known.
        blocks: Figures by protocol, the data set's own first.
        classes: Names of the classes, () for anomaly.
        per_class: IoU of each class by side.
        curves: Precision-recall curves by side, for anomaly.
        changes: The frames whose figure is defined on both sides, from the best change to the worst.
        printed: The paper's rows to compare with.
        settings: What the run was made with.
        outputs: Where files for official tools lie, by what they are, relative to the run's folder.
    """

    benchmark: str
    title: str
    task: Task
    split: str
    method: str
    num_frames: int
    num_measured: int
    num_published: int | None
    blocks: tuple[Block, ...]
    classes: tuple[str, ...]
    per_class: Mapping[str, tuple[float, ...]]
    curves: Mapping[str, Curve]
    changes: tuple[FrameChange, ...]
    printed: tuple[PrintedRow, ...]
    settings: Mapping[str, Any]
    outputs: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """JSON values, nan as null; the same for the same inputs, however often the run was interrupted."""
        return {
            "benchmark": self.benchmark,
            "title": self.title,
            "split": self.split,
            "method": self.method,
            "num_frames": self.num_frames,
            "num_measured": self.num_measured,
            "num_published": self.num_published,
            "figures": {
                block.protocol: {
                    "base": _plain(block.base),
                    "csl": _plain(block.csl),
                    "change_interval": _plain(block.intervals),
                }
                for block in self.blocks
            },
            "classes": list(self.classes),
            "per_class": _plain(self.per_class),
            "curves": {side: asdict(curve) for side, curve in self.curves.items()},
            "frames": [_plain(asdict(change)) for change in self.changes],
            "printed_per_cent": [asdict(row) for row in self.printed],
            "settings": dict(self.settings),
            "outputs": dict(self.outputs),
        }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

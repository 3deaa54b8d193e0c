"""The result of a benchmark: values side by side, and the settings they were made with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePath
from typing import Any

from csl_plugin.evaluation.protocols import Task, Values
from csl_plugin.evaluation.published_results import PublishedRow
from csl_plugin.io.json_values import null_for_nan
from csl_plugin.metrics import ObjectCounts

_QUOTED_PATH = re.compile(r"'(/[^']*/)([^'/]+)'")


def with_names(settings: Any) -> Any:
    """Settings for a reader elsewhere: of absolute paths the name, at any depth.

    Example:
        >>> with_names({"scores": "/home/me/maxlogit", "proposer": "Maps('/home/me/maps', 3)"})
        {'scores': 'maxlogit', 'proposer': "Maps('maps', 3)"}
    """
    if isinstance(settings, Mapping):
        return {name: with_names(value) for name, value in settings.items()}
    if isinstance(settings, (tuple, list)):
        return [with_names(value) for value in settings]
    if isinstance(settings, str) and PurePath(settings).is_absolute():
        return PurePath(settings).name
    return _QUOTED_PATH.sub(r"'\2'", settings) if isinstance(settings, str) else settings


@dataclass(frozen=True)
class ProtocolValues:
    """The values of one protocol before and after fusion, as fractions.

    Args:
        protocol: "smiyc", "pooled", "overlap", "images", "components", "semantic" or "regions".
        base: Values of the unfused scores; empty where there are none (regions).
        csl: Values of the fused scores.
        intervals: (low, high) of the change, csl - base, by metric; bootstrap over frames.
    """

    protocol: str
    base: Values
    csl: Values
    intervals: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Curve:
    """A precision-recall curve of a few hundred points, in the order of rising recall."""

    recall: tuple[float, ...]
    precision: tuple[float, ...]


@dataclass(frozen=True)
class ReliabilityCurve:
    """How far a score is the probability of anomaly: pixels in bins of equal width of the score.

    Args:
        ece: The expected calibration error.
        score: The mean score of each bin; nan where it is empty.
        frequency: The share of its pixels that is anomalous; nan where it is empty.
        pixels: Their number.
    """

    ece: float
    score: tuple[float, ...]
    frequency: tuple[float, ...]
    pixels: tuple[int, ...]


@dataclass(frozen=True)
class FrameChange:
    """The value of a single frame before and after, as fractions: AP, or mIoU over the classes in it."""

    name: str
    base: float
    csl: float

    @property
    def change(self) -> float:
        """Fused minus base."""
        return self.csl - self.base


@dataclass(frozen=True)
class Result:
    """The result of a benchmark; all values are fractions, nan where undefined.

    Args:
        benchmark: Its name.
        title: The data set's title.
        task: What was measured.
        subset: The data set's subset.
        method: The name of the scores.
        num_frames: Frames of the subset, all of which have an output.
        num_measured: Frames with labels, over which the values are; 0 if the labels are hidden.
        num_published: Frames of the published subset, if known.
        protocols: Values by protocol, the data set's own first.
        classes: Names of the classes, () for anomaly.
        per_class: IoU of each class by side.
        curves: Precision-recall curves by side, for anomaly.
        changes: The frames whose value is defined on both sides, from the best change to the worst.
        published_rows: Rows of the paper and of a public leaderboard to compare with.
        settings: What the result was made with; names in place of absolute paths.
        outputs: Places of files for official tools by their kind, relative to the output folder.
        warnings: What is not defined and why, and files that were left out; sentences.
        reliability: Of anomaly scores that are probabilities, by side; where there are curves.
        objects: Found, missed and false objects at the threshold of the best pixel F1, by side; where the
            data set has component metrics.
    """

    benchmark: str
    title: str
    task: Task
    subset: str
    method: str
    num_frames: int
    num_measured: int
    num_published: int | None
    protocols: tuple[ProtocolValues, ...]
    classes: tuple[str, ...]
    per_class: Mapping[str, tuple[float, ...]]
    curves: Mapping[str, Curve]
    changes: tuple[FrameChange, ...]
    published_rows: tuple[PublishedRow, ...]
    settings: Mapping[str, Any]
    outputs: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    reliability: Mapping[str, ReliabilityCurve] = field(default_factory=dict)
    objects: Mapping[str, ObjectCounts] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """JSON values, nan as null; equal for equal inputs, also after interruptions."""
        return {
            "benchmark": self.benchmark,
            "title": self.title,
            "split": self.subset,
            "method": self.method,
            "num_frames": self.num_frames,
            "num_measured": self.num_measured,
            "num_published": self.num_published,
            "figures": {
                found.protocol: {
                    "base": null_for_nan(found.base),
                    "csl": null_for_nan(found.csl),
                    "change_interval": null_for_nan(found.intervals),
                }
                for found in self.protocols
            },
            "classes": list(self.classes),
            "per_class": null_for_nan(self.per_class),
            "curves": {side: null_for_nan(asdict(curve)) for side, curve in self.curves.items()},
            "reliability": {side: null_for_nan(asdict(curve)) for side, curve in self.reliability.items()},
            "objects": {side: asdict(counts) for side, counts in self.objects.items()},
            "frames": [null_for_nan(asdict(change)) for change in self.changes],
            "printed_per_cent": [row.as_json() for row in self.published_rows],
            "settings": dict(self.settings),
            "outputs": dict(self.outputs),
            "warnings": list(self.warnings),
        }

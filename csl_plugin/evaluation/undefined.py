"""What a result cannot say: metrics that the labels leave undefined, and files that are left out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from csl_plugin.datasets import VOID, Dataset, Frame
from csl_plugin.errors import FileError
from csl_plugin.evaluation.protocols import Protocols
from csl_plugin.evaluation.report.tables import NAMES
from csl_plugin.evaluation.result import ProtocolValues
from csl_plugin.io import read_label_png
from csl_plugin.metrics import COMPONENT_SETTINGS

NO_PROBABILITIES = (
    "Not defined: ECE and the reliability curve, because raw scores are no probabilities; with --calibration "
    "they are."
)

_OF_UNSEEN = ("miou_unseen", "hiou")
_NAMED = 8


def refuse_masks(dataset: Dataset) -> None:
    """Refuse a folder whose labels are masks of 0 and 255, in which 255 would be void.

    Labels are read until one has another value.

    Args:
        dataset: Any; only a folder without a table of its label values may hold such masks.

    Raises:
        FileError: Its labels are such masks, or one cannot be read.
    """
    table = dataset.ids.values
    two = len(dataset.classes) in (0, 2) and {0, 1} <= table.keys() and dataset.ids.rest is None
    if dataset.name != "folder" or not two:
        return
    found: set[int] = set()
    for frame in dataset.frames:
        found |= set(_stored([frame]))
        if not found <= {0, VOID}:
            return
    if found == {0, VOID}:
        anomalous = not dataset.classes
        expected = "0 for normal and 1 for anomalous pixels" if anomalous else "class indices 0 and 1"
        written = '{"anomaly": [255]}' if anomalous else '"ids": {"0": 0, "255": 1}'
        meaning = "anomalous" if anomalous else "class 1"
        hint = f"255 is void here. Where it means {meaning}, write {written} to classes.json beside labels/."
        raise FileError(_place(dataset.frames), "labels of 0 and 255", expected, hint)


def check_labels(frames: Sequence[Frame], task: str, values: Any) -> None:
    """Refuse labels over which no metric can be defined.

    Args:
        frames: The measured frames.
        task: What was measured.
        values: Of one metric over the frames.

    Raises:
        FileError: No pixel is labeled.
    """
    if task == "anomaly":
        if values.num_positive and values.num_negative:
            return
        if not (values.num_positive or values.num_negative):
            hint = "Every pixel is void: check what the labels of this data set mean."
            got = f"labels of {_named(_stored(frames))}"
            raise FileError(_place(frames), got, "normal or anomalous pixels", hint)
    elif math.isnan(values.pacc):
        found = _stored(frames)
        hint = "Every pixel is void: check the label values, and those of classes.json if there is one."
        raise FileError(_place(frames), f"labels of {_named(found)}", "pixels of a class", hint)


def warnings_of(
    protocols: Protocols, found: Sequence[ProtocolValues], frames: Sequence[Frame]
) -> tuple[str, ...]:
    """A sentence for every reason why metrics are undefined, with what the labels hold.

    Args:
        protocols: What was measured.
        found: The values.
        frames: The measured frames, whose labels are read again if a metric is undefined.
    """
    missing: dict[str, dict[str, None]] = {}
    for values in found:
        names = [name for name in values.csl if _is_undefined(values, name)]
        if not protocols.unseen:
            names = [name for name in names if name not in _OF_UNSEEN]
        if names:
            reason = _reason(protocols, values.protocol, names)
            missing.setdefault(reason, {}).update(dict.fromkeys(NAMES[name] for name in names))
    if not missing:
        return ()
    labels = f"The labels hold {_named(_stored(frames))}."
    return tuple(
        f"Not defined: {', '.join(names)}, because {why}. {labels}" for why, names in missing.items()
    )


def _of_components(protocols: Protocols, names: Sequence[str]) -> str:
    settings = COMPONENT_SETTINGS[str(protocols.components)]
    side = "labeled" if "siou_gt" in names else "predicted"
    least = settings.min_truth if side == "labeled" else settings.min_predicted
    return f"no {side} component has {least} pixels or more"


def _reason(protocols: Protocols, protocol: str, names: Sequence[str]) -> str:
    if protocol == "components":
        return _of_components(protocols, names)
    if protocol == "images":
        return "no image has an anomalous pixel, or each has one"
    if protocols.task == "anomaly":
        return "no pixel is anomalous, or none is normal"
    unseen = ", ".join(map(str, protocols.unseen)) or "none"
    return f"no class of a group is in labels or predictions (unseen classes: {unseen})"


def _is_undefined(values: ProtocolValues, name: str) -> bool:
    return not (math.isfinite(values.csl[name]) and math.isfinite(values.base.get(name, 0.0)))


def _stored(frames: Sequence[Frame]) -> list[int]:
    """The values in the label files, in rising order."""
    labels = (read_label_png(frame.label) for frame in frames if frame.label)
    found = {int(value) for label in labels for value in np.unique(label)}
    return sorted(found | ({0} if any(frame.normal for frame in frames) else set()))


def _named(values: Sequence[int]) -> str:
    more = f" and {len(values) - _NAMED} more" if len(values) > _NAMED else ""
    return ", ".join(map(str, values[:_NAMED])) + more


def _place(frames: Sequence[Frame]) -> str:
    return next((str(frame.label.parent) for frame in frames if frame.label), "labels")

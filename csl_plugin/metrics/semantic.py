"""Semantic segmentation: IoU, accuracy and their means over a data set, for seen and unseen classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin._options import checked_integer
from csl_plugin.arrays import Array, as_array, describe, shown
from csl_plugin.errors import DTypeError, FileError, OptionError, ScoreRangeError, ShapeError
from csl_plugin.metrics.metric import check_same_class

VOID = 255
_COUNTS = ("intersection", "label", "predicted")

SEMANTIC_METRICS = ("miou", "miou_seen", "miou_unseen", "hiou", "macc", "pacc", "fwiou")
"""The values of `SemanticValues` that benchmarks report."""


@dataclass(frozen=True, eq=False)
class SemanticValues:
    """Values over a set of frames, as fractions; nan where undefined.

    Attributes:
        miou: Mean IoU over the classes that occur in labels or predictions.
        miou_seen: The mean over the seen classes.
        miou_unseen: The mean over the unseen classes; nan if there are none.
        hiou: Harmonic mean of `miou_seen` and `miou_unseen`, from the unrounded means.
        macc: Mean accuracy over the classes that occur in labels.
        pacc: Accuracy over all labeled pixels.
        fwiou: Mean IoU weighted by the classes' shares of the labeled pixels.
        per_class: (C,) float64, IoU of each class; 0 for a class that is only predicted, nan for a class that
            is neither labeled nor predicted.
    """

    miou: float
    miou_seen: float
    miou_unseen: float
    hiou: float
    macc: float
    pacc: float
    fwiou: float
    per_class: NDArray[np.float64]


class SemanticMetric:
    """Counts of correct, labeled and predicted pixels of each class, summed over frames.

    Args:
        num_classes: C, 1 to 255.
        unseen: The classes of the unseen group; all others are seen.

    Raises:
        OptionError: `num_classes` or `unseen` is out of range.

    Note:
        Predictions on void pixels are not counted. "No class" is a miss for the label's class and a
        prediction of no class. Counts are int64, so there is no rounding.

    Source:
        The definitions of mmsegmentation and detectron2, which differ only in the groups: absent classes of a
        group are omitted from its mean, as in mmsegmentation.

    Example:
        >>> metric = SemanticMetric(3, unseen=[2])
        >>> metric.update(np.array([[0, 0, 1, 2]]), np.array([[0, 1, 1, 2]]))
        >>> values = metric.compute()
        >>> values.per_class, values.miou_unseen
        (array([0.5, 0.5, 1. ]), 1.0)
    """

    def __init__(self, num_classes: int, *, unseen: Sequence[int] = ()) -> None:
        hint = "Labels are 8-bit and 255 is void, so 255 classes fit."
        self.num_classes = checked_integer("num_classes", num_classes, 1, VOID, hint)
        self.unseen = self._checked_groups(unseen)
        self._counts = np.zeros((len(_COUNTS), num_classes), np.int64)

    def update(self, prediction: Array, labels: Array) -> None:
        """Count one frame.

        Args:
            prediction: (H, W) integers: class indices, and 255 or -1 for "no class".
            labels: (H, W) integers: class indices, and 255 for void.

        Raises:
            ShapeError: Not (H, W), or not the same.
            DTypeError: Not integers.
            ScoreRangeError: Another value.
        """
        predicted, labeled = read_ids("prediction", prediction, -1), read_ids("labels", labels, 0)
        check_same_size("prediction", predicted, labeled)
        joint = np.bincount((labeled.astype(np.intp) << 8 | predicted).reshape(-1), minlength=1 << 16)
        table = joint.reshape(256, 256)
        self._refuse("labels", table.sum(axis=1), "255 for void")
        self._refuse("prediction", table.sum(axis=0), "255 or -1 for none")
        known = table[: self.num_classes]
        self._counts += np.stack(
            [known.diagonal(), known.sum(axis=1), known[:, : self.num_classes].sum(axis=0)]
        )

    def state(self) -> dict[str, NDArray[np.int64]]:
        """The counts: `intersection`, `label` and `predicted`, (C,) int64 each."""
        return {name: counts.copy() for name, counts in zip(_COUNTS, self._counts, strict=True)}

    def add_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Add the state of another metric of the same classes.

        Raises:
            ShapeError: Another number of classes.
            FileError: No counts, or counts that contradict each other.
        """
        if not isinstance(state, Mapping):
            raise FileError("state", shown(state), "a mapping of arrays", "Pass what state() gave.")
        counts = np.stack([self._read_counts(name, state.get(name)) for name in _COUNTS])
        if (counts < 0).any() or (counts[0] > counts[1:]).any():
            hint = "The record is damaged: delete it and measure the frame again."
            raise FileError("state", "counts that contradict each other", "counts of pixels", hint)
        self._counts += counts

    def merge(self, other: SemanticMetric) -> None:
        """Add another metric.

        Raises:
            OptionError: It is of another class.
        """
        check_same_class(self, other)
        self.add_state(other.state())

    def compute(self) -> SemanticValues:
        """The values over all frames so far."""
        correct, labeled, predicted = self._counts
        union = labeled + predicted - correct
        iou = np.full(self.num_classes, np.nan)
        np.divide(correct, union, out=iou, where=union > 0)
        present, total = labeled > 0, int(labeled.sum())
        is_unseen = np.zeros(self.num_classes, bool)
        is_unseen[list(self.unseen)] = True
        seen, unseen = _mean(iou[~is_unseen]), _mean(iou[is_unseen])
        return SemanticValues(
            miou=_mean(iou),
            miou_seen=seen,
            miou_unseen=unseen,
            hiou=2 * seen * unseen / (seen + unseen) if seen + unseen != 0 else 0.0,
            macc=_mean(correct[present] / labeled[present]),
            pacc=int(correct.sum()) / total if total else np.nan,
            fwiou=float((labeled[present] / total * iou[present]).sum()) if total else np.nan,
            per_class=iou,
        )

    def _checked_groups(self, unseen: Sequence[int]) -> tuple[int, ...]:
        expected = f"distinct class indices from 0 to {self.num_classes - 1}"
        hint = "Pass class indices, not names."
        if not isinstance(unseen, Iterable) or isinstance(unseen, (str, bytes)):
            raise OptionError("unseen", shown(unseen), expected, hint)
        indices = tuple(checked_integer("unseen", index, 0, self.num_classes - 1, hint) for index in unseen)
        if len(set(indices)) != len(indices):
            raise OptionError("unseen", shown(indices), expected, hint)
        return indices

    def _refuse(self, argument: str, counts: NDArray[np.int64], none: str) -> None:
        strange = np.flatnonzero(counts[self.num_classes : VOID])
        if len(strange):
            expected = f"0 to {self.num_classes - 1}, and {none}"
            hint = "Check the number of classes, and that labels and predictions use the same label space."
            raise ScoreRangeError(argument, f"the value {self.num_classes + int(strange[0])}", expected, hint)

    def _read_counts(self, name: str, counts: NDArray[Any] | None) -> NDArray[np.int64]:
        if counts is None or counts.dtype.kind not in "iu":
            got = "none" if counts is None else describe(counts)
            raise FileError(f"state[{name!r}]", got, "integer counts", "Pass what state() gave.")
        if counts.shape != (self.num_classes,):
            hint = "Add states of metrics with the same classes."
            raise ShapeError(f"state[{name!r}]", describe(counts), f"shape ({self.num_classes},)", hint)
        return counts.astype(np.int64)


def read_ids(argument: str, value: Array, lowest: int) -> NDArray[np.uint8]:
    """An (H, W) map of 8-bit ids from any array of integers; -1 becomes 255 where `lowest` allows it.

    Raises:
        ShapeError: Not (H, W), or empty.
        DTypeError: Not integers.
        ScoreRangeError: A value below `lowest` or above 255.
    """
    ids = read_integers(argument, value)
    if ids.dtype == np.uint8:
        return ids.view(np.uint8)
    low, high = int(ids.min()), int(ids.max())
    if low < lowest or high > VOID:
        hint = "Pass class indices, and 255 for no class."
        raise ScoreRangeError(argument, f"values from {low} to {high}", f"{lowest} to {VOID}", hint)
    return ids.astype(np.uint8)


def read_integers(argument: str, value: Array) -> NDArray[Any]:
    """An (H, W) numpy array of integers from a tensor or an array.

    Raises:
        ShapeError: Not (H, W), or empty.
        DTypeError: Not integers.
        ScoreRangeError: An id beyond int64.
    """
    integers = as_array(argument, value)
    if integers.dtype.kind not in "iu":
        hint = "Pass ids: the arg max of scores, or stored labels."
        raise DTypeError(argument, describe(value), "integers", hint)
    if integers.ndim != 2 or 0 in integers.shape:
        hint = "Pass one frame at a time, without batch and channel axes."
        raise ShapeError(argument, describe(value), "(H, W), every axis at least 1", hint)
    if integers.dtype == np.uint64 and integers.max() > np.iinfo(np.int64).max:
        hint = "Number the regions from 0 on."
        raise ScoreRangeError(argument, f"the id {integers.max()}", "ids that fit int64", hint)
    return integers


def check_same_size(argument: str, first: NDArray[Any], labels: NDArray[Any]) -> None:
    """Refuse a map of another size than the labels'.

    Raises:
        ShapeError: The shapes differ.
    """
    if first.shape != labels.shape:
        hint = "Resize the scores before the arg max, or region ids by nearest neighbor."
        raise ShapeError(argument, f"shape {first.shape}", f"the labels', {labels.shape}", hint)


def _mean(values: NDArray[np.float64]) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else np.nan

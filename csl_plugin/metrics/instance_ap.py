"""The instance metrics of the OoDIS benchmark: average precision over IoU 0.5 to 0.95, and at 0.5."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin._options import checked_integer
from csl_plugin.arrays import Array
from csl_plugin.metrics.instances import Instances, pixels_of, read_spans
from csl_plugin.metrics.labeled_components import connected_ids
from csl_plugin.metrics.metric import State, check_same_class, invalid_state, state_array, state_counts
from csl_plugin.metrics.pixels import read_labels
from csl_plugin.metrics.semantic import check_same_size, read_integers

OVERLAPS = np.arange(0.5, 1.0, 0.05)
"""The IoU that a match exceeds: 0.5, 0.55 ... 0.95, with the rounding errors of the official tool."""

MIN_TRUTH = 10
"""Pixels of the smallest instance that counts in the official tool."""

_NONE = -1


@dataclass(frozen=True, eq=False)
class InstanceValues:
    """Values over a set of frames, as fractions; nan where no labeled instance counts.

    Attributes:
        ap: Mean of `by_overlap`.
        ap50: The average precision at IoU 0.5.
        by_overlap: (10,) float64, the average precision at IoU 0.5, 0.55 ... 0.95.
        num_truth: Labeled instances that count.
        num_predicted: Predicted instances.
        num_frames: Frames.
    """

    ap: float
    ap50: float
    by_overlap: NDArray[np.float64]
    num_truth: int
    num_predicted: int
    num_frames: int


class InstanceAP:
    """Average precision of predicted instances, as the official tool of OoDIS computes it.

    A prediction finds a labeled instance if their IoU is larger than the level, from 0.5 on, so it finds one
    at the most. Of several predictions that find one instance, the one with the highest score is right and
    the others are false. A prediction that finds none is false, unless a larger share of it than the level is
    ignored: void, or in labeled instances that are too small. A prediction that finds one of these is neither
    right nor false. The precision over the recall is summed by trapezoids through the points of all distinct
    scores, and begins with precision 1 at recall 0: no envelope is taken.

    Where labels say which pixels are anomalous and no more (SegmentMeIfYouCan, Fishyscapes), the 8-connected
    components of these pixels are the labeled instances.

    One case differs from the official tool, which fails if every prediction is ignored: the values are 0.

    Args:
        min_truth: Pixels of a labeled instance; smaller ones are ignored.

    Raises:
        OptionError: A negative size.

    Example:
        >>> from csl_plugin.objects import find_objects
        >>> metric = InstanceAP(min_truth=1)
        >>> objects, = find_objects(np.array([[0.9, 0.9, 0.9, 0.1, 0.8]]), 0.5, min_area=1)
        >>> metric.update(objects, np.array([[1, 1, 0, 0, 1]], np.uint8))
        >>> values = metric.compute()
        >>> round(values.ap, 3), values.ap50
        (0.475, 1.0)

    Source:
        Nekrasov et al., "OoDIS: Anomaly Instance Segmentation and Detection Benchmark", 2025, and its tool as
        of 2024, which takes the metric of Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene
        Understanding", 2016, with 10 pixels as the smallest size.
    """

    def __init__(self, *, min_truth: int = MIN_TRUTH) -> None:
        self.min_truth = checked_integer("min_truth", min_truth, 0, None, "Omit it for 10 pixels.")
        self._parts: list[Matches] = []
        self._frames = 0

    def update(self, objects: Instances, labels: Array, instances: Array | None = None) -> None:
        """Add one frame.

        Args:
            objects: The predicted instances of the frame, such as `csl_plugin.Objects`; they may overlap.
            labels: (H, W) integers: 0 normal, 1 anomaly, everything else void. Of a mask of 0 and 255 pass
                `mask == 255`.
            instances: (H, W) integers, the labeled instance of each anomalous pixel; other pixels are not
                read. None for the 8-connected components.

        Raises:
            ShapeError: Not (H, W), or of another size than the objects'.
            DTypeError: No objects, or another element type.
            ScoreRangeError: A score of an object is not finite.
        """
        label_map = read_labels(labels)
        spans = read_spans(objects, label_map.shape)
        truth = label_map == 1
        ids = connected_ids(truth) if instances is None else _numbered(instances, truth)
        scores = np.array(objects.scores, np.float64)
        self._parts.append(_match(spans, scores, ids, truth | (label_map == 0), self.min_truth))
        self._frames += 1

    def state(self) -> dict[str, NDArray[Any]]:
        """The labeled instances, and of each predicted one what it may find and the share that is ignored."""
        joined = self.matches()
        return {
            "frames": np.array([self._frames], np.int64),
            "truths": np.array([joined.truths], np.int64),
            "score": joined.score,
            "iou": joined.iou,
            "truth": joined.truth,
            "ignored": joined.ignored,
        }

    def add_state(self, state: State) -> None:
        """Add the state of another metric of the same size.

        Raises:
            FileError: An array is missing, of another element type, or out of range.
            ShapeError: An array of another shape.
        """
        score = state_array(state, "score", np.float64)
        if not np.isfinite(score).all():
            raise invalid_state("score", "a score that is not finite")
        shares = {name: state_array(state, name, np.float64, score.size) for name in ("iou", "ignored")}
        for name, share in shares.items():
            if not ((share >= 0) & (share <= 1)).all():
                raise invalid_state(name, "a value outside 0 to 1")
        truths = int(state_counts(state, "truths", 1)[0])
        truth = state_array(state, "truth", np.int64, score.size)
        if not ((truth >= _NONE) & (truth < truths)).all():
            raise invalid_state("truth", "an instance beyond their number")
        self._frames += int(state_counts(state, "frames", 1)[0])
        copies = (np.array(each) for each in (score, shares["iou"], truth, shares["ignored"]))
        self._parts.append(Matches(truths, *copies))

    def merge(self, other: InstanceAP) -> None:
        """Add another metric.

        Raises:
            OptionError: It is of another class.
        """
        check_same_class(self, other)
        self._parts += other._parts
        self._frames += other._frames

    def matches(self) -> Matches:
        """Of all frames so far."""
        return Matches.joined(self._parts)

    def compute(self) -> InstanceValues:
        """The values over all frames so far."""
        joined = self.matches()
        precisions = np.array([_average_precision(joined, level) for level in OVERLAPS.tolist()])
        return InstanceValues(
            ap=float(precisions.mean()),
            ap50=float(precisions[0]),
            by_overlap=precisions,
            num_truth=joined.truths,
            num_predicted=joined.score.size,
            num_frames=self._frames,
        )


@dataclass(frozen=True, eq=False)
class Matches:
    """Predicted instances, and the labeled one that each overlaps by more than half of their union.

    Attributes:
        truths: Labeled instances that count.
        score: (N,) float64.
        iou: (N,) float64, with the one labeled instance with which it is above 0.5; 0 if there is none.
        truth: (N,) int64, this instance's index; -1 if there is none, or if it is too small.
        ignored: (N,) float64, the share of pixels that are void or in small labeled instances.
    """

    truths: int
    score: NDArray[np.float64]
    iou: NDArray[np.float64]
    truth: NDArray[np.int64]
    ignored: NDArray[np.float64]

    @classmethod
    def joined(cls, parts: list[Matches]) -> Matches:
        """Those of several frames, whose labeled instances are numbered through."""
        empty = np.empty(0)
        score, iou, ignored = (
            np.concatenate([empty, *(getattr(part, name) for part in parts)])
            for name in ("score", "iou", "ignored")
        )
        truths, found = 0, [np.empty(0, np.int64)]
        for part in parts:
            found.append(np.where(part.truth == _NONE, _NONE, part.truth + truths))
            truths += part.truths
        return cls(truths, score, iou, np.concatenate(found), ignored)

    def judged(self, level: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The scores of the predictions that are right or false at a level of IoU, and which are right."""
        matched = self.iou > level
        false = self.score[~matched & (self.ignored <= level)]
        own = matched & (self.truth != _NONE)
        truth, score = self.truth[own], self.score[own]
        order = np.lexsort((-score, truth))
        best = np.append(True, np.diff(truth[order]) != 0)[: order.size]  # others that find it are false
        return np.concatenate([false, score[order]]), np.concatenate([np.zeros(false.size, bool), best])


def _numbered(instances: Array, truth: NDArray[np.bool_]) -> NDArray[np.int32]:
    """(H, W) instances numbered from 1 where the labels are anomalous, else 0."""
    given = read_integers("instances", instances)
    check_same_size("instances", given, truth)
    ids = np.zeros(truth.shape, np.int32)
    ids[truth] = np.unique(given[truth], return_inverse=True)[1] + 1
    return ids


def _match(
    spans: list[NDArray[np.int64]],
    scores: NDArray[np.float64],
    ids: NDArray[np.int32],
    labeled: NDArray[np.bool_],
    min_truth: int,
) -> Matches:
    sizes = np.bincount(ids.ravel())
    sizes[0] = 0
    counts = sizes >= max(min_truth, 1)
    numbers = np.where(counts, np.cumsum(counts) - 1, _NONE)
    down = ids.ravel(order="F")
    ignored_before = _cumulated(~labeled.ravel(order="F") | ((numbers[down] == _NONE) & (down > 0)))
    truth_before = _cumulated(down > 0)
    rows = []
    for span, score in zip(spans, scores.tolist(), strict=True):
        area = int((span[1] - span[0]).sum())
        if not area:
            continue
        iou, place = 0.0, _NONE
        # With an IoU above 0.5 more than half of the prediction is in the instance.
        if 2 * int((truth_before[span[1]] - truth_before[span[0]]).sum()) > area:
            shared = np.bincount(down[pixels_of(span)], minlength=2)
            shared[0] = 0
            best = int(shared.argmax())
            overlap = float(shared[best] / (sizes[best] + area - shared[best]))
            if overlap > 0.5:
                iou, place = overlap, int(numbers[best])
        ignored = int((ignored_before[span[1]] - ignored_before[span[0]]).sum()) / area
        rows.append((score, iou, place, ignored))
    columns = np.array(rows, np.float64).reshape(-1, 4).T.copy()
    return Matches(int(counts.sum()), columns[0], columns[1], columns[2].astype(np.int64), columns[3])


def _cumulated(flags: NDArray[np.bool_]) -> NDArray[np.int32]:
    return np.concatenate([np.zeros(1, np.int32), np.cumsum(flags, dtype=np.int32)])


def _average_precision(found: Matches, level: float) -> float:
    """The area under precision over recall at one level of IoU."""
    if not found.truths:
        return np.nan
    score, right = found.judged(level)
    right_scores, wrong_scores = np.sort(score[right]), np.sort(score[~right])
    thresholds = np.unique(score)[::-1]
    tp = right_scores.size - right_scores.searchsorted(thresholds)
    fp = wrong_scores.size - wrong_scores.searchsorted(thresholds)
    precision = np.append(1.0, tp / (tp + fp))
    recall = np.append(0.0, tp / found.truths)
    return float((np.diff(recall) * (precision[1:] + precision[:-1])).sum() / 2)

"""The component metrics of the SegmentMeIfYouCan benchmark: sIoU, PPV and mean F1."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from csl_plugin._options import as_float, checked_integer
from csl_plugin.arrays import Array, shown
from csl_plugin.errors import OptionError, ScoreRangeError
from csl_plugin.metrics.instances import Instances, object_ids
from csl_plugin.metrics.metric import State, check_same_class, invalid_state, state_array, state_counts
from csl_plugin.metrics.overlaps import Components, Overlaps, find_overlaps
from csl_plugin.metrics.pixels import read_frame, read_labels

_LEVELS = np.linspace(0.25, 0.75, 11)
_HALF = 5  # the level 0.5
_MAGNITUDE, _INFINITY = np.int16(0x7FFF), np.int16(0x7C00)  # of a float16's bits


@dataclass(frozen=True)
class ComponentSettings:
    """Minimum sizes of components.

    Attributes:
        min_predicted: Pixels of a predicted component; smaller ones are deleted.
        min_truth: Pixels of a labeled component; smaller ones become void.
    """

    min_predicted: int
    min_truth: int


ANOMALY_TRACK = ComponentSettings(500, 100)
"""Of SegmentMeIfYouCan's AnomalyTrack."""
OBSTACLE_TRACK = ComponentSettings(50, 10)
"""Of SegmentMeIfYouCan's ObstacleTrack."""
COMPONENT_SETTINGS = {"anomaly": ANOMALY_TRACK, "obstacle": OBSTACLE_TRACK}
"""The settings by the name that `--components` takes."""

COMPONENT_METRICS = ("siou_gt", "ppv", "mean_f1")
"""The values of `ComponentValues` that benchmarks report."""


@dataclass(frozen=True)
class ObjectCounts:
    """Numbers of objects.

    Attributes:
        found: Labeled components whose sIoU is at least 0.5.
        missed: The other labeled components.
        false: Predicted components of which less than half is anomalous.
    """

    found: int
    missed: int
    false: int


@dataclass(frozen=True, eq=False)
class ComponentValues:
    """Values over the components of a set of frames, as fractions; nan where undefined.

    Attributes:
        siou_gt: Mean adjusted IoU of the labeled components.
        ppv: Mean share of anomalous pixels in a predicted component.
        mean_f1: Mean of `f1`.
        f1: (11,) float64, F1 of the components at the levels 0.25, 0.30 ... 0.75.
        tp: (11,) int64, labeled components whose sIoU reaches the level.
        fn: (11,) int64, labeled components whose sIoU does not.
        fp: (11,) int64, predicted components whose PPV does not.
        num_truth: Labeled components.
        num_predicted: Predicted components.
        num_frames: Frames.
    """

    siou_gt: float
    ppv: float
    mean_f1: float
    f1: NDArray[np.float64]
    tp: NDArray[np.int64]
    fn: NDArray[np.int64]
    fp: NDArray[np.int64]
    num_truth: int
    num_predicted: int
    num_frames: int

    @property
    def counts(self) -> ObjectCounts:
        """The components found, missed and false, at the level 0.5 of sIoU and PPV."""
        tp, fn, fp = (int(side[_HALF]) for side in (self.tp, self.fn, self.fp))
        return ObjectCounts(tp, fn, fp)

    def where_defined(self) -> ComponentValues:
        """These values, with nan for `siou_gt`, `ppv` and `mean_f1` where there is no labeled component.

        F1 over predicted components alone is 0 there, as in the official tool.
        """
        if self.num_truth:
            return self
        return replace(self, siou_gt=math.nan, ppv=math.nan, mean_f1=math.nan)


class _Found:
    """The components of frames, labeled and predicted, and the values over them.

    Args:
        settings: Minimum sizes.

    Raises:
        OptionError: No settings, or a negative size.
    """

    def __init__(self, settings: ComponentSettings) -> None:
        if not isinstance(settings, ComponentSettings):
            raise OptionError("settings", shown(settings), "a ComponentSettings", "Use ANOMALY_TRACK.")
        for size in (settings.min_predicted, settings.min_truth):
            checked_integer("settings", size, 0, None, "It is a number of pixels: use ANOMALY_TRACK.")
        self.settings = settings
        self._found: list[Overlaps] = []
        self._frames = 0

    def state(self) -> dict[str, NDArray[Any]]:
        """The sIoU and size of each labeled, the PPV and size of each predicted component."""
        joined = Overlaps.joined(self._found)
        return {
            "frames": np.array([self._frames], np.int64),
            "siou_gt": joined.siou,
            "size_gt": joined.truth_sizes,
            "ppv": joined.ppv,
            "size_predicted": joined.predicted_sizes,
        }

    def add_state(self, state: State) -> None:
        """Add the state of another metric of the same settings.

        Raises:
            FileError: An array is missing, of another element type, or out of range.
            ShapeError: An array of another shape.
        """
        sides = []
        for share, size in (("siou_gt", "size_gt"), ("ppv", "size_predicted")):
            shares = state_array(state, share, np.float64)
            if not ((shares >= 0) & (shares <= 1)).all():
                raise invalid_state(share, "a value outside 0 to 1")
            sides += [np.array(shares), np.array(state_counts(state, size, shares.size))]
        self._frames += int(state_counts(state, "frames", 1)[0])
        self._found.append(Overlaps(*sides))

    def merge(self, other: Self) -> None:
        """Add another metric.

        Raises:
            OptionError: Another class, or another threshold.
        """
        check_same_class(self, other)
        self.add_state(other.state())

    def compute(self) -> ComponentValues:
        """The values over all frames so far."""
        joined = Overlaps.joined(self._found)
        tp = (joined.siou[:, None] >= _LEVELS).sum(axis=0)
        fn = joined.siou.size - tp
        fp = (joined.ppv[:, None] < _LEVELS).sum(axis=0)
        with np.errstate(invalid="ignore"):
            f1 = 2 * tp / (2 * tp + fn + fp)
        return ComponentValues(
            siou_gt=_mean(joined.siou),
            ppv=_mean(joined.ppv),
            mean_f1=float(f1.mean()),
            f1=f1,
            tp=tp,
            fn=fn,
            fp=fp,
            num_truth=joined.siou.size,
            num_predicted=joined.ppv.size,
            num_frames=self._frames,
        )

    def _add(self, predicted: Components, truth: NDArray[np.bool_]) -> None:
        """Add a frame."""
        self._found.append(find_overlaps(predicted, truth, self.settings.min_truth))
        self._frames += 1


class ComponentMetric(_Found):
    """Agreement of predicted and labeled components, at one threshold for all frames.

    A pixel is predicted if its score is larger than the threshold and it is not void; components are
    8-connected. The official threshold is the `best_f1_threshold` of `SmiycAnomaly` over the same frames. It
    is first rounded to the floating-point type of the scores, as in numpy 1, with which the official values
    are made: for saturated float16 scores this changes hundreds of pixels.

    Args:
        settings: `ANOMALY_TRACK`, `OBSTACLE_TRACK`, or other sizes.
        threshold: Scores strictly larger are predictions.

    Raises:
        OptionError: The threshold is nan, or a size is negative.

    Example:
        >>> metric = ComponentMetric(ComponentSettings(1, 1), 0.5)
        >>> metric.update(np.array([[0.9, 0.9, 0.1, 0.8]]), np.array([[1, 0, 0, 1]], np.uint8))
        >>> values = metric.compute()
        >>> values.siou_gt, values.ppv, values.f1[[0, -1]]
        (0.75, 0.75, array([1. , 0.5]))

    Source:
        Chan et al., "SegmentMeIfYouCan: A Benchmark for Anomaly Segmentation", 2021, section 3.2: the
        tool's `SegEval-AnomalyTrack` and `SegEval-ObstacleTrack`.
    """

    def __init__(self, settings: ComponentSettings, threshold: float) -> None:
        super().__init__(settings)
        self.threshold = as_float(threshold)
        if math.isnan(self.threshold):
            hint = "There is no best threshold without anomalous pixels: pass one."
            raise OptionError("threshold", shown(threshold), "a number", hint)

    def update(self, scores: Array, labels: Array) -> None:
        """Add one frame.

        Args:
            scores: (H, W) floating point or uint8; higher is more anomalous.
            labels: (H, W) integers: 0 normal, 1 anomaly, everything else void. Of a mask of 0 and 255 pass
                `mask == 255`.

        Raises:
            ShapeError: Not (H, W), or not the same.
            DTypeError: Another element type.
            ScoreRangeError: A labeled pixel's score is nan.
        """
        score_map, label_map = read_frame(scores, labels)
        truth = label_map == 1
        labeled = truth | (label_map == 0)
        predicted, undefined = _above(score_map, self.threshold)
        if undefined is not None and bool((undefined & labeled).any()):
            hint = "Find the source of nan, or mark these pixels as void."
            raise ScoreRangeError("scores", "nan on a labeled pixel", "numbers", hint)
        self._add(Components.of_mask(predicted & labeled, self.settings.min_predicted), truth)

    def state(self) -> dict[str, NDArray[Any]]:
        """The threshold, the sIoU and size of each labeled, the PPV and size of each predicted component."""
        return {**super().state(), "threshold": np.array([self.threshold])}

    def add_state(self, state: State) -> None:
        """Add the state of another metric of the same settings and threshold.

        Raises:
            FileError: An array is missing, of another element type, or out of range.
            ShapeError: An array of another shape.
            OptionError: Another threshold.
        """
        threshold = float(state_array(state, "threshold", np.float64, 1)[0])
        if threshold != self.threshold:
            hint = "Measure all frames at one threshold."
            raise OptionError("threshold", repr(threshold), repr(self.threshold), hint)
        super().add_state(state)


class ObjectMetric(_Found):
    """Agreement of given objects and labeled components: the values of `ComponentMetric` at their threshold.

    Each object stands for a predicted component, whether it is connected or not. Its void pixels do not
    count, and of objects that overlap the first one has a pixel, which is the one with the higher score. For
    objects that are the 8-connected components of a mask without void pixels, the values are those of
    `ComponentMetric`.

    Args:
        settings: `ANOMALY_TRACK`, `OBSTACLE_TRACK`, or other sizes.

    Raises:
        OptionError: No settings, or a negative size.

    Example:
        >>> from csl_plugin.objects import find_objects
        >>> metric = ObjectMetric(ComponentSettings(1, 1))
        >>> objects, = find_objects(np.array([[0.9, 0.9, 0.1, 0.8]]), 0.5, min_area=1)
        >>> metric.update(objects, np.array([[1, 0, 0, 1]], np.uint8))
        >>> metric.compute().counts
        ObjectCounts(found=2, missed=0, false=0)

    Source:
        As `ComponentMetric`.
    """

    def update(self, objects: Instances, labels: Array) -> None:
        """Add one frame.

        Args:
            objects: The objects of the frame, such as `csl_plugin.Objects`.
            labels: (H, W) integers: 0 normal, 1 anomaly, everything else void. Of a mask of 0 and 255 pass
                `mask == 255`.

        Raises:
            ShapeError: Not (H, W), or of another size than the objects'.
            DTypeError: Another element type.
        """
        label_map = read_labels(labels)
        ids = object_ids(objects, label_map.shape)
        truth = label_map == 1
        ids[~(truth | (label_map == 0))] = 0
        predicted = Components.of_ids(ids, len(objects.runs) + 1, self.settings.min_predicted)
        self._add(predicted, truth)


def _above(scores: NDArray[Any], threshold: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_] | None]:
    """Where scores are larger than the threshold in their own type, and where they are nan."""
    if scores.dtype == np.uint8:
        return scores > np.float64(threshold), None
    with np.errstate(over="ignore"):
        limit = scores.dtype.type(threshold)
    if scores.dtype != np.float16:
        return scores > limit, np.isnan(scores)
    # No conversion: float16 bits as integers rise with the values from 0 on, and fall below 0.
    bits, edge = scores.view(np.int16), (limit + np.float16(0)).view(np.int16)
    above = bits > edge if edge >= 0 else (bits >= 0) | (bits < edge)
    return above, (bits & _MAGNITUDE) > _INFINITY


def _mean(values: NDArray[np.float64]) -> float:
    return (
        math.fsum(values) / values.size if values.size else np.nan
    )  # exact: independent of the order of frames

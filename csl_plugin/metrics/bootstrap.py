"""Confidence intervals by bootstrap over frames: of a ratio, and of the difference between two methods."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin._options import as_float, checked_integer
from csl_plugin.arrays import shown
from csl_plugin.errors import DTypeError, OptionError, ShapeError
from csl_plugin.metrics.anomaly_values import ANOMALY_METRICS
from csl_plugin.metrics.bootstrap_inspection import image_draws, overlap_draws
from csl_plugin.metrics.components import COMPONENT_METRICS, ObjectMetric
from csl_plugin.metrics.images import IMAGE_METRICS, ImageAnomaly
from csl_plugin.metrics.instance_ap import OVERLAPS, InstanceAP
from csl_plugin.metrics.metric import State
from csl_plugin.metrics.pooled import PooledAnomaly, sorted_sides
from csl_plugin.metrics.region_overlap import REGION_OVERLAP_METRICS, RegionOverlap
from csl_plugin.metrics.region_quality import NAMES, RegionQuality
from csl_plugin.metrics.region_vote import RegionVoteMetric
from csl_plugin.metrics.semantic import SemanticMetric
from csl_plugin.metrics.sorted_scores import SortedScores

_LEVELS = 4096
_SEMANTIC = ("miou", "miou_seen", "miou_unseen", "hiou")
_REGIONS = ("covering", "best_iou")
_INSTANCES = ("ap", "ap50")
_AT_ONCE = 64  # draws


@dataclass(frozen=True)
class Interval:
    """From `low` to `high`; nan where a metric is undefined."""

    low: float
    high: float


def bootstrap_difference(
    metric: PooledAnomaly
    | SemanticMetric
    | RegionVoteMetric
    | RegionQuality
    | ObjectMetric
    | InstanceAP
    | RegionOverlap
    | ImageAnomaly,
    before: Sequence[State],
    after: Sequence[State],
    *,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Percentile intervals of the change of each metric, paired over frames.

    Each draw resamples the frames with replacement, the same frames before and after. The interval holds the
    middle share `level` of the differences after - before. It measures how the change depends on the choice
    of frames; it does not include the variance of training.

    Args:
        metric: A fresh metric of the class and settings of the states.
        before: The state of each frame; the sequence may read them from files.
        after: The states of the same frames in the same order.
        draws: Number of draws.
        seed: Of the random numbers; the same seed draws the same frames.
        level: Share of the draws inside the interval.

    Returns:
        Intervals by metric: `ap`, `auroc` and `fpr95` (first point); `miou`, `miou_seen`, `miou_unseen` and
        `hiou`; `covering` and `best_iou`; `siou_gt`, `ppv` and `mean_f1`; `ap` and `ap50` of instances;
        `aupro_30` and `aupro_05`; or `image_auroc` and `image_ap`.
        Draws in which a metric is undefined, as without anomalous pixels, are omitted.

    Note:
        Anomaly scores are binned at 4096 quantiles of all frames' scores, half of them of the anomalous
        pixels; for AUPRO at 8192. With more distinct scores the ends move by about a hundredth of the
        interval's width; with fewer, the intervals are exact.

    Raises:
        ShapeError: No frames, or different numbers before and after.
        OptionError: `draws` or `level` out of range.
        DTypeError: A metric of another class.

    Example:
        >>> def state(*ids):
        ...     metric = SemanticMetric(2)
        ...     metric.update(np.array([ids]), np.array([[0, 0, 1, 1]]))
        ...     return metric.state()
        >>> before, after = [state(0, 1, 1, 1)] * 3, [state(0, 0, 1, 1)] * 3
        >>> bootstrap_difference(SemanticMetric(2), before, after)["miou"].low > 0.4
        True

    Source:
        Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979.
    """
    if len(before) != len(after) or not len(before):
        got = f"{len(before)} states before and {len(after)} after"
        hint = "Pass both states of every frame, in the same order."
        raise ShapeError("before, after", got, "the same number of both, at least one", hint)
    draws = checked_integer("draws", draws, 1, None, "Omit it for 1000 draws.")
    seed = checked_integer("seed", seed, 0, None, "Omit it for 0.")
    if not 0 < as_float(level) < 1:
        raise OptionError("level", shown(level), "a number between 0 and 1", "Omit it for 95 %.")
    frames = len(before)
    weights = np.random.default_rng(seed).multinomial(frames, np.full(frames, 1 / frames), size=draws)
    if isinstance(metric, PooledAnomaly):
        names: tuple[str, ...] = ANOMALY_METRICS
        found = [_anomaly_draws(states, weights) for states in (before, after)]
    elif isinstance(metric, (SemanticMetric, RegionVoteMetric)):
        names = _SEMANTIC
        found = [_semantic_draws(metric, states, weights) for states in (before, after)]
    elif isinstance(metric, RegionQuality):
        names = _REGIONS
        found = [_region_draws(states, weights) for states in (before, after)]
    elif isinstance(metric, ObjectMetric):
        names = COMPONENT_METRICS
        found = [_object_draws(metric, states, weights) for states in (before, after)]
    elif isinstance(metric, InstanceAP):
        names = _INSTANCES
        found = [_instance_draws(metric, states, weights) for states in (before, after)]
    elif isinstance(metric, RegionOverlap):
        names = REGION_OVERLAP_METRICS
        found = [overlap_draws(states, weights) for states in (before, after)]
    elif isinstance(metric, ImageAnomaly):
        names = IMAGE_METRICS
        found = [_image_draws(states, weights) for states in (before, after)]
    else:
        hint = (
            "Use PooledAnomaly, SemanticMetric, RegionVoteMetric, RegionQuality, ObjectMetric, InstanceAP, "
            "RegionOverlap or ImageAnomaly."
        )
        raise DTypeError("metric", type(metric).__name__, "one of these metrics", hint)
    differences = found[1] - found[0]
    return {name: _interval(differences[:, index], level) for index, name in enumerate(names)}


def bootstrap_ratio(
    numerators: NDArray[Any], denominators: NDArray[Any], *, draws: int = 1000, seed: int = 0
) -> Interval:
    """The 95 % percentile interval of a ratio of two sums over frames, as a precision is one.

    Args:
        numerators: (frames,) of each frame.
        denominators: (frames,) of each frame, from 0.
        draws: Number of draws of frames, with replacement.
        seed: Of the random numbers.

    Returns:
        From low to high; draws whose denominators are all 0 are omitted.

    Example:
        >>> bootstrap_ratio(np.array([1, 0, 1, 0]), np.ones(4))
        Interval(low=0.0, high=1.0)
    """
    frames = len(numerators)
    weights = np.random.default_rng(seed).multinomial(frames, np.full(frames, 1 / frames), size=draws)
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = (weights @ numerators) / (weights @ denominators)
    return _interval(np.where(np.isfinite(drawn), drawn, np.nan), 0.95)


def _interval(differences: NDArray[np.float64], level: float) -> Interval:
    defined = differences[~np.isnan(differences)]
    if not defined.size:
        return Interval(np.nan, np.nan)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def _semantic_draws(
    metric: SemanticMetric | RegionVoteMetric, states: Sequence[State], weights: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(draws, 4): counts are additive, so a draw is a weighted sum of the frames' counts."""
    check = copy.deepcopy(metric)
    frames = []
    for state in states:
        check.add_state(state)
        frames.append({name: np.array(counts) for name, counts in state.items()})
    sums = {name: weights @ np.stack([frame[name] for frame in frames]) for name in frames[0]}
    values = np.empty((len(weights), len(_SEMANTIC)))
    for index in range(len(weights)):
        drawn = copy.deepcopy(metric)
        drawn.add_state({name: counts[index] for name, counts in sums.items()})
        computed = drawn.compute()
        values[index] = [getattr(computed, name) for name in _SEMANTIC]
    return values


def _region_draws(states: Sequence[State], weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """(draws, 2): covering and best IoU of the weighted sums."""
    sums = []
    for state in states:
        check = RegionQuality()
        check.add_state(state)
        sums.append([check.state()[name].sum() for name in NAMES])
    covered, pixels, overlap, regions = (weights @ np.array(sums)).T
    with np.errstate(invalid="ignore"):
        return np.stack([covered / pixels, overlap / regions], axis=1)


def _object_draws(
    metric: ObjectMetric, states: Sequence[State], weights: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(draws, 3): sIoU, PPV and mean F1 of the weighted sums over the components of the frames."""
    rows = []
    for state in states:
        own = copy.deepcopy(metric)
        own.add_state(state)
        counts, held = own.compute(), own.state()
        shares = [each for name in ("siou_gt", "ppv") for each in (held[name].sum(), held[name].size)]
        rows.append(np.concatenate([shares, counts.tp, counts.fp]))
    sums = weights @ np.array(rows)
    overlap, truths, precise, predicted = sums[:, :4].T
    tp, fp = np.split(sums[:, 4:], 2, axis=1)
    with np.errstate(invalid="ignore"):
        f1 = (2 * tp / (tp + truths[:, None] + fp)).mean(axis=1)
        values = np.stack([overlap / truths, precise / predicted, f1], axis=1)
    values[truths == 0] = np.nan
    return values


def _instance_draws(
    metric: InstanceAP, states: Sequence[State], weights: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(draws, 2): AP and AP50; what is right and false in a frame does not depend on other frames."""
    found = []
    for state in states:
        own = copy.deepcopy(metric)
        own.add_state(state)
        found.append(own.matches())
    truths = weights @ np.array([matches.truths for matches in found])
    areas = []
    for level in OVERLAPS.tolist():
        judged = [matches.judged(level) for matches in found]
        score, right = (np.concatenate(side) for side in zip(*judged, strict=True))
        frame = np.repeat(np.arange(len(found)), [len(own) for own, _ in judged])
        order = np.argsort(-score, kind="stable")
        last = np.append(np.diff(score[order]) != 0, True)[: order.size]
        of_draws = [_areas(some[:, frame[order]], right[order], last) for some in _batches(weights)]
        areas.append(np.concatenate(of_draws))
    with np.errstate(divide="ignore", invalid="ignore"):
        precisions = np.array(areas) / truths
    values = np.stack([precisions.mean(axis=0), precisions[0]], axis=1)
    values[truths == 0] = np.nan
    return values


def _areas(
    times: NDArray[np.float64], right: NDArray[np.bool_], last: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """(draws,) the area under precision over the number found, by trapezoids.

    Args:
        times: (draws, K) how often each prediction was drawn, by falling score.
        right: (K,) which are right.
        last: (K,) the last one of each score.
    """
    tp, fp = (np.cumsum(times * side, axis=1)[:, last] for side in (right, ~right))
    precision = np.divide(tp, tp + fp, out=np.ones_like(tp), where=tp + fp > 0)
    steps = np.diff(tp, axis=1, prepend=0)
    before = np.concatenate([np.ones((len(tp), 1)), precision], axis=1)[:, :-1]
    return np.asarray((steps * (precision + before)).sum(axis=1) / 2)


def _anomaly_draws(states: Sequence[State], weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """(draws, 3): ap, auroc, fpr95 of the weighted sum of the frames' histograms."""
    edges = np.unique(np.concatenate([_pooled_quantiles(states, kind) for kind in (0, 1)]))
    histograms = np.stack([_histograms(state, edges) for state in states]).astype(np.float64)
    values = [
        _anomaly_values(*np.tensordot(some, histograms, (1, 0)).transpose(1, 0, 2))
        for some in _batches(weights)
    ]
    return np.concatenate(values)


def _image_draws(states: Sequence[State], weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """(draws, 2): image_auroc and image_ap."""
    values = _anomaly_values(*image_draws(states, weights))
    return values[:, [1, 0]]


def _batches(weights: NDArray[np.int64]) -> Iterator[NDArray[np.float64]]:
    for start in range(0, len(weights), _AT_ONCE):
        yield weights[start : start + _AT_ONCE].astype(np.float64)


def _pooled_quantiles(states: Sequence[State], kind: int) -> NDArray[np.float64]:
    """Scores at equally spaced ranks of one kind over all frames, from a sample of each frame."""
    values, shares = [np.empty(0)], [np.empty(0)]
    for state in states:
        side = sorted_sides(state)[kind]
        for part in side:
            if part.size:
                taken = min(part.size, _LEVELS // 2)
                values.append(
                    part.at(np.linspace(0, part.size - 1, taken).astype(np.int64)).astype(np.float64)
                )
                shares.append(np.full(taken, part.size / taken))
    value, share = np.concatenate(values), np.concatenate(shares)
    ranks = value.argsort()
    reached = np.cumsum(share[ranks])
    targets = np.linspace(0, reached[-1] if reached.size else 0, _LEVELS // 2)
    return (
        value[ranks][np.minimum(reached.searchsorted(targets), max(value.size - 1, 0))]
        if value.size
        else value
    )


def _histograms(state: State, edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """(2, bins): positives and negatives in each bin, the highest bin first."""
    return np.stack([_histogram(side, edges) for side in sorted_sides(state)])


def _histogram(side: list[SortedScores], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    below = sum((part.below(edges) for part in side), np.zeros(edges.size, np.int64))
    total = sum(part.size for part in side)
    return np.diff(np.concatenate([[0], below, [total]]))[::-1]


def _anomaly_values(positives: NDArray[np.float64], negatives: NDArray[np.float64]) -> NDArray[np.float64]:
    """(draws, 3) from (draws, bins) of each side."""
    tp, fp = positives.cumsum(axis=1), negatives.cumsum(axis=1)
    p, n = tp[:, -1], fp[:, -1]
    with np.errstate(divide="ignore", invalid="ignore"):
        ap = np.where(tp > 0, positives * (tp / (tp + fp)), 0).sum(axis=1) / p
        auroc = (negatives * (tp - positives / 2)).sum(axis=1) / p / n
        found = (tp / p[:, None] >= 0.95).argmax(axis=1)
        fpr = np.take_along_axis(fp, found[:, None], axis=1)[:, 0] / n
    undefined = (p == 0) | (n == 0)
    return np.where(undefined[:, None], np.nan, np.stack([ap, auroc, fpr], axis=1))

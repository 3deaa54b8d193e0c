"""Covering and best IoU against their definition, written out with sets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from csl_plugin.errors import DTypeError, FileError, OptionError, ShapeError
from csl_plugin.metrics import RegionQuality, SemanticMetric, bootstrap_difference


def drawn(seed, annotators=2, size=(5, 6)):
    draw = np.random.default_rng(seed)
    labels = draw.integers(-1, 4, size)
    truth = draw.integers(-1, 3, (annotators, *size))
    return labels * 3 - (labels < 0), truth, draw.random(size) < 0.8


def by_definition(frames):
    """Sums over the frames of best overlaps, region by region, each annotator weighing 1 / A."""
    covered = pixels = overlap = regions = 0.0
    for labels, truth, valid in frames:
        for annotator in truth:
            for region in set(annotator[valid].tolist()) - {-1}:
                own = {tuple(p) for p in np.argwhere((annotator == region) & valid).tolist()}
                others = [
                    {tuple(p) for p in np.argwhere((labels == label) & valid).tolist()}
                    for label in set(labels[valid].tolist())
                    if label >= 0
                ]
                best = max((len(own & other) / len(own | other) for other in others), default=0.0)
                covered += len(own) * best / len(truth)
                pixels += len(own) / len(truth)
                overlap += best / len(truth)
                regions += 1 / len(truth)
    return covered / pixels if pixels else np.nan, overlap / regions if regions else np.nan, regions


@given(seeds=st.lists(st.integers(0, 999), min_size=1, max_size=3), annotators=st.integers(1, 3))
def test_it_is_the_definition(seeds, annotators):
    frames = [drawn(seed, annotators) for seed in seeds]
    metric = RegionQuality()
    for labels, truth, valid in frames:
        metric.update(labels, torch.from_numpy(truth), valid)
    values = metric.compute()
    expected = by_definition(frames)
    found = (values.covering, values.best_iou, values.num_regions)
    assert found == pytest.approx(expected, rel=1e-12, nan_ok=True)
    assert values.num_frames == len(seeds)


@given(seed=st.integers(0, 999))
def test_the_truth_itself_is_perfect_whatever_its_ids(seed):
    truth = drawn(seed)[1][0]
    metric = RegionQuality()
    metric.update(np.where(truth < 0, 77, 1000 - truth), truth)
    assert metric.compute().covering == metric.compute().best_iou == 1.0


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int8", "int32", "int64"])
def test_integers_of_every_kind_will_do(dtype):
    labels, truth, _ = drawn(5)
    kept = (labels >= 0) & (truth[0] >= 0)
    metric = RegionQuality()
    metric.update(np.where(kept, labels, 0).astype(dtype), np.where(kept, truth[0], 0).astype(dtype), kept)
    assert metric.compute().best_iou == pytest.approx(by_definition([(labels, truth[:1], kept)])[1])


def test_what_lies_in_no_region_of_the_truth_counts_against_a_region_but_void_does_not():
    labels, truth = np.zeros((1, 4), int), np.array([[0, -1, -1, -1]])
    metric = RegionQuality()
    metric.update(labels, truth)
    assert metric.compute().best_iou == 0.25
    metric = RegionQuality()
    metric.update(labels, truth, np.array([[True, True, False, False]]))
    assert metric.compute().best_iou == 0.5


def test_frames_without_truth_and_partitions_without_regions():
    metric = RegionQuality()
    metric.update(np.zeros((2, 2), int), np.full((2, 2), -1))
    metric.update(np.zeros((2, 2), int), np.zeros((2, 2), int), np.zeros((2, 2), bool))
    assert np.isnan(metric.compute().covering)
    assert np.isnan(metric.compute().best_iou)
    metric.update(np.full((2, 2), -1), np.zeros((2, 2), int))
    assert metric.compute().covering == metric.compute().best_iou == 0.0


def test_states_add_up_in_any_order():
    parts = []
    for seed in range(6):
        part = RegionQuality()
        part.update(*drawn(seed, annotators=3))
        parts.append(part)
    one, other = RegionQuality(), RegionQuality()
    for part in parts:
        one.merge(part)
    for part in reversed(parts):
        other.add_state(part.state())
    assert one.compute() == other.compute()


def test_what_no_metric_held_is_refused():
    state = {name: np.array([1.0]) for name in RegionQuality().state()}
    RegionQuality().add_state(state)
    for changes in ({"covered": np.array([2.0])}, {"overlap": np.array([np.nan])}, {"pixels": None}):
        with pytest.raises(FileError):
            RegionQuality().add_state({**state, **changes})
    with pytest.raises(ShapeError):
        RegionQuality().add_state({**state, "regions": np.ones(2)})
    with pytest.raises(OptionError):
        RegionQuality().merge(SemanticMetric(2))


@pytest.mark.parametrize(
    ("labels", "truth", "error"),
    [
        (np.zeros((2, 2)), np.zeros((2, 2), int), DTypeError),
        (np.zeros((2, 2), int), np.zeros((2, 2)), DTypeError),
        (np.zeros((2, 2), int), np.zeros((2, 3), int), ShapeError),
        (np.zeros((2, 2), int), np.zeros(2, int), ShapeError),
        (np.zeros((1, 2, 2), int), np.zeros((2, 2), int), ShapeError),
    ],
)
def test_what_is_no_frame_is_refused(labels, truth, error):
    with pytest.raises(error):
        RegionQuality().update(labels, truth)


def test_intervals_are_those_of_frames_drawn_again():
    frames = [drawn(seed) for seed in range(8)]
    states = []
    for ids in ([labels for labels, _, _ in frames], [truth[0] for _, truth, _ in frames]):
        states.append([])
        for labels, (_, truth, valid) in zip(ids, frames, strict=True):
            metric = RegionQuality()
            metric.update(labels, truth, valid)
            states[-1].append(metric.state())
    found = bootstrap_difference(RegionQuality(), *states, draws=40, seed=3, level=0.8)
    weights = np.random.default_rng(3).multinomial(8, np.full(8, 1 / 8), size=40)
    differences = {"covering": [], "best_iou": []}
    for row in weights:
        values = []
        for side in states:
            metric = RegionQuality()
            for state, times in zip(side, row, strict=True):
                for _ in range(times):
                    metric.add_state(state)
            values.append(metric.compute())
        for name, changes in differences.items():
            changes.append(getattr(values[1], name) - getattr(values[0], name))
    for name, changes in differences.items():
        low, high = np.quantile(changes, [0.1, 0.9])
        assert (found[name].low, found[name].high) == pytest.approx((low, high))

"""Component metrics: against the definition written mask by mask, and against the official tool's values."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from csl_plugin.errors import DTypeError, FileError, OptionError, ScoreRangeError, ShapeError
from csl_plugin.metrics import (
    ANOMALY_TRACK,
    COMPONENT_SETTINGS,
    OBSTACLE_TRACK,
    ComponentMetric,
    ComponentSettings,
    PooledAnomaly,
    overlaps,
)
from tests.helpers.data import GOLDEN

REFERENCE = GOLDEN / "anomaly_reference.json"
CASES = json.loads(REFERENCE.read_text())["cases"]
TRACKS = {"SegEval-AnomalyTrack": ANOMALY_TRACK, "SegEval-ObstacleTrack": OBSTACLE_TRACK}
LEVELS = np.linspace(0.25, 0.75, 11)
EVERYWHERE = np.ones((3, 3))


def by_definition(scores, labels, settings, threshold):
    """(sIoU, size) of labeled and (PPV, size) of predicted components, one mask after the other."""
    predicted, count = ndimage.label((scores > threshold) & (labels < 2), EVERYWHERE)
    masks = [predicted == index for index in range(1, count + 1)]
    masks = [mask for mask in masks if mask.sum() >= settings.min_predicted]
    truth, count = ndimage.label(labels == 1, EVERYWHERE)
    truths = [truth == index for index in range(1, count + 1)]
    kept = labels < 2
    for mask in truths:
        if mask.sum() < settings.min_truth:
            kept = kept & ~mask
    truths = [mask for mask in truths if mask.sum() >= settings.min_truth]
    masks = [mask & kept for mask in masks]
    masks = [mask for mask in masks if mask.any()]
    anything = np.any([np.zeros_like(kept), *truths], axis=0)
    segments = []
    for mask in truths:
        touching = np.any([np.zeros_like(kept), *(other for other in masks if (other & mask).any())], axis=0)
        union = (mask | touching).sum() - (touching & anything & ~mask).sum()
        segments.append(((mask & touching).sum() / union, mask.sum()))
    return segments, [((mask & anything).sum() / mask.sum(), mask.sum()) for mask in masks]


def found(metric):
    state = metric.state()
    return (
        sorted(zip(state["siou_gt"].tolist(), state["size_gt"].tolist(), strict=True)),
        sorted(zip(state["ppv"].tolist(), state["size_predicted"].tolist(), strict=True)),
    )


def blobs(seed, size=(40, 56)):
    rng = np.random.default_rng(seed)
    wide = ndimage.gaussian_filter(rng.standard_normal(size), 2.5)
    labels = (wide > np.quantile(wide, 0.8)).astype(np.uint8)
    scores = ndimage.gaussian_filter(wide + 0.15 * rng.standard_normal(size), 1)
    labels[rng.random(size) < 0.03] = 255
    labels[:, size[1] // 2] = 255
    return (scores / np.abs(scores).max()).astype(np.float32), labels


@given(
    seed=st.integers(0, 2**31),
    threshold=st.floats(-0.5, 0.9),
    settings=st.builds(ComponentSettings, st.integers(0, 60), st.integers(0, 40)),
)
def test_values_are_those_of_the_definition(seed, threshold, settings):
    scores, labels = blobs(seed)
    threshold = float(np.float32(threshold))
    metric = ComponentMetric(settings, threshold)
    metric.update(scores, labels)
    truths, predictions = by_definition(scores, labels, settings, threshold)
    for mine, expected in zip(found(metric), (truths, predictions), strict=True):
        np.testing.assert_allclose(np.array(mine), np.array(sorted(expected)), rtol=0, atol=1e-12)
    values = metric.compute()
    siou, ppv = (np.array([share for share, _ in side]) for side in (truths, predictions))
    tp = (siou[:, None] >= LEVELS).sum(0)
    np.testing.assert_array_equal(values.tp, tp)
    np.testing.assert_array_equal(values.fn, len(siou) - tp)
    np.testing.assert_array_equal(values.fp, (ppv[:, None] < LEVELS).sum(0))
    assert (values.num_truth, values.num_predicted) == (len(siou), len(ppv))
    if len(siou):
        assert values.siou_gt == pytest.approx(siou.mean(), abs=1e-12)
    if len(siou) + len(ppv):
        assert values.mean_f1 == pytest.approx(np.mean(2 * tp / (tp + len(siou) + values.fp)))


def test_many_small_components_take_the_same_way(monkeypatch):
    rng = np.random.default_rng(0)
    scores, labels = rng.random((60, 70)).astype(np.float32), (rng.random((60, 70)) < 0.3).astype(np.uint8)
    metric = ComponentMetric(ComponentSettings(1, 1), 0.7)
    metric.update(scores, labels)
    monkeypatch.setattr(overlaps, "_TABLE", 10)
    sparse = ComponentMetric(ComponentSettings(1, 1), 0.7)
    sparse.update(scores, labels)
    assert found(sparse) == found(metric)
    expected = by_definition(scores, labels, metric.settings, np.float32(0.7))
    np.testing.assert_allclose(found(metric)[0], sorted(expected[0]), atol=1e-12)


def test_the_rule_is_strict_and_diagonals_connect():
    labels = np.eye(4, dtype=np.uint8)
    metric = ComponentMetric(ComponentSettings(1, 1), 0.5)
    metric.update(np.eye(4, dtype=np.float32) * 0.5, labels)
    assert metric.compute().num_predicted == 0
    metric.update(np.eye(4, dtype=np.float32), labels)
    values = metric.compute()
    assert (values.num_predicted, values.num_truth, values.siou_gt) == (1, 2, 0.5)


def test_void_parts_a_component_and_small_ones_become_void():
    labels = np.array([[1, 1, 255, 0, 0, 1]], np.uint8)
    metric = ComponentMetric(ComponentSettings(2, 2), 0.5)
    metric.update(np.ones((1, 6), np.float32), labels)
    assert found(metric) == ([(1.0, 2)], [(0.0, 2), (1.0, 2)])


def test_the_threshold_is_rounded_to_the_scores_type():
    scores = np.array([[0.9995, 0.999]], np.float16)
    threshold = (float(scores[0, 1]) + float(scores[0, 0])) / 2
    assert np.float16(threshold) in (scores[0, 0], scores[0, 1])
    just_below = float(scores[0, 0]) - 1e-6
    metric = ComponentMetric(ComponentSettings(1, 1), just_below)
    metric.update(scores, np.ones((1, 2), np.uint8))
    assert metric.compute().num_predicted == 0
    metric = ComponentMetric(ComponentSettings(1, 1), 127.5)
    metric.update(np.array([[127, 128]], np.uint8), np.ones((1, 2), np.uint8))
    assert metric.state()["size_predicted"].tolist() == [1]


@pytest.mark.parametrize("threshold", [-np.inf, -1.5, -1e-8, -0.0, 0.0, 1e-8, 0.7, 1e6, np.inf])
def test_every_float16_is_compared_as_a_number(threshold):
    values = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    values = np.where(np.isnan(values), np.float16(0), values)[None]
    metric = ComponentMetric(ComponentSettings(1, 1), threshold)
    metric.update(values, np.zeros(values.shape, np.uint8))
    with np.errstate(over="ignore"):
        limit = np.float16(threshold)
    assert metric.state()["size_predicted"].sum() == (values > limit).sum()


@given(st.integers(0, 2**31), st.permutations(range(5)), st.integers(1, 4))
def test_any_partition_in_any_order_gives_the_values_of_one_pass(seed, shuffle, cut):
    frames = [blobs(seed + index) for index in range(5)]
    whole = ComponentMetric(ComponentSettings(5, 5), 0.3)
    for frame in frames:
        whole.update(*frame)
    first, second = (ComponentMetric(ComponentSettings(5, 5), 0.3) for _ in "ab")
    for place, index in enumerate(shuffle):
        (first if place < cut else second).update(*frames[index])
    first.merge(second)
    np.testing.assert_equal(vars(first.compute()), vars(whole.compute()))


def test_states_survive_an_npz_file_and_nonsense_is_refused(tmp_path):
    metric = ComponentMetric(OBSTACLE_TRACK, 0.3)
    metric.update(*blobs(1))
    np.savez(tmp_path / "state.npz", **metric.state())
    again = ComponentMetric(OBSTACLE_TRACK, 0.3)
    with np.load(tmp_path / "state.npz", allow_pickle=False) as state:
        again.add_state(state)
    np.testing.assert_equal(vars(again.compute()), vars(metric.compute()))
    state = metric.state()
    for name, array in state.items():
        for bad in ({k: v for k, v in state.items() if k != name}, {**state, name: array[None]}):
            with pytest.raises((FileError, ShapeError)):
                again.add_state(bad)
    with pytest.raises(FileError):
        again.add_state({**state, "siou_gt": state["siou_gt"] + 2})
    with pytest.raises(OptionError, match="threshold"):
        ComponentMetric(OBSTACLE_TRACK, 0.4).add_state(state)
    with pytest.raises(OptionError):
        again.merge(PooledAnomaly())


def test_nothing_to_find_is_undefined():
    metric = ComponentMetric(ANOMALY_TRACK, 0.5)
    metric.update(np.ones((5, 6), np.float32), np.full((5, 6), 255, np.uint8))
    values = metric.compute()
    assert math.isnan(values.siou_gt)
    assert math.isnan(values.ppv)
    assert math.isnan(values.mean_f1)
    assert values.num_frames == 1


def test_bad_arguments_are_refused():
    scores, labels = blobs(0)
    metric = ComponentMetric(ANOMALY_TRACK, 0.5)
    for bad, error in (
        (scores[None], ShapeError),
        (scores[1:], ShapeError),
        (scores.astype(np.int32), DTypeError),
        (np.full_like(scores, np.nan), ScoreRangeError),
        (np.full_like(scores, -np.nan, np.float16), ScoreRangeError),
    ):
        with pytest.raises(error):
            metric.update(bad, labels)
    with pytest.raises(OptionError):
        ComponentMetric(ANOMALY_TRACK, math.nan)
    with pytest.raises(OptionError):
        ComponentMetric(ComponentSettings(-1, 1), 0.5)
    assert COMPONENT_SETTINGS == {"anomaly": ANOMALY_TRACK, "obstacle": OBSTACLE_TRACK}


def test_tensors_give_the_same():
    scores, labels = blobs(3)
    metrics = [ComponentMetric(OBSTACLE_TRACK, 0.2) for _ in "ab"]
    metrics[0].update(scores, labels)
    metrics[1].update(torch.from_numpy(scores), torch.from_numpy(labels))
    assert found(metrics[0]) == found(metrics[1])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("track", TRACKS)
def test_golden_components(case, track):
    with np.load(GOLDEN / f"anomaly_{case}.npz", allow_pickle=False) as stored:
        count = CASES[case]["num_frames"]
        frames = [(stored[f"score_{i:02d}"], stored[f"label_{i:02d}"]) for i in range(count)]
    for expected in CASES[case][track].values():
        if "frames" not in expected:  # the official tool found no threshold
            continue
        whole = ComponentMetric(TRACKS[track], expected["threshold"])
        for frame, values in zip(frames, expected["frames"], strict=True):
            metric = ComponentMetric(TRACKS[track], expected["threshold"])
            metric.update(*frame)
            whole.merge(metric)
            truths = sorted(zip(map(float, values["sIoU_gt"]), values["size_gt"], strict=True))
            predictions = sorted(zip(map(float, values["prec_pred"]), values["size_pred"], strict=True))
            for mine, official in zip(found(metric), (truths, predictions), strict=True):
                assert [size for _, size in mine] == [size for _, size in official]
                np.testing.assert_allclose(np.array(mine), np.array(official), rtol=0, atol=1e-12)
            counted = metric.compute()
            for name in ("tp", "fn", "fp"):
                assert getattr(counted, name).tolist() == values[name]
        total = whole.compute()
        if "error" in expected:  # the official tool divides by zero
            assert math.isnan(total.mean_f1) or not total.num_truth
            continue
        for name, key in (("siou_gt", "sIoU_gt"), ("ppv", "prec_pred"), ("mean_f1", "f1_mean")):
            assert getattr(total, name) == pytest.approx(float(expected[key]), abs=1e-12, nan_ok=True)

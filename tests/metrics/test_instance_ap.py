"""Instance AP: against the values of OoDIS' tool, and against its rules, one prediction at a time."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from csl_plugin import Objects, find_objects
from csl_plugin.errors import DTypeError, FileError, OptionError, ScoreRangeError, ShapeError
from csl_plugin.metrics import InstanceAP, PooledAnomaly, bootstrap_difference
from csl_plugin.metrics.instance_ap import OVERLAPS
from tests.helpers.data import GOLDEN
from tests.helpers.instance_cases import CASES, SIZE, digest, draw_case

REFERENCE = json.loads((GOLDEN / "instance_ap_reference.json").read_text())["cases"]


def objects_of(masks, scores):
    """The predictions without empty masks, which the official tool skips."""
    kept = masks.any(axis=(1, 2))
    return Objects.from_masks(masks[kept], scores[kept])


def measured(frames, **settings):
    metric = InstanceAP(**settings)
    for labels, instances, masks, scores in frames:
        metric.update(objects_of(masks, scores), labels, instances)
    return metric


def by_definition(frames, min_truth, level):
    """The average precision at one level, from lists of scores of right and of false predictions."""
    truths, right, wrong = 0, [], []
    for labels, instances, masks, scores in frames:
        known = [instances == number for number in np.unique(instances[labels == 1])]
        known = [mask & (labels == 1) for mask in known]
        large = [mask for mask in known if mask.sum() >= min_truth]
        small = [mask for mask in known if mask.sum() < min_truth]
        ignored = np.any([(labels != 0) & (labels != 1), *small], axis=0)
        truths += len(large)
        candidates = [[] for _ in large]
        for mask, score in zip(masks, scores, strict=True):
            if not mask.any():
                continue
            finds = [truth for truth in known if (mask & truth).sum() / (mask | truth).sum() > level]
            assert len(finds) <= 1
            if not finds:
                if (mask & ignored).sum() / mask.sum() <= level:
                    wrong.append(score)
                continue
            for place, truth in enumerate(large):
                if truth is finds[0] or (truth == finds[0]).all():
                    candidates[place].append(score)
        for scores_of_one in candidates:
            right += sorted(scores_of_one)[-1:]
            wrong += sorted(scores_of_one)[:-1]
    if not truths:
        return math.nan
    points, area = [(0.0, 1.0)], 0.0
    for threshold in sorted({*right, *wrong}, reverse=True):
        tp, fp = (sum(score >= threshold for score in side) for side in (right, wrong))
        points.append((tp / truths, tp / (tp + fp)))
    for (left, high), (recall, precision) in pairwise(points):
        area += (recall - left) * (high + precision) / 2
    return area


@pytest.mark.parametrize("name", CASES)
def test_values_are_those_of_the_official_tool(name):
    expected = REFERENCE[name]
    assert digest(CASES[name]) == expected["sha256"], (
        "numpy draws other numbers than those that were measured"
    )
    values = measured(CASES[name]).compute()
    assert values.num_frames == expected["frames"]
    if "error" in expected:  # the tool fails where every prediction is ignored
        assert (values.ap, values.ap50) == (0.0, 0.0)
        return
    assert values.ap == pytest.approx(float(expected["AP"]), abs=1e-12, nan_ok=True)
    assert values.ap50 == pytest.approx(float(expected["AP50"]), abs=1e-12, nan_ok=True)
    given_levels = np.array(expected["by_overlap"], float)
    np.testing.assert_allclose(values.by_overlap, given_levels, rtol=0, atol=1e-12)


@given(
    seed=st.integers(0, 2**31),
    levels=st.sampled_from([2, 1000]),
    min_truth=st.sampled_from([0, 10, 60]),
    void=st.sampled_from([0.0, 1.0]),
)
def test_values_are_those_of_the_definition(seed, levels, min_truth, void):
    frames = draw_case(seed, 3, levels=levels, void=void, false=6)
    values = measured(frames, min_truth=min_truth).compute()
    expected = [by_definition(frames, min_truth, level) for level in OVERLAPS]
    np.testing.assert_allclose(values.by_overlap, expected, rtol=0, atol=1e-12)


@given(st.integers(0, 2**31), st.permutations(range(5)), st.integers(1, 4))
def test_any_partition_in_any_order_gives_the_values_of_one_pass(seed, shuffle, cut):
    frames = draw_case(seed, 5, levels=4)
    whole = measured(frames).compute()
    first = measured([frames[index] for index in shuffle[:cut]])
    first.merge(measured([frames[index] for index in shuffle[cut:]]))
    np.testing.assert_equal(vars(first.compute()), vars(whole))
    records = InstanceAP()
    for index in shuffle:
        records.add_state(measured([frames[index]]).state())
    np.testing.assert_equal(vars(records.compute()), vars(whole))


def test_without_instances_they_are_the_components_of_the_anomalous_pixels():
    labels = np.zeros(SIZE, np.uint8)
    labels[2:10, 2:10] = labels[10:14, 10:14] = 1  # one component, through a corner
    labels[20:30, 20:30] = 1
    labels[20:30, 24] = 255  # void parts it
    labels[35, 50:53] = 1  # too small
    components, count = ndimage.label(labels == 1, np.ones((3, 3)))
    assert count == 4
    masks = np.stack([components == 1, components == 2, components == 4, labels == 0])
    objects = Objects.from_masks(masks, np.array([0.9, 0.8, 0.7, 0.1]))
    alone, given_ids = InstanceAP(), InstanceAP()
    alone.update(objects, labels)
    given_ids.update(objects, labels, components - 7)
    values = alone.compute()
    np.testing.assert_equal(vars(values), vars(given_ids.compute()))
    # The prediction of the small one is neither right nor false, and one of three instances is missed.
    assert values.num_truth == 3
    assert values.ap == pytest.approx(2 / 3)


@pytest.mark.parametrize(("pixels", "levels"), [(10, 0), (11, 1), (15, 5), (16, 6), (20, 10)])
def test_the_iou_has_to_exceed_the_level(pixels, levels):
    labels, mask = np.zeros((1, 40), np.uint8), np.zeros((1, 1, 40), bool)
    labels[:, :20] = mask[:, :, :pixels] = 1  # an IoU of pixels / 20
    metric = InstanceAP()
    metric.update(Objects.from_masks(mask, np.ones(1)), labels)
    assert metric.compute().by_overlap.tolist() == [1.0] * levels + [0.0] * (10 - levels)


def test_objects_of_a_fused_map_are_measured_as_they_are():
    fused = np.zeros((40, 60))
    fused[5:15, 5:15] = 0.9
    fused[20:35, 30:50] = 0.7
    labels = (fused > 0).astype(np.uint8)
    labels[:, 59] = 255
    (found,) = find_objects(fused, 0.5)
    metric = InstanceAP()
    metric.update(found, labels)
    assert (metric.compute().ap, metric.compute().ap50) == (1.0, 1.0)
    metric.update(find_objects(fused, 0.95)[0], labels)  # no object is a normal result
    assert metric.compute().ap == pytest.approx(0.5)


@pytest.mark.parametrize("labels", [np.zeros((4, 5), np.uint8), np.full((4, 5), 255, np.uint8)])
def test_nothing_labeled_is_undefined(labels):
    metric = InstanceAP(min_truth=1)
    metric.update(Objects.from_masks(np.ones((1, 4, 5), bool), np.ones(1)), labels)
    values = metric.compute()
    assert math.isnan(values.ap)
    assert math.isnan(values.ap50)
    assert (values.num_truth, values.num_predicted, values.num_frames) == (0, 1, 1)
    assert math.isnan(InstanceAP().compute().ap)


def test_states_survive_an_npz_file_and_nonsense_is_refused(tmp_path):
    metric = measured(CASES["crowded"])
    np.savez(tmp_path / "state.npz", **metric.state())
    again = InstanceAP()
    with np.load(tmp_path / "state.npz", allow_pickle=False) as state:
        again.add_state(state)
    np.testing.assert_equal(vars(again.compute()), vars(metric.compute()))
    state = metric.state()
    for name, array in state.items():
        for bad in ({k: v for k, v in state.items() if k != name}, {**state, name: array[None]}):
            with pytest.raises((FileError, ShapeError)):
                again.add_state(bad)
    for name, change in (("score", np.nan), ("iou", 2), ("ignored", -2), ("truth", 1000), ("truths", -99)):
        with pytest.raises(FileError):
            again.add_state({**state, name: state[name] + np.array(change, state[name].dtype)})
    with pytest.raises(OptionError):
        again.merge(PooledAnomaly())
    np.testing.assert_equal(vars(again.compute()), vars(metric.compute()))


class Fake:
    size, runs, scores = (2, 3), (np.array([1, 2, 3]),), np.ones(1)


def test_bad_arguments_are_refused():
    labels = np.zeros((2, 3), np.uint8)
    metric = InstanceAP()
    for changed, error in (
        ({"size": (3, 2)}, ShapeError),
        ({"scores": np.ones(2)}, ShapeError),
        ({"scores": np.array([np.nan])}, ScoreRangeError),
        ({"runs": (np.array([1, 2, 4]),)}, ShapeError),
        ({"runs": (np.array([7, -1]),)}, ShapeError),
        ({"runs": (np.array([1.0, 5.0]),)}, ShapeError),
    ):
        with pytest.raises(error, match="objects"):
            metric.update(type("Changed", (Fake,), changed)(), labels)
    with pytest.raises(DTypeError, match="objects"):
        metric.update(np.ones((1, 2, 3), bool), labels)
    with pytest.raises(DTypeError, match="labels"):
        metric.update(Fake(), labels.astype(float))
    with pytest.raises(ShapeError, match="labels"):
        metric.update(Fake(), labels[None])
    for instances, error in ((labels[1:], ShapeError), (labels.astype(float), DTypeError)):
        with pytest.raises(error, match="instances"):
            metric.update(Fake(), labels, instances)
    with pytest.raises(OptionError, match="min_truth"):
        InstanceAP(min_truth=-1)
    assert metric.compute().num_frames == 0


def test_ten_thousand_objects_need_no_dense_masks(monkeypatch):
    rng = np.random.default_rng(0)
    labels = np.zeros((600, 800), np.uint8)
    labels[::6, ::8] = labels[1::6, ::8] = labels[::6, 1::8] = 1
    fused = labels + 0.01 * rng.random(labels.shape)
    (found,) = find_objects(fused, 0.5, min_area=1)
    assert len(found) == 10_000
    monkeypatch.setattr(Objects, "masks", None)
    metric = InstanceAP(min_truth=1)
    metric.update(found, labels)
    assert metric.compute().ap == 1.0


@pytest.mark.parametrize("levels", [3, 1000])
def test_bootstrap_agrees_with_drawing_the_frames_themselves(levels):
    before, after = (draw_case(seed, 4, levels=levels, false=6) for seed in (21, 22))
    states = [[measured([frame]).state() for frame in frames] for frames in (before, after)]
    intervals = bootstrap_difference(InstanceAP(), *states, draws=60, seed=3, level=0.8)
    weights = np.random.default_rng(3).multinomial(4, np.full(4, 1 / 4), size=60)
    differences = {"ap": [], "ap50": []}
    for drawn in weights:
        values = []
        for frames in (before, after):
            repeated = [frame for frame, times in zip(frames, drawn, strict=True) for _ in range(times)]
            values.append(measured(repeated).compute())
        for name, kept in differences.items():
            kept.append(getattr(values[1], name) - getattr(values[0], name))
    for name, found in differences.items():
        low, high = np.nanquantile(found, [0.1, 0.9])
        assert (intervals[name].low, intervals[name].high) == pytest.approx((low, high), abs=1e-12)

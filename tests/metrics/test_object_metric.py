"""Found, missed and false objects: against the component metric, and against the definition with masks."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from csl_plugin import Objects
from csl_plugin.errors import FileError, OptionError, ShapeError
from csl_plugin.metrics import (
    ANOMALY_TRACK,
    ComponentMetric,
    ComponentSettings,
    ObjectCounts,
    ObjectMetric,
    bootstrap_difference,
)
from tests.metrics.test_components import blobs

EVERYWHERE = np.ones((3, 3))
SMALL = ComponentSettings(5, 5)


def components_of(mask):
    """Objects of the 8-connected components of a mask."""
    ids, count = ndimage.label(mask, EVERYWHERE)
    planes = np.array([ids == number for number in range(1, count + 1)], bool).reshape(-1, *mask.shape)
    return Objects.from_masks(planes, np.linspace(1, 0, count))


def measured(frames, settings=SMALL):
    metric = ObjectMetric(settings)
    for frame in frames:
        metric.update(*frame)
    return metric


@given(
    seed=st.integers(0, 2**31),
    threshold=st.floats(-0.5, 0.9),
    settings=st.builds(ComponentSettings, st.integers(0, 60), st.integers(0, 40)),
)
def test_components_of_a_threshold_have_the_values_of_the_component_metric(seed, threshold, settings):
    scores, labels = blobs(seed)
    expected = ComponentMetric(settings, float(np.float32(threshold)))
    expected.update(scores, labels)
    objects = components_of((scores > np.float32(threshold)) & (labels != 255))
    found = measured([(objects, labels)], settings)
    np.testing.assert_equal(vars(found.compute()), vars(expected.compute()))


@given(seed=st.integers(0, 2**31))
def test_objects_that_are_parted_or_touch_stay_the_objects_that_were_given(seed):
    rng = np.random.default_rng(seed)
    _, labels = blobs(seed)
    masks = np.array([ndimage.gaussian_filter(rng.standard_normal(labels.shape), 3) > 0.05 for _ in "abc"])
    objects = Objects.from_masks(masks, np.array([0.9, 0.5, 0.1]))
    known = labels < 2
    owned = [masks[0] & known, masks[1] & ~masks[0] & known, masks[2] & ~masks[0] & ~masks[1] & known]
    truth, count = ndimage.label(labels == 1, EVERYWHERE)
    anything = labels == 1
    siou = []
    for number in range(1, count + 1):
        mask = truth == number
        touching = np.any([np.zeros_like(mask), *(own for own in owned if (own & mask).any())], axis=0)
        union = (mask | touching).sum() - (touching & anything & ~mask).sum()
        siou.append((mask & touching).sum() / union)
    ppv = [(own & anything).sum() / own.sum() for own in owned if own.any()]
    state = measured([(objects, labels)], ComponentSettings(1, 1)).state()
    np.testing.assert_allclose(np.sort(state["siou_gt"]), sorted(siou), atol=1e-12)
    np.testing.assert_allclose(np.sort(state["ppv"]), sorted(ppv), atol=1e-12)


def test_found_missed_and_false_are_counted_at_one_half():
    labels = np.zeros((20, 40), np.uint8)
    labels[2:6, 2:6] = labels[2:6, 12:16] = labels[10:14, 2:6] = 1
    labels[:, 30:] = 255
    masks = np.zeros((5, 20, 40), bool)
    masks[0, 2:6, 2:4] = True  # exactly one half of the first
    masks[1, 2:6, 12] = True  # a quarter of the second
    masks[2, 15:19, 10:14] = True  # nothing
    masks[3, 16:19, 35:39] = True  # void alone
    masks[4, 2:6, 24:29] = True  # nothing again
    counts = (
        measured([(Objects.from_masks(masks, np.ones(5)), labels)], ComponentSettings(1, 1)).compute().counts
    )
    assert counts == ObjectCounts(found=1, missed=2, false=2)


@pytest.mark.parametrize(("pixels", "found"), [(9, 0), (10, 1)])
def test_a_found_object_has_half_of_its_pixels(pixels, found):
    labels, mask = np.zeros((1, 40), np.uint8), np.zeros((1, 1, 40), bool)
    labels[:, :20] = mask[:, :, :pixels] = 1
    counts = measured([(Objects.from_masks(mask, np.ones(1)), labels)]).compute().counts
    assert counts == ObjectCounts(found=found, missed=1 - found, false=0)


def test_no_object_and_no_label_are_normal_results():
    labels = blobs(0)[1]
    nothing = components_of(np.zeros(labels.shape, bool))
    values = measured([(nothing, labels)]).compute()
    assert math.isnan(values.ppv)
    assert (values.siou_gt, values.mean_f1, values.counts.found, values.counts.false) == (0, 0, 0, 0)
    assert values.counts.missed == values.num_truth > 0
    values = measured([(nothing, np.zeros_like(labels))]).compute().where_defined()
    assert math.isnan(values.siou_gt)
    assert values.counts == ObjectCounts(0, 0, 0)


@given(st.integers(0, 2**31), st.permutations(range(4)), st.integers(1, 3))
def test_any_partition_in_any_order_gives_the_values_of_one_pass(seed, shuffle, cut):
    frames = [(components_of(blobs(seed + k)[0] > 0.3), blobs(seed + k)[1]) for k in range(4)]
    whole = vars(measured(frames).compute())
    first = measured([frames[index] for index in shuffle[:cut]])
    second = measured([frames[index] for index in shuffle[cut:]])
    first.merge(second)
    np.testing.assert_equal(vars(first.compute()), whole)


def test_other_states_and_other_metrics_are_refused():
    frame = components_of(blobs(1)[0] > 0.3), blobs(1)[1]
    metric = measured([frame])
    again = ObjectMetric(SMALL)
    again.add_state(metric.state())
    np.testing.assert_equal(vars(again.compute()), vars(metric.compute()))
    with pytest.raises(FileError):
        again.add_state({**metric.state(), "ppv": metric.state()["ppv"] + 2})
    with pytest.raises(FileError, match="threshold"):
        ComponentMetric(SMALL, 0.5).add_state(metric.state())
    with pytest.raises(OptionError):
        metric.merge(ComponentMetric(ANOMALY_TRACK, 0.5))
    with pytest.raises(OptionError):
        ObjectMetric(None)
    with pytest.raises(ShapeError):
        metric.update(frame[0], frame[1][1:])


def test_bootstrap_agrees_with_drawing_the_frames_themselves():
    labels = [np.where(np.arange(40)[:, None] < 40 * (seed > 0), blobs(seed)[1], 0) for seed in range(4)]
    sides = [
        [(components_of(blobs(seed)[0] > threshold), label) for seed, label in enumerate(labels)]
        for threshold in (0.1, 0.3)
    ]
    states = [[measured([frame]).state() for frame in frames] for frames in sides]
    intervals = bootstrap_difference(ObjectMetric(SMALL), *states, draws=60, seed=3, level=0.8)
    weights = np.random.default_rng(3).multinomial(4, np.full(4, 1 / 4), size=60)
    differences = {"siou_gt": [], "ppv": [], "mean_f1": []}
    for drawn in weights:
        values = []
        for frames in sides:
            repeated = [frame for frame, times in zip(frames, drawn, strict=True) for _ in range(times)]
            values.append(measured(repeated).compute().where_defined())
        for name, kept in differences.items():
            kept.append(getattr(values[1], name) - getattr(values[0], name))
    for name, found in differences.items():
        low, high = np.nanquantile(found, [0.1, 0.9])
        assert (intervals[name].low, intervals[name].high) == pytest.approx((low, high), abs=1e-12)

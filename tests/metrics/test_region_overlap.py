"""AUPRO: the values of anomalib, the definition written out, states that add up, and what is refused."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from csl_plugin.errors import FileError, OptionError, ScoreRangeError, ShapeError
from csl_plugin.metrics import REGION_OVERLAP_METRICS as NAMES
from csl_plugin.metrics import PooledAnomaly, RegionOverlap, bootstrap_difference

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
REFERENCE = json.loads((GOLDEN / "region_overlap_reference.json").read_text())["cases"]


def by_definition(frames, limit):
    """PRO over FPR at every distinct score, the trapezoids between them, cut at the limit."""
    regions, normal = [], []
    for scores, labels in frames:
        ids, count = ndimage.label(labels == 1, np.ones((3, 3)))
        regions += [scores[ids == number].astype(float) for number in range(1, count + 1)]
        normal.append(scores[labels == 0].astype(float))
    normal = np.concatenate(normal)
    if not regions or not normal.size:
        return math.nan
    points = [(0.0, 0.0)]
    for threshold in sorted({*normal.tolist(), *np.concatenate(regions).tolist()}, reverse=True):
        overlap = np.mean([(region >= threshold).mean() for region in regions])
        points.append(((normal >= threshold).mean(), overlap))
    area = 0.0
    for (left, low), (right, high) in itertools.pairwise(points):
        if left >= limit:
            break
        if right > limit:
            high, right = low + (high - low) * (limit - left) / (right - left), limit
        area += (right - left) * (low + high) / 2
    return area / limit


def measured(frames, metric=None):
    metric = RegionOverlap() if metric is None else metric
    for scores, labels in frames:
        metric.update(scores, labels)
    return metric


def drawn(seed, dtype=np.float32, size=(12, 17), levels=9):
    draw = np.random.default_rng(seed)
    labels = draw.choice([0, 0, 0, 1, 255], size).astype(np.uint8)
    scores = draw.integers(0, levels, size) / 8 + (labels == 1) * draw.integers(0, 3)
    return (scores * (16 if dtype == np.uint8 else 1)).astype(dtype), labels


@pytest.mark.parametrize("case", REFERENCE)
def test_the_values_of_anomalib(case):
    with np.load(GOLDEN / f"anomaly_{case}.npz") as held:
        count = sum(name.startswith("label") for name in held)
        metric = measured((held[f"score_{index:02d}"], held[f"label_{index:02d}"]) for index in range(count))
    values = metric.compute()
    expected = REFERENCE[case]
    assert values.aupro_30 == pytest.approx(expected["0.3"], abs=3e-7)
    assert values.aupro_05 == pytest.approx(expected["0.05"], abs=3e-7)
    assert metric.area(1.0) == pytest.approx(expected["1.0"], abs=3e-7)


@given(
    seeds=st.lists(st.integers(0, 10_000), min_size=1, max_size=3),
    dtype=st.sampled_from([np.float16, np.float32, np.float64, np.uint8]),
    levels=st.sampled_from([2, 9, 4000]),
    limit=st.sampled_from([0.05, 0.3, 0.77, 1.0]),
)
def test_the_definition(seeds, dtype, levels, limit):
    frames = [drawn(seed, dtype, (5, 6), levels if dtype != np.uint8 else 9) for seed in seeds]
    assert measured(frames).area(limit) == pytest.approx(by_definition(frames, limit), abs=1e-12, nan_ok=True)


def test_only_the_order_of_the_scores_counts():
    frames = [drawn(seed, np.float64, levels=1000) for seed in range(4)]
    changed = [(np.exp(scores) - 9, labels) for scores, labels in frames]
    assert measured(frames).compute() == measured(changed).compute()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_states_add_up_in_any_order_to_the_last_bit(dtype, tmp_path):
    frames = [drawn(seed, dtype, (70, 80), 3000) for seed in range(24)] + [drawn(7, np.uint8)]
    whole = measured(frames).compute()
    parts = [measured([frame]) for frame in frames]
    np.random.default_rng(1).shuffle(parts)
    small = RegionOverlap(memory=1 << 20, folder=tmp_path)
    other = RegionOverlap()
    for index, part in enumerate(parts):
        (small if index % 2 else other).add_state(part.state())
    small.merge(other)
    assert small.compute() == whole
    again = RegionOverlap()
    again.add_state(small.state())
    assert again.compute() == whole


def test_scores_above_the_memory_are_in_files(tmp_path):
    frames = [drawn(seed, np.float32, (250, 400), 30_000) for seed in range(6)]
    metric = measured(frames, RegionOverlap(memory=1 << 20, folder=tmp_path))
    spills = [spill for side in metric._spills._spills for spill in side]
    assert sum(spill.values.nbytes for spill in spills if spill.mapping is None) <= 1 << 20
    assert all(any(spill.mapping is not None for spill in side) for side in metric._spills._spills)
    assert metric.compute() == measured(frames).compute()
    metric.area(1.0)
    del metric, spills
    assert not list(tmp_path.iterdir())


def test_void_pixels_are_in_no_region_and_divide_none_from_itself():
    labels = np.array([[1, 255, 1, 0, 0, 0, 0, 0, 0, 0]], np.uint8)
    scores = np.array([[0.9, 0.0, 0.8, 0.1, 0.7, 0, 0, 0, 0, 0]])
    assert measured([(scores, labels)]).compute().num_regions == 2
    scores[0, 1] = 5.0
    assert measured([(scores, labels)]).area(0.1) == 1.0


def test_infinite_scores_have_an_order_too():
    labels = np.array([[1, 0, 0, 1]], np.uint8)
    frames = [(np.array([[np.inf, np.inf, -np.inf, -np.inf]]), labels)]
    assert measured(frames).area(1.0) == pytest.approx(0.5)
    assert measured([(np.array([[np.inf, 1, -np.inf, 2]]), labels)]).area(1.0) == 1.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_infinite_scores_that_fill_whole_ranges_count_once(dtype, tmp_path):
    draw, metric = np.random.default_rng(3), RegionOverlap(memory=1 << 20, folder=tmp_path)
    normal, found = [], []
    for _ in range(4):
        scores = draw.choice([np.inf, 2, 1, -np.inf], (300, 300), p=[0.4, 0.1, 0.1, 0.4]).astype(dtype)
        labels = np.zeros((300, 300), np.uint8)
        labels[10:30, 10:30] = 1
        metric.update(scores, labels)
        normal.append(scores[labels == 0])
        found.append(scores[10:30, 10:30].ravel())
    ranks = np.sort(np.concatenate(normal))
    below = [(ranks.searchsorted(own) + ranks.searchsorted(own, "right")) / 2 / ranks.size for own in found]
    assert metric.area(1.0) == pytest.approx(np.mean(below), abs=1e-12)


def test_without_a_region_or_a_normal_pixel_nothing_is_defined():
    scores = np.array([[0.1, 0.2]])
    for value in (0, 1, 255):
        values = measured([(scores, np.full((1, 2), value, np.uint8))]).compute()
        assert math.isnan(values.aupro_30)
        assert math.isnan(values.aupro_05)
    assert math.isnan(RegionOverlap().area(0.3))


def test_what_no_metric_held_is_refused():
    state = measured([drawn(3)]).state()
    pixels = state["region_single"].size
    changes = [
        {"frames": np.array([-1])},
        {"normal_single": state["normal_single"][::-1].copy()},
        {"region_single": np.full(pixels, np.nan, np.float32)},
        {"region_single": np.arange(pixels, 0, -1).astype(np.float32)},
        {"size_single": np.array([pixels - 1])},
        {"size_single": np.array([0, pixels])},
        {"normal_double": None},
    ]
    for change in changes:
        metric = RegionOverlap()
        with pytest.raises(FileError):
            metric.add_state({**state, **change})
        assert metric.compute().num_frames == metric.compute().num_normal == 0
    with pytest.raises(ShapeError):
        RegionOverlap().add_state({**state, "size_single": np.ones((1, pixels), np.int64)})
    with pytest.raises(OptionError):
        RegionOverlap().merge(PooledAnomaly())
    for limit in (0, 1.5, float("nan"), "x"):
        with pytest.raises(OptionError, match="limit"):
            RegionOverlap().area(limit)


@pytest.mark.parametrize("value", [0, 1])
def test_nan_on_a_labeled_pixel_is_refused(value):
    scores, labels = drawn(1)
    scores[np.argwhere(labels == value)[0][0], np.argwhere(labels == value)[0][1]] = np.nan
    metric = RegionOverlap()
    with pytest.raises(ScoreRangeError, match="nan"):
        metric.update(scores, labels)
    assert metric.compute().num_frames == 0


def test_bootstrap_agrees_with_drawing_the_frames_themselves():
    sides = [[drawn(seed + side, levels=60) for seed in range(5)] for side in (0, 10)]
    states = [[measured([frame]).state() for frame in frames] for frames in sides]
    intervals = bootstrap_difference(RegionOverlap(), *states, draws=40, seed=3, level=0.8)
    changes = []
    for row in np.random.default_rng(3).multinomial(5, [0.2] * 5, size=40):
        values = [
            measured([f for f, n in zip(s, row, strict=True) for _ in range(n)]).compute() for s in sides
        ]
        changes.append([getattr(values[1], name) - getattr(values[0], name) for name in NAMES])
    low, high = np.quantile(changes, [0.1, 0.9], axis=0)
    for index, name in enumerate(NAMES):
        assert intervals[name].low == pytest.approx(low[index], abs=1e-9)
        assert intervals[name].high == pytest.approx(high[index], abs=1e-9)


def test_bootstrap_of_many_scores_is_binned_where_it_counts():
    sides = [[drawn(seed + side, levels=10**6, size=(90, 110)) for seed in range(4)] for side in (0, 10)]
    states = [[measured([frame]).state() for frame in frames] for frames in sides]
    found = bootstrap_difference(RegionOverlap(), *[state * 3 for state in states], draws=5)
    whole = [measured(frames).compute() for frames in sides]
    for name in NAMES:
        change = getattr(whole[1], name) - getattr(whole[0], name)
        assert found[name].low - 0.02 < change < found[name].high + 0.02
    same = bootstrap_difference(RegionOverlap(), states[0], states[0], draws=5)
    assert all(interval.low == interval.high == 0 for interval in same.values())
    nothing = [measured([(scores, labels * 0)]).state() for scores, labels in sides[0]]
    assert math.isnan(bootstrap_difference(RegionOverlap(), nothing, nothing, draws=5)["aupro_30"].low)

"""Anomaly metrics: against scikit-learn, against the official tool's values, and by their laws."""

import gc
import json
import math
import os
import tracemalloc
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from csl_plugin.errors import DTypeError, FileError, OptionError, ScoreRangeError, ShapeError
from csl_plugin.metrics import (
    PerImageAnomaly,
    PooledAnomaly,
    SemanticMetric,
    SmiycAnomaly,
    bootstrap_difference,
)
from tests.helpers.data import GOLDEN

REFERENCE = GOLDEN / "anomaly_reference.json"
CASES = json.loads(REFERENCE.read_text())["cases"]

METRICS = (PooledAnomaly, SmiycAnomaly, PerImageAnomaly)
RULES = ("first", "linear", "nearest")


def make_frames(seed, count=4, size=(40, 60), dtype=np.float32, levels=0):
    """Frames with anomalies that score higher, in few levels where asked for."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(count):
        labels = np.zeros(size, np.uint8)
        labels[5:20, 10:30] = 1
        labels[rng.random(size) < 0.1] = 255
        scores = rng.standard_normal(size) + 1.5 * (labels == 1)
        if levels:
            scores = np.clip(np.round(scores * levels / 6) + levels // 2, 0, levels)
        frames.append((scores.astype(dtype), labels))
    return frames


def measured(metric, frames):
    for scores, labels in frames:
        metric.update(scores, labels)
    return metric


def pooled_pixels(frames):
    scores = np.concatenate([s[lab < 2].astype(np.float64) for s, lab in frames])
    return np.concatenate([lab[lab < 2] for _, lab in frames]), scores


def assert_exact(values, frames, rule, tolerance=1e-9):
    truth, scores = pooled_pixels(frames)
    assert values.ap == pytest.approx(average_precision_score(truth, scores), abs=tolerance)
    assert values.auroc == pytest.approx(roc_auc_score(truth, scores), abs=tolerance)
    fpr, tpr, _ = roc_curve(truth, scores, drop_intermediate=False)
    if rule == "first":
        expected = fpr[np.searchsorted(tpr, 0.95)]
    elif rule == "linear":
        expected = np.interp(0.95, tpr, fpr)
    else:
        end = int(np.searchsorted(tpr, 1.0)) + 1
        expected = fpr[:end][::-1][np.abs(tpr[:end][::-1] - 0.95).argmin()]
    assert values.fpr95 == pytest.approx(expected, abs=tolerance)
    precision, recall, thresholds = precision_recall_curve(truth, scores)
    with np.errstate(invalid="ignore"):
        f1 = np.nan_to_num(2 * precision * recall / (precision + recall))[:-1]
    assert values.best_f1 == pytest.approx(f1.max(), abs=tolerance)
    at = int(np.searchsorted(thresholds, values.best_f1_threshold))
    assert thresholds[at] == values.best_f1_threshold
    assert f1[at] == pytest.approx(f1.max(), abs=tolerance)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("dtype", "levels"), [("float16", 0), ("float32", 0), ("float64", 0), ("uint8", 200), ("float32", 5)]
)
def test_pooled_values_are_those_of_scikit_learn(dtype, levels, rule):
    frames = make_frames(1, dtype=dtype, levels=levels)
    values = measured(PooledAnomaly(fpr_rule=rule), frames).compute()
    assert_exact(values, frames, rule)
    assert values.num_frames == 4
    assert values.num_positive + values.num_negative == sum((lab < 2).sum() for _, lab in frames)


@pytest.mark.parametrize("rule", RULES)
def test_element_types_mix(rule):
    frames = [make_frames(seed, 1, dtype=d)[0] for seed, d in enumerate(["float16", "float32", "float64"])]
    frames.append(make_frames(7, 1, dtype=np.uint8, levels=3)[0])
    metric = measured(PooledAnomaly(fpr_rule=rule), frames)
    assert_exact(metric.compute(), frames, rule)


@given(st.integers(0, 2**31), st.integers(1, 30), st.sampled_from(["float16", "float32", "float64", "uint8"]))
def test_pooled_values_of_few_pixels(seed, count, dtype):
    rng = np.random.default_rng(seed)
    frames = [(rng.integers(0, 6, (1, count)).astype(dtype), rng.integers(0, 3, (1, count))) for _ in "ab"]
    truth, _ = pooled_pixels(frames)
    if 0 < truth.sum() < truth.size:
        for rule in RULES:
            assert_exact(measured(PooledAnomaly(fpr_rule=rule), frames).compute(), frames, rule)


@pytest.mark.parametrize(("dtype", "ties"), [("float32", False), ("float32", True), ("float64", True)])
def test_pooled_spills_go_through_files_in_bounded_memory(tmp_path, dtype, ties):
    memory, shape, count = 1 << 20, (256, 512), 40
    labels = np.zeros(shape, np.uint8)
    labels[:30] = 1
    frames = []
    for index in range(count):
        scores = np.random.default_rng(index).standard_normal(shape).astype(dtype) + labels.astype(dtype)
        frames.append((np.maximum(scores, 0) if ties else scores, labels))  # half of all pixels are 0
    frames.append((frames[0][0].astype(np.float16), labels))
    whole = measured(PooledAnomaly(), frames).compute()
    metric = PooledAnomaly(memory=memory, folder=tmp_path)
    tracemalloc.start()
    try:
        spilled = measured(metric, frames).compute()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    spills = [spill for side in metric._spills._spills for spill in side]
    stored = sum(spill.values.nbytes for spill in spills if spill.mapping is not None)
    if os.name == "posix":
        assert not list(tmp_path.rglob("*.spills")), "a process that is killed leaves none"
    held = count * labels.size * np.dtype(dtype).itemsize
    assert stored > held - 2 * memory
    assert peak < memory + 6 * labels.size * 8 < held / 2
    assert spilled == whole
    del metric, spills
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_pooled_states_may_be_memory_maps(tmp_path):
    frames = make_frames(2, 3)
    metric = PooledAnomaly()
    for index, frame in enumerate(frames):
        state = measured(PooledAnomaly(), [frame]).state()
        for name, array in state.items():
            np.save(tmp_path / f"{index}_{name}.npy", array)
        mapped = {
            name: np.load(tmp_path / f"{index}_{name}.npy", mmap_mode="r" if array.size else None)
            for name, array in state.items()
        }
        metric.add_state(mapped)
    assert all(isinstance(array.base, np.memmap) for array in metric._spills.of_kind(0))
    assert metric.compute() == measured(PooledAnomaly(), frames).compute()


@pytest.mark.parametrize("heavy", [-np.inf, -1.5, -0.0, 2.0, np.inf])
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_one_score_may_fill_the_memory(tmp_path, heavy, share):
    rng = np.random.default_rng(1)
    frames = []
    for dtype in ("float32", "float64", "float16", "float32"):
        scores = rng.integers(-3, 4, (300, 400)).astype(dtype)
        scores[rng.random(scores.shape) < share] = heavy
        frames.append((scores, (rng.random(scores.shape) < 0.3).astype(np.uint8)))
    metric = measured(PooledAnomaly(memory=1 << 20, folder=tmp_path), frames)
    assert metric.compute() == measured(PooledAnomaly(), frames).compute()
    finite = [(np.clip(scores, -9, 9), labels) for scores, labels in frames]
    assert metric.compute().num_positive == sum(int(labels.sum()) for _, labels in frames)
    assert_areas(metric.compute(), finite)


def assert_areas(values, frames):
    truth, scores = pooled_pixels(frames)
    assert values.ap == pytest.approx(average_precision_score(truth, scores), abs=1e-9)
    assert values.auroc == pytest.approx(roc_auc_score(truth, scores), abs=1e-9)


def test_what_was_merged_outlives_its_metric(tmp_path):
    frames = make_frames(2, 6, size=(200, 300))
    total = PooledAnomaly(memory=1 << 20)
    for part in (frames[:3], frames[3:]):
        total.merge(measured(PooledAnomaly(memory=1 << 20, folder=tmp_path), part))
        gc.collect()
    assert not list(tmp_path.iterdir())
    assert total.compute() == measured(PooledAnomaly(), frames).compute()
    again = PooledAnomaly()
    again.add_state(total.state())
    assert again.compute() == total.compute()


def test_a_full_disk_is_one_clear_error(tmp_path):
    frames = make_frames(0, 2, size=(400, 600))
    metric = PooledAnomaly(memory=1 << 20, folder=tmp_path / "nowhere")
    metric.update(*frames[0])
    before = metric.compute()
    with pytest.raises(FileError, match="nowhere"):
        metric.update(*frames[1])
    assert metric.compute() == before
    (tmp_path / "nowhere").mkdir()
    metric.update(*frames[1])
    assert metric.compute() == measured(PooledAnomaly(), frames).compute()


@pytest.mark.parametrize("kind", METRICS)
@given(
    seed=st.integers(0, 2**31),
    dtype=st.sampled_from(["float16", "float32", "uint8"]),
    parts=st.lists(st.integers(0, 2), min_size=5, max_size=5),
    shuffle=st.permutations(range(5)),
)
def test_any_partition_in_any_order_gives_the_values_of_one_pass(kind, seed, dtype, parts, shuffle):
    frames = make_frames(seed, 5, (24, 32), dtype, levels=200 if dtype == "uint8" else 0)
    shards = [kind(), kind(), kind()]
    for index in shuffle:
        shards[parts[index]].update(*frames[index])
    total = kind()
    for shard in shards[:2]:
        total.add_state(shard.state())
    total.merge(shards[2])
    expected = measured(kind(), frames).compute()
    np.testing.assert_equal(vars(total.compute()), vars(expected))  # to the last bit


@pytest.mark.parametrize("kind", METRICS)
def test_states_survive_an_npz_file(tmp_path, kind):
    for dtype in ("float16", "float32", "float64"):
        metric = measured(kind(), make_frames(3, dtype=dtype))
        np.savez(tmp_path / "state.npz", **metric.state())
        again = kind()
        with np.load(tmp_path / "state.npz", allow_pickle=False) as state:
            again.add_state(state)
        np.testing.assert_equal(vars(again.compute()), vars(metric.compute()))


@given(st.integers(0, 2**31), st.sampled_from(["float32", "float64"]))
def test_a_monotone_map_of_the_scores_changes_no_exact_value(seed, dtype):
    frames = make_frames(seed, 2, (24, 32), dtype, levels=50)
    for kind in (PooledAnomaly, PerImageAnomaly):
        for rule in RULES:
            plain = measured(kind(fpr_rule=rule), frames).compute()
            mapped = measured(kind(fpr_rule=rule), [(s**3 / 7 - 2, lab) for s, lab in frames]).compute()
            for name in ("ap", "auroc", "fpr95", "best_f1"):
                assert getattr(mapped, name) == getattr(plain, name)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_signed_zeros_are_one_value_and_infinities_are_in_order(dtype):
    labels = np.array([[1, 0, 1, 0, 1, 0]], np.uint8)
    zeros = np.array([[0.0, -0.0, -0.0, 0.0, -0.0, -0.0]], dtype)
    values = measured(PooledAnomaly(), [(zeros, labels)]).compute()
    assert values.ap == values.auroc == 0.5
    assert math.copysign(1, values.best_f1_threshold) == 1
    endless = np.array([[np.inf, 3, 4, -np.inf, np.inf, 5]], dtype)
    ranks = np.array([[6, 3, 4, 0, 6, 5]], dtype)
    for rule in RULES:
        first, second = (
            measured(PooledAnomaly(fpr_rule=rule), [(s, labels)]).compute() for s in (endless, ranks)
        )
        assert (first.ap, first.auroc, first.fpr95) == (second.ap, second.auroc, second.fpr95)
    with pytest.raises(ScoreRangeError, match="finite"):
        SmiycAnomaly().update(endless, labels)


@pytest.mark.parametrize("kind", METRICS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_nan_is_refused_on_labeled_pixels_only(kind, dtype):
    scores = np.array([[np.nan, 1, 2]], dtype)
    measured(kind(), [(scores, np.array([[255, 0, 1]]))]).compute()
    for labels in ([[0, 0, 1]], [[1, 0, 1]]):
        with pytest.raises(ScoreRangeError, match="nan"):
            kind().update(scores, np.array(labels))


def assert_same(first, second):
    """Equal values, nan to nan: from Python 3.13 on, a dataclass with nan does not equal itself."""
    np.testing.assert_equal(asdict(first), asdict(second))


@pytest.mark.parametrize("kind", METRICS)
def test_tensors_arrays_and_layouts_give_the_same(kind):
    (scores, labels) = make_frames(5, 1)[0]
    expected = measured(kind(), [(scores, labels)]).compute()
    for given_scores, given_labels in (
        (torch.from_numpy(scores), torch.from_numpy(labels)),
        (np.asfortranarray(scores), labels.astype(np.int64)),
        (scores.astype(">f4"), labels),
        (scores[::-1], labels[::-1]),
    ):
        assert_same(measured(kind(), [(given_scores, given_labels)]).compute(), expected)
    brain = torch.from_numpy(scores).bfloat16()
    assert_same(
        measured(kind(), [(brain, labels)]).compute(), measured(kind(), [(brain.float(), labels)]).compute()
    )


@pytest.mark.parametrize("kind", METRICS)
def test_bad_frames_are_refused(kind):
    scores, labels = make_frames(0, 1)[0]
    for bad_scores, bad_labels, error in (
        (scores[None], labels, ShapeError),
        (scores[:-1], labels, ShapeError),
        (scores[:0], labels[:0], ShapeError),
        (scores.astype(np.int32), labels, DTypeError),
        (scores, labels.astype(np.float32), DTypeError),
        (scores.tolist(), labels, DTypeError),
    ):
        metric = kind()
        with pytest.raises(error):
            metric.update(bad_scores, bad_labels)
        assert metric.compute().num_frames == 0


@pytest.mark.parametrize("kind", METRICS)
def test_nonsense_is_refused_as_a_state(kind):
    state = measured(kind(), make_frames(0, 1)).state()
    for name, array in state.items():
        missing = {other: values for other, values in state.items() if other != name}
        for bad in (missing, {**state, name: array[None]}, {**state, name: array.astype("datetime64[s]")}):
            with pytest.raises((FileError, ShapeError)):
                kind().add_state(bad)
    with pytest.raises(OptionError):
        kind().merge(SemanticMetric(2))


def test_states_that_no_frame_could_give_are_refused():
    state = measured(PooledAnomaly(), make_frames(0, 1)).state()
    falling = state["single_positive"][::-1].copy()
    undefined = np.append(state["single_positive"], np.float32(np.nan))
    for array in (falling, undefined):
        with pytest.raises(FileError):
            PooledAnomaly().add_state({**state, "single_positive": array})
    binned = measured(SmiycAnomaly(), make_frames(0, 1)).state()
    with pytest.raises(FileError):
        SmiycAnomaly().add_state({**binned, "positive": -binned["positive"]})
    with pytest.raises(FileError):
        SmiycAnomaly().add_state({**binned, "threshold": binned["threshold"] * np.nan})


def test_options_are_checked():
    with pytest.raises(OptionError):
        PooledAnomaly(fpr_rule="last")
    with pytest.raises(OptionError):
        PerImageAnomaly(fpr_rule="last")
    with pytest.raises(OptionError):
        PooledAnomaly(memory=5)


@pytest.mark.parametrize("kind", METRICS)
def test_without_labeled_pixels_nothing_is_defined(kind):
    values = measured(kind(), [(np.zeros((4, 5), np.float32), np.full((4, 5), 255, np.uint8))]).compute()
    assert math.isnan(values.ap)
    assert math.isnan(values.auroc)
    assert values.num_frames == 1
    assert math.isnan(kind().compute().ap)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_points_of_the_pooled_curve_lie_on_it(dtype):
    frames = make_frames(11, dtype=dtype)
    metric = measured(PooledAnomaly(), frames)
    curve = metric.curve(points=64)
    truth, scores = pooled_pixels(frames)
    precision, recall, _ = precision_recall_curve(truth, scores)
    exact = {(round(r, 12), round(p, 12)) for r, p in zip(recall, precision, strict=True)}
    found = {(round(r, 12), round(p, 12)) for r, p in zip(curve.recall, curve.precision, strict=True)}
    assert found <= exact | {(0.0, 1.0), (1.0, round(float(precision[0]), 12))}
    assert 60 <= curve.recall.size <= 66
    for axis in (curve.recall, curve.fpr):
        assert (np.diff(axis) >= 0).all()
        assert axis[0] == 0
        assert axis[-1] == 1
    binned = measured(SmiycAnomaly(), frames).curve(64)
    np.testing.assert_allclose(np.interp(curve.recall, binned.recall, binned.fpr), curve.fpr, atol=0.05)
    assert PooledAnomaly().curve().recall.size == SmiycAnomaly().curve().recall.size == 1


def test_the_official_binning_is_close_to_exact_and_keeps_its_bins():
    frames = make_frames(4, 6, (120, 160))
    exact, binned = (measured(kind(), frames).compute() for kind in (PooledAnomaly, SmiycAnomaly))
    for name in ("ap", "auroc", "fpr95", "best_f1"):
        assert getattr(binned, name) == pytest.approx(getattr(exact, name), abs=0.01)
    assert measured(SmiycAnomaly(), frames).state()["threshold"].size <= 6 * 769


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_bins_span_the_whole_range_of_the_type(dtype):
    top = np.finfo(dtype).max if dtype != "float64" else 1e300
    scores = np.array([[-top, -1, 0, 1, top, -top, 2, top]], dtype)
    labels = np.array([[0, 0, 0, 1, 1, 0, 1, 1]])
    values = measured(SmiycAnomaly(), [(scores, labels)]).compute()
    assert values.ap == values.auroc == values.best_f1 == 1


def test_means_over_images():
    frames = make_frames(6, 3)
    alone = [measured(PooledAnomaly(), [frame]).compute() for frame in frames]
    normal = frames[0][0], np.zeros_like(frames[0][1])
    values = measured(PerImageAnomaly(), [*frames, normal]).compute()
    for name in ("ap", "auroc", "fpr95", "best_f1"):
        assert getattr(values, name) == pytest.approx(np.mean([getattr(one, name) for one in alone]))
    assert values.num_frames == 4


def differences(shift, count=12, **options):
    before = make_frames(8, count, (24, 32))
    after = [(s + np.float32(shift) * (lab == 1), lab) for s, lab in before]
    states = [[measured(PooledAnomaly(), [f]).state() for f in frames] for frames in (before, after)]
    values = [measured(PooledAnomaly(), frames).compute() for frames in (before, after)]
    return bootstrap_difference(PooledAnomaly(), *states, **options), values


def test_bootstrap_intervals_hold_the_difference():
    intervals, (before, after) = differences(0.5, draws=200)
    assert set(intervals) == {"ap", "auroc", "fpr95"}
    for name, interval in intervals.items():
        change = getattr(after, name) - getattr(before, name)
        assert interval.low < change < interval.high
        assert (interval.low > 0) == (name != "fpr95")
    assert intervals == differences(0.5, draws=200)[0]
    wider = differences(0.5, draws=200, level=0.99)[0]
    assert wider["ap"].low <= intervals["ap"].low
    for interval in differences(0.0, draws=20)[0].values():
        assert interval.low == interval.high == 0


def test_bootstrap_agrees_with_drawing_the_frames_themselves():
    before = make_frames(8, 4, (24, 32), levels=40)
    after = make_frames(9, 4, (24, 32), levels=40)
    states = [[measured(PooledAnomaly(), [f]).state() for f in frames] for frames in (before, after)]
    intervals = bootstrap_difference(PooledAnomaly(), *states, draws=50, seed=3, level=0.8)
    weights = np.random.default_rng(3).multinomial(4, [0.25] * 4, size=50)
    drawn = []
    for row in weights:
        values = []
        for side in states:
            metric = PooledAnomaly()
            for state, times in zip(side, row, strict=True):
                for _ in range(times):
                    metric.add_state(state)
            values.append(metric.compute())
        drawn.append([getattr(values[1], n) - getattr(values[0], n) for n in ("ap", "auroc", "fpr95")])
    low, high = np.quantile(drawn, [0.1, 0.9], axis=0)
    for index, name in enumerate(("ap", "auroc", "fpr95")):
        assert intervals[name].low == pytest.approx(low[index], abs=1e-9)
        assert intervals[name].high == pytest.approx(high[index], abs=1e-9)


def test_bootstrap_refuses_what_it_cannot_pair():
    state = measured(PooledAnomaly(), make_frames(0, 1)).state()
    for before, after in (([], []), ([state], [state, state])):
        with pytest.raises(ShapeError):
            bootstrap_difference(PooledAnomaly(), before, after)
    with pytest.raises(OptionError):
        bootstrap_difference(PooledAnomaly(), [state], [state], draws=0)
    with pytest.raises(OptionError):
        bootstrap_difference(PooledAnomaly(), [state], [state], level=1.0)
    with pytest.raises(DTypeError):
        bootstrap_difference(SmiycAnomaly(), [state], [state])


def golden_frames(case):
    with np.load(GOLDEN / f"anomaly_{case}.npz", allow_pickle=False) as stored:
        count = CASES[case]["num_frames"]
        return [(stored[f"score_{i:02d}"], stored[f"label_{i:02d}"]) for i in range(count)]


@pytest.mark.parametrize("case", CASES)
def test_golden_exact(case):
    expected = CASES[case]["exact"]
    frames = golden_frames(case)
    keys = ("FPR95_first_tpr_ge_95", "FPR95_linear_interp", "FPR95_nearest_tpr")
    for rule, key in zip(RULES, keys, strict=True):
        values = measured(PooledAnomaly(fpr_rule=rule), frames).compute()
        assert (values.num_positive, values.num_negative) == (expected["num_pos"], expected["num_neg"])
        if "error" in expected:
            assert math.isnan(values.auroc)
            assert math.isnan(values.fpr95)
            continue
        assert values.fpr95 == pytest.approx(expected[key], abs=1e-9)
        assert values.ap == pytest.approx(expected["AP"], abs=1e-9)
        assert values.auroc == pytest.approx(expected["AUROC"], abs=1e-9)
        assert values.best_f1 == pytest.approx(expected["best_f1"], abs=1e-9)
        assert values.best_f1_threshold == pytest.approx(expected["best_f1_threshold"], abs=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_golden_official(case):
    expected = CASES[case]["PixBinaryClass"]
    frames = golden_frames(case)
    values = measured(SmiycAnomaly(), frames).compute()
    if "error" in expected:  # the official tool stops at a frame without labeled pixels
        labeled = [frame for frame in frames if (frame[1] < 2).any()]
        without = measured(SmiycAnomaly(), labeled).compute()
        for name in ("ap", "auroc", "fpr95", "best_f1", "best_f1_threshold"):
            assert getattr(values, name) == pytest.approx(getattr(without, name), abs=0, nan_ok=True)
        return
    names = {
        "ap": "area_PRC",
        "auroc": "area_ROC",
        "fpr95": "tpr95_fpr",
        "best_f1": "best_f1",
        "best_f1_threshold": "best_f1_threshold",
    }
    for name, key in names.items():
        low, high = (
            float(value) for value in expected["range_over_random_tie_orders"].get(key, []) or [0, 0]
        )
        value = getattr(values, name)
        if low < high:  # what depends on the order of ties
            assert low - 1e-9 <= value <= high + 1e-9
        else:
            assert value == pytest.approx(float(expected[key]), abs=1e-9, nan_ok=True)

"""Expected calibration error: against its definition, pixel by pixel, and in every order of the frames."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from csl_plugin.errors import FileError, OptionError, ScoreRangeError, ShapeError
from csl_plugin.metrics import PooledAnomaly, Reliability, SmiycAnomaly, reliability


def frame(seed, dtype=np.float32, size=(13, 17)):
    rng = np.random.default_rng(seed)
    scores = (rng.random(size) ** 3).astype(dtype)
    scores[0, :3] = 0, 1, 0.5
    labels = (rng.random(size) < scores).astype(np.uint8)
    labels[rng.random(size) < 0.1] = 255
    return scores, labels


def by_definition(frames):
    """(ECE, mean score, frequency, pixels) from lists of the pixels of each bin."""
    bins = [[] for _ in range(15)]
    for scores, labels in frames:
        for score, label in zip(scores.ravel().tolist(), labels.ravel().tolist(), strict=True):
            if label in (0, 1):
                bins[min(int(score * 15), 14)].append((score, label))
    total = sum(map(len, bins))
    means = [np.mean([score for score, _ in each]) if each else math.nan for each in bins]
    shares = [np.mean([label for _, label in each]) if each else math.nan for each in bins]
    parts = zip(bins, means, shares, strict=True)
    error = sum(len(each) / total * abs(share - mean) for each, mean, share in parts if each)
    return error, means, shares, [len(each) for each in bins]


def measured(frames):
    metric = Reliability()
    for each in frames:
        metric.update(*each)
    return metric


@given(seed=st.integers(0, 2**31), dtype=st.sampled_from([np.float16, np.float32, np.float64]))
def test_values_are_those_of_the_definition(seed, dtype):
    frames = [frame(seed + index, dtype) for index in range(3)]
    values = measured(frames).compute()
    error, means, shares, pixels = by_definition(frames)
    assert values.ece == pytest.approx(error, abs=1e-12)
    np.testing.assert_allclose(values.score, means, atol=1e-12)
    np.testing.assert_allclose(values.frequency, shares, atol=1e-12)
    np.testing.assert_array_equal(values.pixels, pixels)
    assert values.num_outside == 0


def test_a_score_that_is_the_frequency_has_no_error():
    scores = np.repeat([[0.25, 0.75]], 4, axis=0)
    labels = np.array([[0, 1], [0, 1], [0, 1], [1, 0]], np.uint8)
    assert measured([(scores, labels)]).compute().ece == 0
    assert measured([(1 - scores, labels)]).compute().ece == pytest.approx(0.5)


def test_other_forms_of_the_same_scores_give_the_same_values():
    codes, labels = (frame(3)[0] * 255).astype(np.uint8), frame(3)[1]
    expected = vars(measured([(codes / np.float32(255), labels)]).compute())
    np.testing.assert_equal(vars(measured([(codes, labels)]).compute()), expected)
    tensors = torch.from_numpy(codes / np.float32(255)), torch.from_numpy(labels)
    np.testing.assert_equal(vars(measured([tensors]).compute()), expected)


@pytest.mark.parametrize("at_once", [7, 1 << 20])
def test_counted_scores_are_those_repeated(monkeypatch, at_once):
    monkeypatch.setattr(reliability, "_AT_ONCE", at_once)
    scores, times = np.linspace(0, 1, 40), np.arange(40)
    counted, repeated = Reliability(), Reliability()
    for anomalous in (False, True):
        counted.add(scores, anomalous, times)
        repeated.add(np.repeat(scores, times), anomalous)
    assert counted.compute().ece == pytest.approx(repeated.compute().ece, abs=1e-12)
    np.testing.assert_array_equal(counted.compute().pixels, repeated.compute().pixels)
    assert counted.compute().pixels.sum() == 2 * times.sum()


@given(st.integers(0, 2**31), st.permutations(range(5)), st.integers(1, 4))
def test_any_partition_in_any_order_gives_the_values_of_one_pass(seed, shuffle, cut):
    frames = [frame(seed + index) for index in range(5)]
    whole = vars(measured(frames).compute())
    first = measured([frames[index] for index in shuffle[:cut]])
    first.merge(measured([frames[index] for index in shuffle[cut:]]))
    np.testing.assert_equal(vars(first.compute()), whole)
    records = Reliability()
    for index in shuffle:
        records.add_state(measured([frames[index]]).state())
    np.testing.assert_equal(vars(records.compute()), whole)


@pytest.mark.parametrize("bad", [1.0001, -0.5, np.inf, -np.inf])
def test_scores_outside_are_counted_and_leave_the_error_undefined(bad):
    scores, labels = frame(0)
    scores[labels == 255] = bad
    assert measured([(scores, labels)]).compute().num_outside == 0
    scores[labels == 1] = bad
    values = measured([(scores, labels)]).compute()
    assert math.isnan(values.ece)
    assert values.num_outside == (labels == 1).sum()
    assert values.pixels.sum() == (labels == 0).sum()


def test_no_labeled_pixel_is_undefined():
    assert math.isnan(Reliability().compute().ece)
    values = measured([(frame(0)[0], np.full((13, 17), 255, np.uint8))]).compute()
    assert math.isnan(values.ece)
    assert np.isnan(values.frequency).all()


def test_states_survive_an_npz_file_and_nonsense_is_refused(tmp_path):
    metric = measured([frame(0), frame(1)])
    np.savez(tmp_path / "state.npz", **metric.state())
    again = Reliability()
    with np.load(tmp_path / "state.npz", allow_pickle=False) as state:
        again.add_state(state)
    expected = vars(metric.compute())
    np.testing.assert_equal(vars(again.compute()), expected)
    state = metric.state()
    for name, array in state.items():
        for bad in ({k: v for k, v in state.items() if k != name}, {**state, name: array[None]}):
            with pytest.raises((FileError, ShapeError)):
                again.add_state(bad)
    for name, bad in (
        ("sum", state["sum"][1:]),
        ("sum", state["sum"] - 1e6),
        ("sum", state["sum"] * np.nan),
        ("sum", state["sum"] + 1e6),
        ("positive", state["positive"] - 10_000),
    ):
        with pytest.raises(FileError):
            again.add_state({**state, name: bad})
    with pytest.raises(OptionError):
        again.merge(PooledAnomaly())
    with pytest.raises(ScoreRangeError):
        again.update(np.full((1, 2), np.nan), np.zeros((1, 2), np.uint8))
    np.testing.assert_equal(vars(again.compute()), expected)


@pytest.mark.parametrize("kind", [Reliability, SmiycAnomaly])
@pytest.mark.parametrize("name", ["negative", "positive"])
def test_counts_whose_sum_no_integer_holds_are_refused(kind, name):
    metric = kind()
    metric.update(np.linspace(0, 1, 40).reshape(5, 8), np.arange(40).reshape(5, 8) % 2)
    state = metric.state()
    state[name] = np.full_like(state[name], 2**62)
    with pytest.raises(FileError, match="beyond those of any frames"):
        kind().add_state(state)

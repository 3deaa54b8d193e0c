"""Calibration: monotone onto [0, 1], fitted over data sets, kept in JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from csl_plugin import Calibration, CSLError, fuse
from csl_plugin.errors import ScoreRangeError


def normal_maps(count=6, seed=0):
    draw = np.random.default_rng(seed)
    return [draw.normal(3.0, 2.0, (20, 30)) for _ in range(count)]


CALIBRATIONS = {
    "sigmoid": Calibration.sigmoid(1.0, 2.0),
    "affine": Calibration.affine(-3.0, 5.0),
    "quantile": Calibration.fit_quantile(normal_maps()),
    "fitted sigmoid": Calibration.fit_sigmoid(normal_maps()),
}
scores = st.lists(st.floats(-60, 60), min_size=2, max_size=30)


@pytest.fixture(params=CALIBRATIONS)
def calibration(request):
    return CALIBRATIONS[request.param]


@pytest.mark.parametrize("name", CALIBRATIONS)
@given(values=scores)
def test_monotone_onto_the_unit_interval(name, values):
    raw = np.sort(np.array(values))
    mapped = CALIBRATIONS[name](raw)
    assert (mapped >= 0).all()
    assert (mapped <= 1).all()
    assert (np.diff(mapped) >= 0).all()


@pytest.mark.parametrize("name", ["sigmoid", "quantile", "fitted sigmoid"])
def test_no_order_is_lost_even_far_outside_what_was_seen(name):
    raw = np.linspace(-20.0, 20.0, 400)
    assert (np.diff(CALIBRATIONS[name](raw)) > 0).all()


FITS = {"quantile": Calibration.fit_quantile, "sigmoid": Calibration.fit_sigmoid}
steps = st.sampled_from([5e-324, 1e-120, 1e-45, 1e-12, 1e-7, 1.0, 1e20, 1e90])
offsets = st.sampled_from([0.0, 1e-40, 1.0, 1e4, -1e10, 1e80])


@pytest.mark.parametrize("name", FITS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@given(places=st.lists(st.integers(0, 1000), min_size=2, max_size=30), step=steps, offset=offsets)
def test_a_fit_to_any_scores_is_finite_and_monotone_or_refused(name, dtype, places, step, offset):
    with np.errstate(over="ignore", under="ignore"):
        raw = (offset + step * np.array(places, np.float64)).astype(dtype)
    try:
        fitted = FITS[name]([raw])
    except ScoreRangeError:
        return
    info = np.finfo(dtype)
    ends = np.array([info.min, info.max, -1.0, 0.0, info.tiny, 1.0, -np.inf, np.inf], dtype)
    seen = np.unique(np.concatenate([raw, np.nextafter(raw, dtype(np.inf)), ends]))
    mapped = fitted(seen)
    assert mapped.dtype == dtype
    assert ((mapped >= 0) & (mapped <= 1)).all()  # so none is nan
    assert (mapped[1:] >= mapped[:-1]).all()
    again = Calibration.from_json(fitted.to_json())
    assert again == fitted
    np.testing.assert_array_equal(again(seen), mapped)


def test_scores_that_float32_cannot_tell_apart_are_no_reason_for_nan():
    fitted = Calibration.fit_quantile([1.0 + 1e-9 * np.arange(100)])
    mapped = fitted(np.array([0.5, 1.0, 1.5], np.float32))
    np.testing.assert_allclose(mapped, [0.0, 1 / 16, 1.0])
    assert Calibration.sigmoid(0.0, 1e-60)(np.array([0.0], np.float32)) == 0.5
    assert Calibration.affine(1.0, 1.0 + 1e-12)(np.array([1.0], np.float32)) == 0.0


def test_two_values_become_the_ends_of_the_linear_part():
    mapped = Calibration.fit_quantile([np.array([2.0, 4.0])])(np.array([2.0, 3.0, 4.0]))
    np.testing.assert_allclose(mapped, [1 / 16, 1 / 2, 15 / 16])


def test_a_file_of_over_a_mebibyte_is_no_calibration(tmp_path):
    (tmp_path / "a.json").write_text(Calibration.sigmoid().to_json() + " " * (1 << 20))
    with pytest.raises(CSLError, match=r"a\.json"):
        Calibration.load(tmp_path / "a.json")


def test_the_fewest_levels_and_samples():
    fitted = Calibration.fit_quantile([np.array([1.0]), np.array([3.0])], levels=2, sample=1)
    np.testing.assert_allclose(fitted(np.array([1.0, 2.0, 3.0])), [1 / 16, 1 / 2, 15 / 16])
    for wrong in ({"levels": 1}, {"sample": 0}):
        with pytest.raises(CSLError, match=next(iter(wrong))):
            Calibration.fit_quantile(normal_maps(), **wrong)


def test_equal_scores_are_equal_whatever_their_mean_is_rounded_to():
    with pytest.raises(CSLError, match="all equal"):
        Calibration.fit_sigmoid([np.full(1000, 0.1)])


def test_a_negative_scale_and_swapped_ends_turn_the_order_round():
    raw = np.linspace(-2.0, 2.0, 9)
    for turned in (Calibration.sigmoid(0.0, -1.0), Calibration.affine(2.0, -2.0)):
        assert (np.diff(turned(raw)) < 0).all()


@pytest.mark.parametrize("name", FITS)
def test_a_fit_to_scores_that_are_high_for_normal_pixels_reverses_the_order(name):
    maps = normal_maps()
    plain, reversed_map = FITS[name](maps), FITS[name](maps, lower_is_anomalous=True)
    raw = np.linspace(-20.0, 25.0, 500)
    np.testing.assert_allclose(reversed_map(raw), 1 - plain(raw), atol=1e-12)
    assert (np.diff(reversed_map(raw)) < 0).all()
    assert Calibration.from_json(reversed_map.to_json()) == reversed_map


def test_the_formulas():
    raw = np.array([-1.0, 0.5, 4.0])
    np.testing.assert_allclose(Calibration.sigmoid(0.5, 2.0)(raw), 1 / (1 + np.exp(-(raw - 0.5) / 2)))
    np.testing.assert_allclose(Calibration.affine(0.0, 2.0)(raw), [0.0, 0.25, 1.0])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_what_comes_in_comes_out(calibration, dtype):
    raw = torch.linspace(-4, 8, 24).reshape(2, 3, 4).to(dtype)
    mapped = calibration(raw)
    assert (mapped.dtype, mapped.shape) == (dtype, raw.shape)
    if dtype != torch.bfloat16:
        array = calibration(raw.numpy())
        assert isinstance(array, np.ndarray)
        np.testing.assert_array_equal(array, mapped.numpy())


def test_integers_become_float32_and_infinities_the_ends(calibration):
    assert calibration(np.array([[0, 3]], dtype=np.int16)).dtype == np.float32
    np.testing.assert_allclose(calibration(np.array([-np.inf, np.inf])), [0.0, 1.0], atol=1e-12)
    assert np.isnan(calibration(np.array([np.nan]))).all()


def test_fitted_sigmoid_takes_mean_and_deviation_of_all_pixels():
    maps = [*normal_maps(3), np.full((4, 4), 9.0, np.float32)]
    pooled = np.concatenate([np.asarray(m, np.float64).ravel() for m in maps])
    parameters = json.loads(Calibration.fit_sigmoid(iter(maps)).to_json())
    np.testing.assert_allclose(parameters["center"], pooled.mean(), rtol=1e-12)
    np.testing.assert_allclose(parameters["scale"], pooled.std(), rtol=1e-12)


def test_fitted_quantiles_follow_the_distribution():
    maps = normal_maps(20)
    pooled = np.sort(np.concatenate([m.ravel() for m in maps]))
    mapped = Calibration.fit_quantile(maps)(pooled)
    share = np.linspace(0, 1, pooled.size)
    np.testing.assert_allclose(mapped, 1 / 16 + 7 / 8 * share, atol=2e-3)


def test_each_tail_starts_with_the_slope_of_the_segment_beside_it():
    draw = np.random.default_rng(0)
    fitted = Calibration.fit_quantile([draw.gamma(2.0, size=4000)], levels=9)
    parameters = json.loads(fitted.to_json())
    for knot, inward in ((parameters["knots"][0], 1), (parameters["knots"][-1], -1)):
        step = 1e-6 * inward
        inside, at, outside = fitted(np.array([knot + step, knot, knot - step]))
        np.testing.assert_allclose(at - outside, inside - at, rtol=1e-4)
    far = fitted(np.array([-1e4, 1e4]))
    np.testing.assert_allclose(far, [0.0, 1.0], atol=1e-12)


def test_quantiles_take_ties_and_are_the_same_in_every_run():
    maps = [np.repeat([0.0, 1.0, 1.0, 5.0], 50), np.zeros(40)]
    first, second = (Calibration.fit_quantile(maps, sample=30) for _ in range(2))
    assert first.to_json() == second.to_json()
    assert (np.diff(first(np.array([0.0, 1.0, 5.0]))) > 0).all()


def test_quantile_gradient_and_device_come_with_the_tensor(calibration):
    raw = torch.linspace(-3, 7, 11, dtype=torch.float64, requires_grad=True)
    calibration(raw).sum().backward()
    assert raw.grad is not None
    assert (raw.grad >= 0).all()
    assert raw.grad.isfinite().all()


def test_json_round_trip(calibration, tmp_path):
    raw = np.linspace(-9, 9, 50)
    calibration.save(tmp_path / "deep" / "calibration.json")
    loaded = Calibration.load(tmp_path / "deep" / "calibration.json")
    np.testing.assert_array_equal(loaded(raw), calibration(raw))
    assert loaded == calibration
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["calibration.json"]


def test_negated_maxima_fuse_once_calibrated():
    max_logit = np.random.default_rng(0).normal(5, 3, (12, 16)).astype(np.float32)
    labels = np.arange(12 * 16).reshape(12, 16) // 48
    with pytest.raises(CSLError, match=r"csl-plugin calibrate"):
        fuse(-max_logit, labels)
    assert np.isfinite(fuse(Calibration.sigmoid(5.0, -3.0)(max_logit), labels)).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Calibration.sigmoid(0.0, 0.0), "scale other than 0"),
        (lambda: Calibration.sigmoid(float("nan"), 1.0), "finite"),
        (lambda: Calibration.affine(1.0, 1.0), "different"),
        (lambda: Calibration.affine("0", 1.0), "finite numbers"),
        (lambda: Calibration.fit_sigmoid([]), "no scores"),
        (lambda: Calibration.fit_quantile([]), "no scores"),
        (lambda: Calibration.fit_quantile([np.ones(5)]), "all equal"),
        (lambda: Calibration.fit_sigmoid([np.ones(5)]), "all equal"),
        (lambda: Calibration.fit_sigmoid([np.array([1.0, np.inf])]), "not finite"),
        (lambda: Calibration.fit_sigmoid(np.zeros((3, 4))), "Wrap a single array in a list"),
        (lambda: Calibration.fit_quantile(torch.zeros(3, 4)), "Wrap a single array in a list"),
        (lambda: Calibration.fit_quantile(["scores"]), "torch tensor or a numpy array"),
        (lambda: Calibration.fit_quantile(normal_maps(), levels=1), "levels"),
        (lambda: Calibration.fit_quantile(normal_maps(), sample=1.5), "sample"),
        (lambda: Calibration.fit_quantile(normal_maps(), levels=np.ones(2)), "levels"),
        (lambda: Calibration.fit_sigmoid([np.array([1.0, 1e200])]), "too large"),
        (lambda: Calibration.fit_sigmoid([np.array([True, False])]), "real numbers"),
        (lambda: Calibration.fit_sigmoid([torch.ones(3, device="meta")]), "real numbers"),
        (lambda: Calibration.sigmoid(0.0, 1e-320), "scale other than 0"),
        (lambda: Calibration.sigmoid(10**400, 1.0), "finite"),
        (lambda: Calibration.affine(0.0, 1e-200), "different"),
        (lambda: Calibration.sigmoid()(np.array([1j])), "real numbers"),
        (lambda: Calibration.sigmoid()(np.array([True])), "real numbers"),
        (lambda: Calibration.sigmoid()([1.0]), "torch tensor or a numpy array"),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(CSLError, match=message):
        make()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "3",
        "{}",
        '{"kind": "sigmoid"}',
        '{"kind": "exec", "center": 0, "scale": 1}',
        '{"kind": "sigmoid", "center": 0, "scale": 1, "more": 2}',
        '{"kind": "sigmoid", "center": "0", "scale": 1}',
        '{"kind": "sigmoid", "center": 0, "scale": NaN}',
        '{"kind": "sigmoid", "center": true, "scale": 1}',
        '{"kind": ["sigmoid"], "center": 0, "scale": 1}',
        '{"kind": "quantile", "knots": [0, 1], "values": [0.5, 0.5]}',
        '{"kind": "quantile", "knots": [0, 1, 2], "values": [0.5, 0.4, 0.6]}',
        '{"kind": "quantile", "knots": [1, 0], "values": [0.4, 0.5]}',
        '{"kind": "quantile", "knots": [0, 1], "values": [0.0, 0.5]}',
        '{"kind": "quantile", "knots": 3, "values": 4}',
        "[" * 100_000,
    ],
)
def test_hostile_json_is_refused(text, tmp_path):
    with pytest.raises(CSLError):
        Calibration.from_json(text)
    (tmp_path / "calibration.json").write_text(text)
    with pytest.raises(CSLError):
        Calibration.load(tmp_path / "calibration.json")


def test_unreadable_files_are_named(tmp_path):
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "large.json").write_bytes(b" " * (1 << 21))
    for name in ("absent.json", "binary.json", "large.json", "."):
        with pytest.raises(OSError, match="expected") as caught:
            Calibration.load(tmp_path / name)
        assert isinstance(caught.value, CSLError)


def test_numbers_of_numpy_are_numbers():
    maps = np.linspace(0, 3, 50, dtype=np.float32)
    center, scale = maps.mean(), maps.std()
    for make in (Calibration.sigmoid, Calibration.affine):
        calibration = make(center, scale)
        assert calibration == make(float(center), float(scale))
        assert Calibration.from_json(calibration.to_json()) == calibration
    assert Calibration.sigmoid(np.int64(3), np.float16(2)) == Calibration.sigmoid(3, 2)

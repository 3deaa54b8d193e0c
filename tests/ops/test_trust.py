"""The rule "trust" and fusion with several partitions: the written-out steps, laws, limits, gradients."""

from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from csl_plugin import RegionMap, RegionProposals, Trust, fuse, fuse_labels, load_proposer, soft_assignment
from csl_plugin.errors import DTypeError, OptionError, ShapeError
from csl_plugin.ops import reference

RULES = ["product", "geometric", "mean", "trust"]
parameters = st.builds(
    Trust,
    effective_samples=st.sampled_from([1.0, 9.0, 40.0, 2500.0]),
    exponent=st.sampled_from([0.0, 1.0, 1.5, 4.0]),
    prior_strength=st.sampled_from([0.0, 0.5, 3.0]),
    keep_sigma=st.sampled_from([0.0, 1.0, 2.5, float("inf")]),
)

extremes = st.builds(
    Trust,
    effective_samples=st.sampled_from([1.0, 1 + 1e-9, 30.0, 1e308]),
    exponent=st.sampled_from([0.0, 26.0, 1e3, 1e308]),
    prior_strength=st.sampled_from([0.0, 5e-324, 1.0, 1e308]),
    keep_sigma=st.sampled_from([0.0, 5e-324, 1e200, 10**30, float("inf")]),
)


@st.composite
def cases(draw, classes=(1, 3), lowest=-1):
    """D (C, H, W) float64 and one to four partitions (H, W) of blocks."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height, width = draw(st.sampled_from([(1, 1), (1, 9), (6, 7), (12, 9)]))
    scores = rng.random((draw(st.sampled_from(classes)), height, width)) ** 3
    scores[rng.random(scores.shape) < 0.1] = 0.0
    partitions = []
    for _ in range(draw(st.integers(1, 4))):
        side, most = draw(st.sampled_from([1, 2, 4])), draw(st.integers(1, 6))
        coarse = rng.integers(lowest, most, (height // side + 1, width // side + 1))
        partitions.append(torch.from_numpy(coarse.repeat(side, 0).repeat(side, 1)[:height, :width].copy()))
    return torch.from_numpy(scores), partitions


@st.composite
def cases_with_constant_classes(draw):
    """The same, but some classes are constant inside the regions of the first partition, or everywhere."""
    scores, partitions = draw(cases(classes=(1, 2, 3)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    for plane in scores:
        kind = draw(st.sampled_from(["as it is", "within regions", "everywhere"]))
        if kind == "within regions":
            plane[:] = torch.from_numpy(rng.random(8))[partitions[0]]
        elif kind == "everywhere":
            plane[:] = rng.random()
    return scores, partitions


def assert_is_the_written_out_rule(scores, partitions, trust):
    expected = reference.trust(scores, partitions, **asdict(trust))
    assert expected.isfinite().all()
    for values in (scores, scores.clone().requires_grad_()):
        found = fuse(values, partitions, rule=trust, split=False).detach()
        torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-10)


@settings(max_examples=150, deadline=None)
@given(cases_with_constant_classes(), parameters)
def test_a_class_that_is_constant_within_regions_is_not_decided_by_rounding(case, trust):
    assert_is_the_written_out_rule(*case, trust)


@settings(max_examples=80, deadline=None)
@given(cases_with_constant_classes(), extremes)
def test_every_parameter_gives_numbers(case, trust):
    assert_is_the_written_out_rule(*case, trust)


def test_a_class_constant_within_regions_beside_a_noisy_one_by_hand():
    rng = np.random.default_rng(0)
    labels = torch.zeros(8, 8, dtype=torch.int64)
    labels[:, 4:] = 1
    noisy = torch.from_numpy(rng.random((8, 8)))
    flat = torch.tensor([0.0625, 0.4096], dtype=torch.float64)[labels]
    trust = Trust(effective_samples=64, prior_strength=0.0)
    fused = fuse(torch.stack([noisy, flat]), labels, rule=trust)
    # The flat class has no noise: shrinkage sets it apart from its means by far more than the floor, so that
    # both classes keep nearly all of their differences. Without a floor they would keep all.
    torch.testing.assert_close(fused[1], flat, rtol=2e-3, atol=0)
    torch.testing.assert_close(fused[0], noisy, rtol=2e-1, atol=2e-2)
    assert not torch.allclose(fused[0], noisy, rtol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("rule", ["geometric", "mean", "trust"])
def test_the_largest_scores_give_numbers(dtype, rule):
    largest = torch.finfo(dtype).max if dtype != torch.float64 else 1e276
    scores = torch.full((1, 6, 8), largest, dtype=dtype)
    scores[0, 2, 3:] = 0.0
    labels = [torch.arange(48).view(6, 8) // 12, torch.zeros(6, 8, dtype=torch.int64)]
    for values in (scores, scores.clone().requires_grad_()):
        assert fuse(values, labels, rule=rule).isfinite().all()


@settings(max_examples=150, deadline=None)
@given(cases(), parameters)
def test_trust_is_the_written_out_rule(case, trust):
    scores, partitions = case
    expected = reference.trust(scores, partitions, **asdict(trust))
    found = fuse(scores, partitions, rule=trust, split=False)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    recorded = fuse(scores.clone().requires_grad_(), partitions, rule=trust, split=False)
    torch.testing.assert_close(recorded.detach(), expected, rtol=1e-9, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(cases())
def test_the_other_rules_average_the_region_means(case):
    scores, partitions = case
    mean = reference.average_means(scores, partitions)
    for rule, expected in (("mean", mean), ("product", mean * scores), ("geometric", (mean * scores).sqrt())):
        found = fuse(scores, partitions, rule=rule, split=False)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-15)
        recorded = fuse(scores.clone().requires_grad_(), partitions, rule=rule, split=False)
        torch.testing.assert_close(recorded.detach(), expected, rtol=1e-9, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(cases(classes=(2, 5)), st.sampled_from(RULES))
def test_labels_are_the_arg_max(case, rule):
    scores, partitions = case
    fused = fuse(scores, partitions, rule=rule, split=False)
    found = fuse_labels(scores, partitions, rule=rule, split=False)
    best, chosen = fused.amax(0), fused.gather(0, found[None])[0]
    torch.testing.assert_close(chosen, best, rtol=1e-12, atol=0)


@settings(max_examples=40, deadline=None)
@given(cases(), st.integers(-12, 12))
def test_trust_is_equivariant_to_scale(case, power):
    scores, partitions = case
    once = fuse(scores, partitions, rule="trust", split=False)
    torch.testing.assert_close(
        fuse(scores * 2.0**power, partitions, rule="trust", split=False), once * 2.0**power, rtol=1e-8, atol=0
    )


@settings(max_examples=40, deadline=None)
@given(cases(), st.randoms(use_true_random=False))
def test_neither_the_order_nor_the_names_of_regions_matter(case, random):
    scores, partitions = case
    once = fuse(scores, partitions, rule="trust", split=False)
    renamed = [torch.where(labels < 0, -1, 7 - labels) for labels in partitions]
    random.shuffle(renamed)
    torch.testing.assert_close(fuse(scores, renamed, rule="trust", split=False), once, rtol=1e-9, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(cases(), st.integers(2, 4))
def test_copies_of_all_partitions_say_what_one_copy_says(case, copies):
    scores, partitions = case
    for rule in RULES:
        once = fuse(scores, partitions, rule=rule, split=False)
        again = fuse(scores, partitions * copies, rule=rule, split=False)
        torch.testing.assert_close(again, once, rtol=1e-9, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(cases(lowest=0))
def test_a_partition_into_pixels_says_nothing(case):
    scores, partitions = case
    pixels = torch.arange(scores[0].numel()).view(scores.shape[1:])
    torch.testing.assert_close(fuse(scores, pixels, rule="trust", split=False), scores, rtol=0, atol=0)
    noise_free = Trust(
        keep_sigma=float("inf")
    )  # its residuals of zero lower the noise, its answers are not heard
    once = fuse(scores, partitions, rule=noise_free, split=False)
    beside = fuse(scores, [*partitions, pixels], rule=noise_free, split=False)
    torch.testing.assert_close(beside, once, rtol=1e-9, atol=1e-12)


def _two_halves():
    rng = np.random.default_rng(3)
    labels = torch.zeros(40, 60, dtype=torch.int64)
    labels[:, 30:] = 1
    return torch.from_numpy(rng.random((1, 40, 60))), labels


def test_limits():
    scores, labels = _two_halves()
    alone = fuse(scores, labels, rule=Trust(keep_sigma=0.0))
    torch.testing.assert_close(alone, scores, rtol=1e-12, atol=0)
    roots = fuse(scores**0.25, labels, rule="mean")
    certain = Trust(effective_samples=1e15, exponent=0.0, prior_strength=0.0, keep_sigma=float("inf"))
    # No pixel counts as more than one observation, so the mean of 1200 is not shrunk to the last digit.
    torch.testing.assert_close(fuse(scores, labels, rule=certain), roots**4, rtol=2e-2, atol=0)


def test_a_small_object_in_a_large_region_is_not_swallowed():
    rng = np.random.default_rng(0)
    scores = (0.2 + 0.02 * rng.standard_normal((1, 120, 160))).astype(np.float32)
    scores[0, 50:56, 60:66] = 0.8
    labels = np.zeros((120, 160), np.int32)
    inside = (0, slice(50, 56), slice(60, 66))
    swallowed = fuse(scores, labels, rule="mean")
    assert swallowed[inside].max() < 0.25
    assert fuse(scores, labels, rule="trust")[inside].min() > 0.7


def test_noise_inside_a_region_is_removed():
    rng = np.random.default_rng(0)
    truth = np.full((1, 120, 160), 0.2)
    truth[0, 30:90, 40:120] = 0.6
    labels = (truth[0] > 0.4).astype(np.int64)
    scores = np.clip(truth + 0.1 * rng.standard_normal(truth.shape), 0, 1)
    before, after = (np.abs(values - truth).mean() for values in (scores, fuse(scores, labels, rule="trust")))
    assert after < before / 2


def test_of_two_partitions_the_one_that_fits_is_believed():
    rng = np.random.default_rng(0)
    truth = np.full((1, 120, 160), 0.2)
    truth[0, :, 80:] = 0.6
    scores = np.clip(truth + 0.05 * rng.standard_normal(truth.shape), 0, 1)
    fitting = (truth[0] > 0.4).astype(np.int64)
    blind = np.zeros((120, 160), np.int64)
    blind[60:] = 1
    heard = Trust(keep_sigma=float("inf"))
    apart = [
        np.abs(fuse(scores, regions, rule=heard) - truth).mean()
        for regions in (fitting, [fitting, blind], blind)
    ]
    assert apart[1] < (apart[0] + apart[2]) / 4


def test_gradients():
    scores = torch.rand(2, 2, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.1
    labels = [torch.arange(60).view(2, 5, 6) // 7 % 4, torch.arange(60).view(2, 5, 6) % 3 - 1]
    for rule in (Trust(effective_samples=12.0), "product"):
        assert torch.autograd.gradcheck(
            lambda values, rule=rule: fuse(values, labels, rule=rule, split=False), scores.requires_grad_()
        )


def test_zeros_have_finite_gradients():
    scores = torch.zeros(1, 1, 4, 4, requires_grad=True)
    fuse(scores, torch.zeros(4, 4, dtype=torch.int64), rule="trust").sum().backward()
    assert torch.isfinite(scores.grad).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.uint8])
def test_dtypes_and_out(dtype):
    scores, labels = _two_halves()
    stored = (scores * 255).round().to(dtype) if dtype == torch.uint8 else scores.to(dtype)
    exact = stored.double() / (255 if dtype == torch.uint8 else 1)
    expected = fuse(exact, labels, rule="trust")
    found = fuse(stored, labels, rule="trust")
    assert found.dtype == dtype
    unit = 255 if dtype == torch.uint8 else 1
    tolerance = {torch.float16: 1e-3, torch.bfloat16: 1e-2, torch.float32: 1e-6, torch.uint8: 0.51 / 255}[
        dtype
    ]
    torch.testing.assert_close(found.double() / unit, expected, rtol=tolerance, atol=tolerance)
    assert fuse(stored, labels, rule="trust", out=stored) is stored
    assert torch.equal(stored, found)


def test_pixels_that_do_not_count_change_nothing():
    scores, labels = _two_halves()
    padded = torch.full((1, 50, 64), float("nan"), dtype=torch.float64)
    padded[:, :40, :60] = scores
    around = torch.zeros(50, 64, dtype=torch.int64)
    around[:40, :60] = labels
    valid = torch.zeros(50, 64, dtype=torch.bool)
    valid[:40, :60] = True
    found = fuse(padded, [around, around], rule="trust", valid=valid)
    torch.testing.assert_close(found[:, :40, :60], fuse(scores, labels, rule="trust"))
    assert found[:, 40:].isnan().all()


def test_a_batch_is_its_images():
    rng = torch.Generator().manual_seed(1)
    scores = torch.rand(3, 2, 20, 30, generator=rng)
    labels = [torch.randint(-1, most, (3, 20, 30), generator=rng) for most in (2, 9)]
    for rule in RULES:
        batch = fuse(scores, labels, rule=rule)
        for b in range(3):
            single = fuse(scores[b], [each[b] for each in labels], rule=rule)
            torch.testing.assert_close(batch[b], single, rtol=1e-6, atol=1e-7)


def test_several_kinds_of_regions_and_low_resolution():
    rng = torch.Generator().manual_seed(2)
    logits = torch.randn(1, 3, 6, 8, generator=rng)
    proposals = RegionProposals(torch.rand(1, 4, 5, 7, generator=rng), torch.rand(1, 4, generator=rng))
    labels = RegionMap(torch.randint(0, 5, (1, 24, 32), generator=rng))
    given = [proposals, labels]
    maps = [soft_assignment(proposals, (24, 32)), labels]
    size = {"size": (24, 32), "logits": True}
    fused = fuse(logits, given, **size)
    torch.testing.assert_close(fused, fuse(logits, maps, rule="trust", **size))
    assert torch.equal(fuse_labels(logits, given, **size), fused.argmax(1))


def test_it_compiles_whole():
    scores, labels = _two_halves()
    scores, maps = scores.float()[None], [RegionMap(labels[None], 2), RegionMap(labels[None] * 0, 1)]
    compiled = torch.compile(
        lambda values: fuse(values, maps, rule="trust", split=False, check=False),
        fullgraph=True,
        backend="eager",
    )
    torch.testing.assert_close(compiled(scores), fuse(scores, maps, rule="trust", split=False))


def test_one_partition_is_eq_3_and_several_are_trusted_by_default():
    scores, labels = _two_halves()
    assert torch.equal(fuse(scores, labels), fuse(scores, labels, rule="product"))
    assert torch.equal(fuse(scores, [labels]), fuse(scores, labels, rule="product"))
    both = [labels, labels * 0]
    assert torch.equal(fuse(scores, both), fuse(scores, both, rule="trust"))


def test_the_default_proposer_gives_several_partitions():
    image = torch.rand(1, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    regions = load_proposer()(image)
    single = [load_proposer(name)(image)[0] for name in ("csl-tiny", "csl-tiny:10", "superpixels:40")]
    for found, expected in zip(regions, single, strict=True):
        assert torch.equal(found.labels, expected.labels)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"effective_samples": 0.5}, "effective_samples"),
        ({"exponent": -1.0}, "exponent"),
        ({"prior_strength": float("inf")}, "prior_strength"),
        ({"keep_sigma": float("nan")}, "keep_sigma"),
        ({"keep_sigma": True}, "keep_sigma"),
        ({"exponent": 10**400}, "exponent"),
        ({"exponent": np.ones(2)}, "exponent"),
        ({"exponent": "1.5"}, "exponent"),
        ({"keep_sigma": 1j}, "keep_sigma"),
    ],
)
def test_bad_parameters(change, named):
    with pytest.raises(OptionError, match=named):
        Trust(**change)


def test_bad_partitions():
    scores, labels = _two_halves()
    with pytest.raises(ShapeError, match="at least one partition"):
        fuse(scores, [])
    with pytest.raises(DTypeError, match="regions"):
        fuse(scores, [labels, "superpixels"])
    with pytest.raises(ShapeError, match="regions"):
        fuse(scores, [labels, labels[:, :-1]])
    with pytest.raises(OptionError, match="trust"):
        fuse(scores, labels, rule="faith")
    with pytest.raises(OptionError, match="SCALE"):
        load_proposer("superpixels:20,x")
    with pytest.raises(OptionError, match="revision"):
        load_proposer("superpixels+csl-tiny", revision="main")

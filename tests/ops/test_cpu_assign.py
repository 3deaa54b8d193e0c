"""The CPU engine assigns exactly: never another region than eq. 2 says, outside ties closer than 1e-6."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from csl_plugin import RegionMap, RegionProposals, fuse, fuse_labels, ops, soft_assignment, split_components
from csl_plugin.ops import planewise


def noise(draw, count, height, width):
    return draw.normal(0, 3, (count, height, width))


def smooth(draw, count, height, width):
    coarse = torch.from_numpy(draw.normal(0, 5, (1, count, 4, 4)))
    return F.interpolate(coarse, (height, width), mode="bicubic")[0].numpy()


def blobs(draw, count, height, width):
    y, x = np.mgrid[0:height, 0:width]
    centers = draw.uniform(0, 1, (count, 2, 1, 1)) * np.array([[[height]], [[width]]])
    radius = draw.uniform(1, 1 + max(height, width) / 2, (count, 1, 1))
    distance = np.hypot(y - centers[:, 0], x - centers[:, 1])
    return np.clip((radius - distance) * 1.5, -12, 9) + draw.normal(0, 0.3, (count, height, width))


def steps(draw, count, height, width):
    return noise(draw, count, height, width).round() * 4


def flat(draw, count, height, width):
    return np.zeros((count, height, width))


def duplicated(draw, count, height, width):
    return blobs(draw, max(1, count // 2), height, width)[draw.integers(0, max(1, count // 2), count)]


def saturated(draw, count, height, width):
    return noise(draw, count, height, width) * 100


KINDS = [noise, smooth, blobs, steps, flat, duplicated, saturated]
DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64]


@st.composite
def proposals(draw):
    numbers = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.sampled_from([1, 2, 3, 7, 20, 40]))
    height, width = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    factor = draw(st.sampled_from([0.4, 1.0, 2.0, 3.7, 4.0, 8.0]))
    size = tuple(max(1, int(side * factor) + draw(st.integers(0, 2))) for side in (height, width))
    values = torch.from_numpy(draw(st.sampled_from(KINDS))(numbers, count, height, width))
    values = values.clamp(-60000, 60000).to(draw(st.sampled_from(DTYPES)))
    validity = torch.from_numpy(numbers.random(count)) * draw(st.sampled_from([0.0, 1.0, 1.0, 1.0]))
    if draw(st.booleans()):
        validity = torch.full((count,), 0.7)
    if draw(st.booleans()):
        values = values.transpose(1, 2).contiguous().transpose(1, 2)
    return values[None], validity[None].to(values.dtype), size


def in_double(values, validity, size, order):
    """r * v of every region at every pixel, all arithmetic in float64."""
    scores = values.double().sigmoid() if order == "scores from logits" else values.double()
    scores = F.interpolate(scores, size, mode="bilinear", align_corners=False)
    scores = scores.sigmoid() if order == "logits" else scores
    return scores * validity.double()[..., None, None]


@pytest.mark.parametrize("order", ["scores", "scores from logits", "logits"])
@settings(max_examples=200)
@given(case=proposals())
def test_no_region_beats_the_assigned_one(order, case):
    values, validity, size = case
    if order == "scores":
        values = values.float().sigmoid().to(values.dtype)
        given_proposals = RegionProposals(values, validity)
    else:
        given_proposals = RegionProposals.from_logits(values, torch.logit(validity.double(), 1e-9))
        validity = given_proposals.validity
    labels = soft_assignment(
        given_proposals, size, interpolate="logits" if order == "logits" else "scores"
    ).labels
    everything = in_double(values, validity, size, order)
    best = everything.amax(1)
    chosen = everything.gather(1, labels.long()[:, None])[:, 0]
    # Interpolated logits are float32: one of size 30 is itself rounded by 2e-6.
    rounding = 2**-23 * float(values.abs().max()) if order == "logits" else 0.0
    # A weight is float32 too: a pixel is off by a part of the largest score among its samples, not its own.
    scores = values.double() if order == "scores" else values.double().sigmoid()
    largest = (scores * validity.double()[..., None, None]).amax(1)
    around = F.interpolate(F.max_pool2d(largest, 3, 1, 1)[None], size, mode="nearest")[0]
    assert (best - chosen <= (1e-6 + rounding) * best + 2**-18 * around + 1e-30).all()


@pytest.mark.parametrize("sigmoid", ["none", "before", "after"])
@pytest.mark.parametrize("kind", KINDS)
def test_equal_to_region_after_region_on_a_real_size(kind, sigmoid):
    numbers = np.random.default_rng(3)
    values = torch.from_numpy(kind(numbers, 30, 45, 80)).float().clamp(-80, 80)[None]
    validity = torch.from_numpy(numbers.random((1, 30))).float()
    made = RegionProposals.from_logits(values, torch.logit(validity))
    if sigmoid == "none":
        values = values.sigmoid()
        made = RegionProposals(values, validity)
    fast = soft_assignment(made, (181, 317), interpolate="logits" if sigmoid == "after" else "scores").labels
    slow = planewise.assign(values, made.validity, (181, 317), sigmoid)
    order = {"none": "scores", "before": "scores from logits", "after": "logits"}[sigmoid]
    probabilities = in_double(values, made.validity, (181, 317), order)
    a, b = (probabilities.gather(1, labels.long()[:, None]) for labels in (fast, slow))
    assert ((a - b).abs() <= 1e-6 * a.maximum(b)).all()


def test_sigmoid_after_interpolation_is_not_decided_by_the_corners():
    # Region 0 wins at both corners, region 1 in between: a counterexample to the corner rule in logit order.
    logits = torch.tensor([[[[0.0, -10.0]], [[10.0, -9.32]]]])
    made = RegionProposals.from_logits(logits, torch.logit(torch.tensor([[1 - 1e-7, 0.5]])))
    labels = soft_assignment(made, (1, 20), interpolate="logits").labels[0, 0]
    assert labels[0] == labels[-1] == 0
    assert labels[10] == 1


def test_many_regions_and_many_pixels_stay_within_the_ids():
    count = 65_535
    scores = torch.zeros(1, count, 1, 3)
    for x, region in enumerate((0, 40_000, count - 1)):
        scores[0, region, 0, x] = 1.0
    labels = soft_assignment(RegionProposals(scores, torch.ones(1, count)), (1, 3)).labels
    assert labels.flatten().tolist() == [0, 40_000, count - 1]


@pytest.mark.parametrize("rule", ["product", "geometric", "mean"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.uint8, torch.float64])
@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), height=st.integers(1, 90), width=st.integers(1, 900))
def test_runs_and_planes_agree(rule, dtype, seed, height, width):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(-1, 6, (2, height, width), generator=generator).repeat_interleave(3, 2)
    labels = labels[..., :width]
    scores = torch.rand(2, 3, height, width, generator=generator)
    scores = (scores * 255).to(dtype) if dtype == torch.uint8 else scores.to(dtype)
    regions = [ops.Partition(6, labels)]
    expected = torch.empty_like(scores)
    planewise.apply(scores, regions, planewise.means(scores, regions, roots=False), rule, expected)
    found = fuse(scores, RegionMap(labels), rule=rule, split=False)
    step = {torch.float16: 1e-3, torch.uint8: 1.0}.get(dtype, 1e-6)
    torch.testing.assert_close(found.double(), expected.double(), atol=step, rtol=1e-6)


def test_labels_need_no_maps_of_all_classes():
    scores = torch.rand(1, 7, 130, 300)
    labels = torch.arange(130 * 300).view(1, 130, 300) // 977 % 11
    split = split_components(RegionMap(labels))
    assert torch.equal(fuse_labels(scores, RegionMap(labels)), fuse(scores, split, split=False).argmax(1))


def test_sums_of_large_regions_are_exact_to_half_a_millionth():
    scores = torch.rand(1, 1, 1500, 1500) * 0.1 + 0.05
    found = fuse(scores, RegionMap(torch.zeros(1, 1500, 1500, dtype=torch.int32)), rule="mean", split=False)
    exact = scores.double().mean()
    assert abs(float(found[0, 0, 0, 0]) - exact) <= 5e-7 * exact

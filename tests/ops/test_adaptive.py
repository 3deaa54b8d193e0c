"""The rule "adaptive", and fusion with several partitions: as written out on every path, laws, gradients."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.func import grad, jvp, vmap

from csl_plugin import RegionMap, RegionProposals, fuse, fuse_labels, ops, soft_assignment
from csl_plugin.errors import DTypeError, OptionError, ShapeError
from csl_plugin.ops import cpu, reference
from csl_plugin.ops.adaptive import table_of

PLAIN = ["product", "geometric", "mean"]
RULES = ["adaptive", *PLAIN]
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8]
# How far the arithmetic and the rounding to the stored dtype may be from float64, relative.
TOLERANCE = {torch.float16: 1e-3, torch.bfloat16: 5e-3, torch.float32: 2e-6, torch.float64: 1e-12}


def on_the_cpu(scores, partitions):
    return fuse(scores, partitions, split=False), fuse_labels(scores, partitions, split=False)


def traced(scores, partitions):
    fused, labels = on_the_cpu(scores.clone().requires_grad_(), partitions)
    return fused.detach(), labels


def plane_by_plane(scores, partitions):
    """What serves devices without kernels, where a partition is not known as runs."""
    maps = [ops.Partition(int(labels.max().clamp(min=-1)) + 1, labels[None]) for labels in partitions]
    fused = ops.fuse(scores[None], maps, "adaptive")
    return fused[0], ops.fuse_labels(scores[None], maps, "adaptive", scores.shape[1:], logits=False)[0]


PATHS = [on_the_cpu, traced, plane_by_plane]


@st.composite
def cases(draw, classes=(1, 2, 5), lowest=-1, dtypes=(torch.float64,), most=3):
    """D (C, H, W) and one to three partitions (H, W) of blocks."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height, width = draw(st.sampled_from([(1, 1), (1, 9), (6, 7), (12, 9)]))
    partitions = []
    for _ in range(draw(st.integers(1, most))):
        side, count = draw(st.sampled_from([1, 2, 4])), draw(st.integers(1, 6))
        coarse = rng.integers(lowest, count, (height // side + 1, width // side + 1))
        partitions.append(torch.from_numpy(coarse.repeat(side, 0).repeat(side, 1)[:height, :width].copy()))
    unit = rng.random((draw(st.sampled_from(classes)), height, width)) ** draw(st.sampled_from([1, 8]))
    for plane in unit:
        kind = draw(st.sampled_from(["as it is", "within regions", "everywhere", "zero"]))
        if kind == "within regions":
            plane[:] = rng.random(8)[partitions[0]]
        elif kind != "as it is":
            plane[:] = rng.random() if kind == "everywhere" else 0.0
    unit[rng.random(unit.shape) < draw(st.sampled_from([0.0, 0.2, 0.9]))] = 0.0
    dtype = draw(st.sampled_from(dtypes))
    if dtype == torch.uint8:
        return torch.from_numpy((unit * 255).round()).to(dtype), partitions
    most_of = {torch.float16: 6e4, torch.float64: 1e280}.get(dtype, 3e38)
    least_of = {torch.float16: 1e-2, torch.float64: 1e-200}.get(dtype, 1e-28)
    return torch.from_numpy(unit * draw(st.sampled_from([1.0, most_of, least_of]))).to(dtype), partitions


def assert_is(found, expected):
    """Equal to the float64 reference on the scale [0, 1] for uint8, to the rounding of its dtype."""
    if found.dtype == torch.uint8:
        assert (found.double() - expected * 255).abs().max() <= 0.5 + 1e-3
        return
    # Below the smallest normal number the steps of a dtype do not shrink any more.
    least = {torch.float16: 2.0**-24, torch.float64: 0.0}.get(found.dtype, 2.0**-126)
    torch.testing.assert_close(found.double(), expected, rtol=TOLERANCE[found.dtype], atol=least)


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=80, deadline=None)
@given(case=cases(dtypes=DTYPES))
def test_every_path_is_the_written_out_rule(path, case):
    scores, partitions = case
    assume(path is not traced or scores.is_floating_point())  # bytes have no gradients
    expected = reference.adaptive(scores.double() / (255 if scores.dtype == torch.uint8 else 1), partitions)
    assert expected.isfinite().all()
    fused, labels = path(scores, partitions)
    assert fused.dtype == scores.dtype
    assert_is(fused, expected)
    best, chosen = expected.amax(0), expected.gather(0, labels[None])[0]
    exact = TOLERANCE[torch.float64 if scores.dtype == torch.float64 else torch.float32]
    torch.testing.assert_close(chosen, best, rtol=2 * exact, atol=2.0**-126)


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=30, deadline=None)
@given(case=cases(dtypes=(torch.float32, torch.float64)))
def test_labels_are_the_arg_max_of_the_fused_map(path, case):
    fused, labels = path(*case)
    assert torch.equal(labels, torch.from_numpy(fused.numpy().argmax(0)))


@pytest.mark.parametrize("path", PATHS)
def test_one_score_by_hand(path):
    scores = torch.tensor([[[1.0, 0.0, 0.25, 0.25, 0.4]]], dtype=torch.float64)
    first, second = torch.tensor([[0, 0, 1, 1, -1]]), torch.tensor([[0, 0, 0, 0, -1]])
    # Means of D: 1/2 and 1/4, of its root: 1/2 and 1/2, so both floors are 1/4.
    fused, _ = path(scores, [first])
    expected = torch.tensor([[[0.5**0.5, 0.125**0.5, 0.25, 0.25, 0.4]]], dtype=torch.float64)
    torch.testing.assert_close(fused, expected, rtol=1e-14, atol=0)
    # The second has mean 3/8 and floor 1/4, and its mean counts half: 11/24 and 7/24.
    fused, _ = path(scores, [first, second])
    some, other = (11 / 96) ** 0.5, (7 / 96) ** 0.5
    expected = torch.tensor([[[(11 / 24) ** 0.5, some, other, other, 0.4]]], dtype=torch.float64)
    torch.testing.assert_close(fused, expected, rtol=1e-14, atol=0)
    # In the other order the floors are those of the first, and the means are 5/12 and 1/3.
    fused, _ = path(scores, [second, first])
    some, other = (5 / 48) ** 0.5, (1 / 12) ** 0.5
    expected = torch.tensor([[[(5 / 12) ** 0.5, some, other, other, 0.4]]], dtype=torch.float64)
    torch.testing.assert_close(fused, expected, rtol=1e-14, atol=0)


@pytest.mark.parametrize("path", PATHS)
def test_a_class_that_fills_its_region_keeps_its_score_to_the_bit(path):
    scores = torch.zeros(3, 4, 6)
    scores[1] = 0.25
    fused, _ = path(scores, [torch.zeros(4, 6, dtype=torch.int64)])
    assert torch.equal(fused.reshape(scores.shape), scores)


@pytest.mark.parametrize("path", PATHS)
def test_two_classes_by_hand(path):
    scores = torch.tensor([[[0.25, 0.75, 0.9, 0.4]], [[0.75, 0.25, 0.0, 0.6]]], dtype=torch.float64)
    labels = torch.tensor([[0, 0, 1, -1]])
    fused, winners = path(scores, [labels])
    # Region 0 is torn, a = 1/2: b = m / 4 + 3 D / 4. Region 1 is sure, a = 1: b = m = D.
    high, low = (0.75 * (0.125 + 0.5625)) ** 0.5, (0.25 * (0.125 + 0.1875)) ** 0.5
    expected = torch.tensor([[[low, high, 0.9, 0.4]], [[high, low, 0.0, 0.6]]], dtype=torch.float64)
    torch.testing.assert_close(fused, expected, rtol=1e-14, atol=0)
    assert winners.tolist() == [[1, 0, 0, 1]]


# ---- laws


def bounds_of(scores, partitions):
    """The smallest and largest score of each class over the union of the pixel's regions."""
    low, high = scores.clone(), scores.clone()
    for y in range(scores.shape[1]):
        for x in range(scores.shape[2]):
            union = torch.zeros(scores.shape[1:], dtype=torch.bool)
            union[y, x] = True
            for labels in partitions:
                if labels[y, x] >= 0:
                    union |= labels == labels[y, x]
            low[:, y, x], high[:, y, x] = scores[:, union].aminmax(dim=1)
    return low, high


@settings(max_examples=60, deadline=None)
@given(cases())
def test_a_result_lies_between_the_scores_of_its_regions(case):
    low, high = bounds_of(*case)
    fused = fuse(*case, split=False)
    assert (fused >= low * (1 - 1e-12)).all()
    assert (fused <= high * (1 + 1e-12)).all()


@settings(max_examples=60, deadline=None)
@given(cases(classes=(1,), lowest=0, most=1))
def test_one_score_is_filled_to_the_floor_and_no_higher_than_the_mean(case):
    scores, partitions = case
    floor = fuse(scores.sqrt(), partitions, rule="mean", split=False).square()
    mean = fuse(scores, partitions, rule="mean", split=False)
    assert (floor <= mean * (1 + 1e-12)).all()
    fused = fuse(scores, partitions, split=False)
    assert (fused >= floor * (1 - 1e-12)).all()
    below = scores <= floor
    assert (fused[below] <= mean[below] * (1 + 1e-12)).all()


@settings(max_examples=40, deadline=None)
@given(cases(classes=(2, 5)))
def test_the_order_of_classes_does_not_matter(case):
    scores, partitions = case
    found = fuse(scores.flip(0), partitions, split=False)
    torch.testing.assert_close(found, fuse(scores, partitions, split=False).flip(0), rtol=1e-12, atol=0)


@settings(max_examples=40, deadline=None)
@given(cases(), st.integers(-12, 12))
def test_the_result_is_on_the_scale_of_the_scores(case, power):
    scores, partitions = case
    found = fuse(scores * 2.0**power, partitions, split=False)
    torch.testing.assert_close(found, fuse(scores, partitions, split=False) * 2.0**power, rtol=1e-12, atol=0)


@settings(max_examples=40, deadline=None)
@given(cases())
def test_the_names_of_regions_do_not_matter(case):
    scores, partitions = case
    renamed = [torch.where(labels < 0, -1, 7 - labels) for labels in partitions]
    once = fuse(scores, partitions, split=False)
    torch.testing.assert_close(fuse(scores, renamed, split=False), once, rtol=1e-12, atol=0)


@settings(max_examples=40, deadline=None)
@given(cases(), st.integers(0, 3))
def test_a_partition_that_assigns_nothing_changes_nothing(case, position):
    scores, partitions = case
    without = fuse(scores, partitions, split=False)
    partitions.insert(position, torch.full_like(partitions[0], -1))
    torch.testing.assert_close(fuse(scores, partitions, split=False), without, rtol=1e-12, atol=0)


@settings(max_examples=40, deadline=None)
@given(cases(most=1), st.integers(2, 4))
def test_a_partition_given_several_times_says_what_it_says_once(case, copies):
    scores, partitions = case
    for rule in ("adaptive", "geometric", "mean"):
        once = fuse(scores, partitions, rule=rule, split=False)
        again = fuse(scores, partitions * copies, rule=rule, split=False)
        torch.testing.assert_close(again, once, rtol=1e-12, atol=0)


@settings(max_examples=40, deadline=None)
@given(cases(lowest=0), st.randoms(use_true_random=False))
def test_the_order_of_partitions_matters_to_the_default_alone(case, random):
    scores, partitions = case
    other = random.sample(partitions, len(partitions))
    for rule in ("geometric", "mean"):
        found = fuse(scores, other, rule=rule, split=False)
        torch.testing.assert_close(
            found, fuse(scores, partitions, rule=rule, split=False), rtol=1e-12, atol=0
        )
    if len(scores) > 1:
        finest = fuse(scores, partitions[-1], split=False)
        torch.testing.assert_close(fuse(scores, partitions, split=False), finest, rtol=1e-12, atol=0)


def test_what_stands_out_of_its_coarse_region_is_heard_less_than_what_fills_it():
    coarse, fine = torch.zeros(12, 24, dtype=torch.int64), torch.zeros(12, 24, dtype=torch.int64)
    coarse[:, 12:], fine[:, 12:] = 1, 1
    fine[4:8, 4:8] = 2
    scores = torch.full((12, 24), 0.1)
    scores[4:8, 4:8] = scores[:, 12:] = 0.7
    fused = fuse(scores, [coarse, fine])
    assert scores[5, 5] > fused[5, 5] + 0.2
    assert fused[5, 5] > fuse(scores, coarse)[5, 5] + 0.05  # but more than by the coarse regions alone
    assert fused[5, 5] < fuse(scores, [fine, coarse])[5, 5]
    torch.testing.assert_close(fused[:, 12:], scores[:, 12:])


@settings(max_examples=40, deadline=None)
@given(cases(most=1))
def test_where_one_class_only_has_scores_its_region_is_believed_as_by_eq_3(case):
    scores, partitions = case
    scores = torch.cat([scores[:1], torch.zeros_like(scores[:1])])
    expected = fuse(scores, partitions, rule="geometric", split=False)
    torch.testing.assert_close(fuse(scores, partitions, split=False), expected, rtol=1e-12, atol=0)


def test_the_more_classes_a_region_holds_the_more_a_pixel_stands_for_itself():
    labels = torch.zeros(4, 8, dtype=torch.int64)
    kept = []
    for classes in (2, 4, 8):
        holds = torch.arange(32).view(4, 8) % classes
        scores = (torch.nn.functional.one_hot(holds).movedim(-1, 0) * 0.8 + 0.2 / classes).double()
        fused, mean = fuse(scores, labels)[0], fuse(scores, labels, rule="mean")[0]
        pure = scores[0] > 0.5
        kept.append(float(((fused - mean) / (scores[0] - mean))[pure].mean()))
    assert 0.5 < kept[0] < kept[1] < kept[2] < 1


def test_holes_of_an_even_region_are_filled_and_one_bright_spot_does_not_fill_its_region():
    labels = torch.zeros(20, 20, dtype=torch.int64)
    holes = torch.full((20, 20), 0.8)
    holes[::5, ::5] = 0.01
    assert fuse(holes, labels).min() > 0.7
    spot = torch.full((20, 20), 0.01)
    spot[3:6, 3:6] = 0.9
    fused = fuse(spot, labels)
    assert fuse(spot, labels, rule="mean")[10, 10] > 0.029
    assert fused[10, 10] < 0.021
    assert fused[4, 4] > 7 * fused[10, 10]


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("count", [6, 2**20])
def test_of_classes_no_partition_before_the_last_without_gaps_is_read(split, count, monkeypatch):
    labels = torch.arange(96).view(1, 8, 12) // 16
    gap = labels.clone()
    gap[0, 3, 5] = -1
    full, holed = (ops.partition(each, count, split=split, check=True) for each in (labels, gap))
    assert (full.gapless, holed.gapless) == (True, False)
    heard = []
    combined = cpu.combined
    monkeypatch.setattr(
        cpu, "combined", lambda d, given, *a, **k: (heard.append(list(given)), combined(d, given, *a, **k))[1]
    )
    scores = torch.rand(1, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    for maps, first in (
        ([full, full, full], 2),
        ([full, holed, full, holed], 2),
        ([holed, full, holed, holed], 1),
        ([holed, holed], 0),
        ([holed], 0),
    ):
        fused = ops.fuse(scores, maps, "adaptive")
        assert heard.pop() == maps[first:]
        expected = reference.adaptive(scores[0], [part.ids[0] for part in maps])
        torch.testing.assert_close(fused[0].double(), expected, rtol=2e-6, atol=0)
        ops.fuse(scores[:, :1], maps, "adaptive")
        ops.fuse(scores, maps, "mean")
        assert heard == [maps, maps]
        heard.clear()


def test_one_image_of_one_partition_is_the_same_with_and_without_a_list():
    scores, labels = (
        torch.rand(3, 6, 8, generator=torch.Generator().manual_seed(0)),
        torch.arange(48).view(6, 8) // 9,
    )
    assert torch.equal(fuse(scores, [labels]), fuse(scores, labels))
    assert torch.equal(fuse(scores, labels), fuse(scores, labels, rule="adaptive"))


# ---- numbers


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("rule", ["adaptive", "geometric", "mean"])
@pytest.mark.parametrize("classes", [1, 2, 3, 19])
def test_the_largest_scores_give_numbers(dtype, rule, classes):
    largest = torch.finfo(dtype).max if dtype != torch.float64 else 1e290
    scores = torch.full((classes, 6, 8), largest, dtype=dtype)
    labels = [torch.arange(48).view(6, 8) // 12, torch.zeros(6, 8, dtype=torch.int64)]
    for dark in (0, 3):
        scores[0, 2, 8 - dark :] = 0.0
        for values in (scores, scores.clone().requires_grad_()):
            for regions in (labels, labels[1]):
                assert fuse(values, regions, rule=rule).isfinite().all()
        if rule == "adaptive":
            assert plane_by_plane(scores, labels)[0].isfinite().all()


@pytest.mark.parametrize("path", PATHS)
def test_what_regions_and_pixel_say_does_not_overflow_together(path):
    scores = torch.rand(2, 30, 40, generator=torch.Generator().manual_seed(0))
    scores[0] = 1.0
    largest = scores * torch.finfo(torch.float32).max
    fused, _ = path(largest, [torch.arange(1200).view(30, 40)])
    torch.testing.assert_close(fused, largest, rtol=1e-6, atol=0)


@pytest.mark.parametrize("count", [2896, 2897, 21841])
def test_very_many_classes_that_agree_on_nothing(count):
    flat, labels = torch.full((count, 2, 3), 1 / count), torch.zeros(2, 3, dtype=torch.long)
    torch.testing.assert_close(fuse(flat, labels), flat)
    torch.testing.assert_close(fuse(flat.clone().requires_grad_(), labels).detach(), flat)
    flat[7] *= 1.1
    assert (fuse_labels(flat, labels) == 7).all()


def test_rounding_does_not_lift_the_floor_above_the_largest_number():
    largest = torch.finfo(torch.float32).max
    means = torch.tensor([[[0.25, largest], [0.5, 2.0**64]]])
    assert table_of(means, 1)[0, 2].tolist() == [0.25, largest]


@pytest.mark.parametrize("rule", RULES)
def test_what_is_no_number_stays_none_without_the_check(rule):
    scores = torch.full((1, 4, 6), 0.5)
    scores[0, 1, 2] = float("nan")
    labels = torch.arange(24).view(4, 6) % 2
    for values in (scores, scores.clone().requires_grad_()):
        found = fuse(values, labels, rule=rule, split=False, check=False)
        assert found[0, 1, 2].isnan()
        torch.testing.assert_close(
            found.detach()[0, 0, 1::2], fuse(scores[:, :1], labels[:1], rule=rule)[0, 0, 1::2]
        )


@pytest.mark.parametrize("classes", [1, 4])
def test_small_numbers_keep_their_fusion(classes):
    scores = torch.rand(classes, 6, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(48).view(6, 8) // 12
    for power in (-100, 100):
        found = fuse(scores * 2.0**power, labels) * 2.0**-power
        torch.testing.assert_close(found, fuse(scores, labels), rtol=1e-6, atol=0)


@settings(max_examples=60, deadline=None)
@given(cases())
def test_the_other_rules_average_the_region_means(case):
    scores, partitions = case
    scores = scores / scores.max() if scores.max() > 0 else scores
    mean = reference.average_means(scores, partitions)
    for rule, expected in (("mean", mean), ("product", mean * scores), ("geometric", (mean * scores).sqrt())):
        found = fuse(scores, partitions, rule=rule, split=False)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-15)
        recorded = fuse(scores.clone().requires_grad_(), partitions, rule=rule, split=False)
        torch.testing.assert_close(recorded.detach(), expected, rtol=1e-9, atol=1e-12)


# ---- gradients


def a_batch(classes):
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(2, classes, 5, 6, dtype=torch.float64, generator=generator) ** 3 + 0.1
    labels = [torch.arange(60).view(2, 5, 6) // 7 % 4, torch.arange(60).view(2, 5, 6) % 3 - 1]
    return scores, labels


@pytest.mark.parametrize("rule", ["adaptive", "product"])
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("count", [1, 2])
def test_gradients(rule, classes, count):
    scores, labels = a_batch(classes)
    assert torch.autograd.gradcheck(
        lambda values: fuse(values, labels[:count], rule=rule, split=False), scores.requires_grad_()
    )


@pytest.mark.parametrize("classes", [1, 3])
def test_gradients_of_torch_func(classes):
    scores, labels = a_batch(classes)

    def total(values):
        return fuse(values, labels, split=False).square().sum()

    leaf = scores.clone().requires_grad_()
    expected = torch.autograd.grad(total(leaf), leaf)[0]
    torch.testing.assert_close(grad(total)(scores), expected)
    direction = torch.ones_like(scores)
    torch.testing.assert_close(jvp(total, (scores,), (direction,))[1], expected.sum())
    twice = torch.stack([scores, scores.flip(1)])
    torch.testing.assert_close(vmap(grad(total))(twice)[0], expected)


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("level", [0.0, 0.5])
def test_zeros_have_finite_gradients(classes, level):
    scores = torch.zeros(1, classes, 4, 4)
    scores[..., 2:] = level
    scores.requires_grad_()
    zeros = torch.zeros(4, 4, dtype=torch.int64)
    for regions in (zeros, [zeros, torch.arange(16).view(4, 4) // 4]):
        scores.grad = None
        fuse(scores, regions).sum().backward()
        assert torch.isfinite(scores.grad).all()


# ---- arguments


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_result_may_overwrite_the_scores(dtype, count, classes):
    unit = torch.rand(2, classes, 30, 40, generator=torch.Generator().manual_seed(0))
    stored = (unit * 255).round().to(dtype) if dtype == torch.uint8 else unit.to(dtype)
    labels = [torch.arange(2400).view(2, 30, 40) // most % 9 - 1 for most in (7, 90)][:count]
    found = fuse(stored, labels)
    assert fuse(stored, labels, out=stored) is stored
    assert torch.equal(stored, found)


@pytest.mark.parametrize("classes", [1, 3])
def test_pixels_that_do_not_count_change_nothing(classes):
    scores = torch.rand(classes, 40, 60, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(2400).view(40, 60) // 100
    padded = torch.full((classes, 50, 64), float("nan"), dtype=torch.float64)
    padded[:, :40, :60] = scores
    around = torch.zeros(50, 64, dtype=torch.int64)
    around[:40, :60] = labels
    valid = torch.zeros(50, 64, dtype=torch.bool)
    valid[:40, :60] = True
    for values in (padded, padded.clone().requires_grad_()):
        found = fuse(values, [around, around], valid=valid)
        torch.testing.assert_close(found[:, :40, :60].detach(), fuse(scores, labels))
        assert found[:, 40:].isnan().all()
    found[:, :40, :60].sum().backward()
    assert values.grad[:, :40, :60].isfinite().all()
    assert not values.grad[:, 40:].any()


@pytest.mark.parametrize("classes", [1, 2])
def test_a_batch_is_its_images(classes):
    rng = torch.Generator().manual_seed(1)
    scores = torch.rand(3, classes, 20, 30, generator=rng)
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
    torch.testing.assert_close(fused, fuse(logits, maps, **size))
    assert torch.equal(fuse_labels(logits, given, **size), fused.argmax(1))


def test_bad_partitions():
    scores, labels = torch.rand(1, 4, 6), torch.arange(24).view(4, 6) // 5
    with pytest.raises(ShapeError, match="at least one partition"):
        fuse(scores, [])
    with pytest.raises(DTypeError, match="regions"):
        fuse(scores, [labels, "superpixels"])
    with pytest.raises(ShapeError, match="regions"):
        fuse(scores, [labels, labels[:, :-1]])
    for rule in ("trust", None, 3, ["adaptive"]):
        with pytest.raises(OptionError, match='"adaptive", "product", "geometric" or "mean"'):
            fuse(scores, labels, rule=rule)

"""Laws of assignment, component split and fusion that hold for every input."""

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.nn import functional as F

from csl_plugin import (
    RegionMap,
    RegionProposals,
    fuse,
    fuse_labels,
    hard_assignment,
    soft_assignment,
    split_components,
)
from csl_plugin.errors import CSLError

RULES = ["adaptive", "product", "geometric", "mean"]
SIZES = [(1, 1), (1, 6), (5, 1), (2, 3), (4, 4), (5, 7), (8, 5)]
GARBAGE = [float("nan"), -1.0, float("inf"), float("-inf"), 7.0]
GRID = 2**20  # scores are multiples of 2**-20: products never underflow and sums in float64 are exact

every_rule = pytest.mark.parametrize("rule", RULES)
both_splits = pytest.mark.parametrize("split", [True, False], ids=["split", "whole"])
both_connectivities = pytest.mark.parametrize("connectivity", [4, 8])

batches = st.integers(1, 3)
sizes = st.sampled_from(SIZES)
powers_of_two = st.integers(-6, 6).map(lambda exponent: 2.0**exponent)


def noise(draw_array):
    """What a random generator of any seed makes: every value is drawn, where a list would repeat one."""
    return st.integers(0, 2**32 - 1).map(
        lambda seed: torch.from_numpy(np.asarray(draw_array(np.random.default_rng(seed))))
    )


def scores_of(shape):
    """Distributions of the given shape, float32 in [0, 1], a quarter of them exact zeros or ones."""
    return noise(
        lambda rng: np.clip(rng.integers(-GRID // 4, GRID + GRID // 4, shape), 0, GRID) / np.float32(GRID)
    ).map(torch.Tensor.float)


@st.composite
def labels_of(draw, shape, lowest=-1, highest=3):
    """From one region with gaps, which connects widely, to several that hardly do."""
    highest = draw(st.integers(0, highest))
    return draw(noise(lambda rng: rng.integers(lowest, highest + 1, shape)))


def masks_of(shape):
    return noise(lambda rng: rng.random(shape) < 0.7)


@st.composite
def pictures(draw, lowest=-1):
    """A distribution (B, C, H, W) and labels (B, H, W) of the same images."""
    batch, classes, size = draw(batches), draw(st.integers(1, 3)), draw(sizes)
    return draw(scores_of((batch, classes, *size))), draw(labels_of((batch, *size), lowest))


@st.composite
def proposals_and_size(draw, most=5):
    """R and V as a network gives them, and an image size at or above R's resolution."""
    batch, regions, (h, w) = draw(batches), draw(st.integers(1, most)), draw(sizes)
    # In thousandths: some scores and validities are equal, as those of a quantized network are.
    scores = draw(noise(lambda rng: rng.integers(0, 1001, (batch, regions, h, w)) / 1000)).float()
    validity = draw(noise(lambda rng: rng.integers(0, 1001, (batch, regions)) / 1000)).float()
    size = (h * draw(st.integers(1, 3)) + draw(st.integers(0, 2)), w * draw(st.integers(1, 3)))
    return scores, validity, size


def probabilities(scores, validity, size):
    """R * V at the image's size, dense and in float64."""
    raised = F.interpolate(scores.double(), size, mode="bilinear", align_corners=False)
    return raised * validity.double()[:, :, None, None]


def decided(scores, validity, size, gap=1e-6):
    """Where the best region leads the second by more than the gap."""
    if scores.shape[1] == 1:
        return torch.ones(scores.shape[0], *size, dtype=torch.bool)
    best = probabilities(scores, validity, size).topk(2, dim=1).values
    return best[:, 0] - best[:, 1] > gap


def of_itself(scores, rule):
    """The rule where a pixel is its whole region."""
    return scores * scores if rule == "product" else scores


def assert_close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-30, equal_nan=False)


def assert_same(actual, expected):
    assert actual.dtype == expected.dtype
    assert torch.equal(actual, expected)


# ---- assignment


@given(proposals_and_size())
def test_every_pixel_gets_one_region_and_the_best(case):
    scores, validity, size = case
    labels = soft_assignment(RegionProposals(scores, validity), size).labels.long()
    assert labels.shape == (scores.shape[0], *size)
    assert labels.min() >= 0
    assert labels.max() < scores.shape[1]
    chances = probabilities(scores, validity, size)
    won = chances.gather(1, labels[:, None])[:, 0]
    torch.testing.assert_close(won, chances.amax(dim=1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("assign", [soft_assignment, hard_assignment])
@given(case=proposals_and_size(), data=st.data())
def test_permuting_regions_permutes_labels_only(assign, case, data):
    scores, validity, size = case
    # Among equal validities the index decides, so they are made distinct: (n + up to 1/2) / 5.
    validity = (validity / 2 + torch.arange(validity.shape[1])) / 5
    order = torch.tensor(data.draw(st.permutations(range(scores.shape[1]))))
    before = assign(RegionProposals(scores, validity), size).labels.long()
    after = assign(RegionProposals(scores[:, order], validity[:, order]), size).labels.long()
    back = torch.cat([order, torch.tensor([-1])])[after]  # index -1 reads the last entry: unassigned
    if assign is soft_assignment:
        clear = decided(scores, validity, size)
        before, back = before[clear], back[clear]
    assert torch.equal(before, back)


@given(proposals_and_size())
def test_equal_regions_all_go_to_the_lowest_index(case):
    scores, validity, size = case
    twins = RegionProposals(scores[:, :1].expand(-1, 4, -1, -1), validity[:, :1].expand(-1, 4))
    assert not soft_assignment(twins, size).labels.any()


@pytest.mark.parametrize("assign", [soft_assignment, hard_assignment])
@given(case=proposals_and_size(), data=st.data())
def test_assignment_of_a_batch_is_that_of_its_images_in_any_order(assign, case, data):
    scores, validity, size = case
    order = data.draw(st.permutations(range(scores.shape[0])))
    batch = assign(RegionProposals(scores[order], validity[order]), size).labels
    for place, image in enumerate(order):
        one = slice(image, image + 1)
        assert_same(
            batch[place : place + 1], assign(RegionProposals(scores[one], validity[one]), size).labels
        )


@pytest.mark.parametrize("assign", [soft_assignment, hard_assignment])
@pytest.mark.parametrize("turn", [lambda t: t.flip(-1), lambda t: t.flip(-2), lambda t: t.mT])
@given(case=proposals_and_size())
def test_assignment_commutes_with_flips_and_transposes_at_equal_resolution(assign, turn, case):
    scores, validity, _ = case
    there = assign(RegionProposals(turn(scores), validity), tuple(turn(scores).shape[-2:])).labels
    back = assign(RegionProposals(scores, validity), tuple(scores.shape[-2:])).labels
    assert_same(there, turn(back))


# ---- component split


@both_connectivities
@given(batches.flatmap(lambda b: sizes.flatmap(lambda size: labels_of((b, *size), highest=2))))
def test_components_are_those_of_scipy_in_raster_order(connectivity, labels):
    found = split_components(RegionMap(labels), connectivity).labels
    structure = scipy.ndimage.generate_binary_structure(2, 2 if connectivity == 8 else 1)
    for one, parts in zip(labels.numpy(), found.numpy(), strict=True):
        assert np.array_equal(one == -1, parts == -1)
        pieces = set()
        for region in set(one.flatten().tolist()) - {-1}:
            numbered, count = scipy.ndimage.label(one == region, structure)
            pieces |= {frozenset(np.flatnonzero(numbered == k + 1).tolist()) for k in range(count)}
        ours = [np.flatnonzero(parts == k).tolist() for k in range(parts.max() + 1)]
        assert {frozenset(piece) for piece in ours} == pieces
        assert len(ours) == len(pieces)
        first_pixels = [piece[0] for piece in ours]
        assert first_pixels == sorted(first_pixels)


@both_connectivities
@given(pictures())
def test_splitting_twice_is_splitting_once(connectivity, case):
    once = split_components(RegionMap(case[1]), connectivity)
    assert_same(split_components(once, connectivity).labels, once.labels)


@both_connectivities
@given(pictures(), st.data())
def test_splitting_a_batch_is_splitting_its_images_in_any_order(connectivity, case, data):
    labels = case[1]
    order = data.draw(st.permutations(range(len(labels))))
    batch = split_components(RegionMap(labels[order]), connectivity).labels
    for place, image in enumerate(order):
        single = split_components(RegionMap(labels[image : image + 1]), connectivity).labels
        assert_same(batch[place : place + 1], single)


# ---- fusion


@every_rule
@both_splits
@given(case=pictures(), data=st.data())
def test_fusing_a_batch_is_fusing_its_images_in_any_order(rule, split, case, data):
    scores, labels = case
    order = data.draw(st.permutations(range(len(scores))))
    batch = fuse(scores[order], labels[order], rule=rule, split=split)
    for place, image in enumerate(order):
        assert_same(batch[place], fuse(scores[image], labels[image], rule=rule, split=split))


@every_rule
@given(case=proposals_and_size(), data=st.data())
def test_permuting_regions_leaves_the_fused_map(rule, case, data):
    scores, validity, size = case
    assume(bool(decided(scores, validity, size).all()))
    order = data.draw(st.permutations(range(scores.shape[1])))
    distribution = data.draw(scores_of((scores.shape[0], 2, *size)))
    before = fuse(distribution, RegionProposals(scores, validity), rule=rule)
    after = fuse(distribution, RegionProposals(scores[:, order], validity[:, order]), rule=rule)
    assert_close(after, before)


@pytest.mark.parametrize("rule", ["product", "mean"])  # the root of an odd power of two is not one
@both_splits
@given(case=pictures(), k=powers_of_two)
def test_scaling_by_a_power_of_two_scales_the_result_bitwise(rule, split, case, k):
    scores, labels = case
    factor = k * k if rule == "product" else k
    scaled = fuse(scores * k, labels, rule=rule, split=split)
    assert_same(scaled, fuse(scores, labels, rule=rule, split=split) * factor)


@every_rule
@both_splits
@given(case=pictures(), k=st.floats(1e-3, 1e3))
def test_scaling_scales_the_result(rule, split, case, k):
    scores, labels = case[0].double(), case[1]
    factor = k * k if rule == "product" else k
    expected = fuse(scores, labels, rule=rule, split=split) * factor
    assert_close(fuse(scores * k, labels, rule=rule, split=split), expected)


@every_rule
@both_splits
@given(case=pictures(), data=st.data())
def test_a_distribution_constant_on_regions_is_its_own_mean(rule, split, case, data):
    scores, labels = case
    values = data.draw(scores_of((5, scores.shape[1])))
    constant = values[labels].permute(0, 3, 1, 2)  # unassigned pixels read the last row
    assert_close(fuse(constant, labels, rule=rule, split=split), of_itself(constant, rule))


@pytest.mark.parametrize("rule", ["adaptive", "product", "geometric"])
@both_splits
@given(case=pictures(lowest=0))
def test_within_a_region_the_order_of_scores_is_kept(rule, split, case):
    scores, labels = case
    fused = fuse(scores, labels, rule=rule, split=split)
    regions = split_components(RegionMap(labels)).labels if split else labels
    for image, region in {(b, int(r)) for b, one in enumerate(regions) for r in one.flatten()}:
        inside = regions[image] == region
        for before, after in zip(scores[image, :, inside], fused[image, :, inside], strict=True):
            order = before.argsort(stable=True)
            assert (after[order].diff() >= 0).all()
            same = before[order].diff() == 0
            assert (after[order].diff()[same] == 0).all()


@both_splits
@given(case=pictures())
def test_the_region_means_sum_to_the_sum_of_scores(split, case):
    scores, labels = case
    means = fuse(scores, labels, rule="mean", split=split)
    assert_close(means.double().sum(dim=(-2, -1)), scores.double().sum(dim=(-2, -1)))


@both_splits
@given(case=pictures(lowest=0))
def test_the_mean_is_one_value_per_region(split, case):
    scores, labels = case
    means = fuse(scores, labels, rule="mean", split=split)
    regions = split_components(RegionMap(labels)).labels if split else labels
    for mean, score, region in zip(means, scores, regions, strict=True):
        for r in region.unique():
            assert (mean[:, region == r] == mean[:, region == r][:, :1]).all()
            assert mean[:, region == r].min() >= 0
            assert (mean[:, region == r].amax(1) <= score[:, region == r].amax(1) * (1 + 1e-6)).all()


@every_rule
@both_splits
@pytest.mark.parametrize("turn", [lambda t: t.flip(-1), lambda t: t.flip(-2), lambda t: t.mT])
@given(case=pictures())
def test_fusion_commutes_with_flips_and_transposes(rule, split, turn, case):
    scores, labels = case
    there = fuse(turn(scores), turn(labels), rule=rule, split=split)
    assert_close(there, turn(fuse(scores, labels, rule=rule, split=split)))


@every_rule
@both_splits
@pytest.mark.parametrize("regions", ["single pixels", "unassigned", "none proposed", "nothing valid"])
@given(case=pictures())
def test_a_pixel_alone_is_its_own_mean(rule, split, regions, case):
    scores, labels = case
    batch, _, height, width = scores.shape
    pixels = torch.arange(height * width).view(1, height, width).expand(batch, -1, -1)
    options = {
        "single pixels": (pixels, None),
        "unassigned": (torch.full_like(labels, -1), None),
        "none proposed": (RegionProposals(torch.zeros(batch, 0, 3, 4), torch.zeros(batch, 0)), None),
        "nothing valid": (labels, torch.zeros(batch, height, width, dtype=torch.bool)),
    }
    given_regions, valid = options[regions]
    fused = fuse(scores, given_regions, rule=rule, split=split, valid=valid)
    assert_close(fused, of_itself(scores, rule))


@every_rule
@both_splits
@pytest.mark.parametrize(("dtype", "above"), [(torch.int32, 2**31), (torch.int64, 2**63)])
@given(case=pictures(), data=st.data())
def test_renaming_ids_changes_nothing(rule, split, dtype, above, case, data):
    scores, labels = case
    names = st.integers(0, above - 1) | st.integers(above - 9, above - 1)
    ids = data.draw(st.lists(names, min_size=4, max_size=4, unique=True))
    renamed = torch.tensor([*ids, -1], dtype=dtype)[labels]  # index -1 reads the last entry
    expected = fuse(scores, labels, rule=rule, split=split)
    assert_close(fuse(scores, renamed, rule=rule, split=split), expected)
    assert_close(fuse(scores, RegionMap(renamed), rule=rule, split=split), expected)


@both_connectivities
@given(case=pictures(), data=st.data())
def test_renaming_ids_does_not_move_components(connectivity, case, data):
    labels = case[1]
    ids = data.draw(st.lists(st.integers(0, 2**62), min_size=4, max_size=4, unique=True))
    renamed = torch.tensor([*ids, -1])[labels]
    expected = split_components(RegionMap(labels), connectivity).labels
    assert_same(split_components(RegionMap(renamed), connectivity).labels, expected)


@both_splits
@given(case=pictures())
def test_geometric_is_the_root_of_the_product(split, case):
    scores, labels = case
    product = fuse(scores, labels, rule="product", split=split)
    assert_close(fuse(scores, labels, rule="geometric", split=split), product.sqrt())


@both_splits
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(case=pictures())
def test_fused_labels_are_the_arg_max_of_the_fused_map(split, dtype, case):
    scores, labels = case[0].to(dtype), case[1]
    for rule in ("adaptive", "product", "mean"):
        fused = fuse(scores, labels, rule=rule, split=split).numpy()
        found = fuse_labels(scores, labels, rule=rule, split=split)
        assert_same(found, torch.from_numpy(fused.argmax(axis=1)))
    geometric = fuse_labels(scores, labels, rule="geometric", split=split)
    assert_same(geometric, fuse_labels(scores, labels, rule="product", split=split))


@every_rule
@both_splits
@given(case=pictures(), data=st.data())
def test_garbage_in_padding_leaves_the_image_alone(rule, split, case, data):
    scores, labels = case
    left, right, top, bottom = data.draw(st.tuples(*[st.integers(0, 3)] * 4))
    frame = (left, right, top, bottom)
    valid = F.pad(torch.ones_like(labels, dtype=torch.bool), frame)
    noise = torch.tensor(data.draw(st.lists(st.sampled_from(GARBAGE), min_size=1, max_size=5)))
    padded = F.pad(scores, frame)
    outside = ~valid[:, None].expand_as(padded)
    padded[outside] = noise.repeat(int(outside.sum()))[: int(outside.sum())]
    ids = F.pad(labels, frame, value=data.draw(st.integers(-1, 3)))
    fused = fuse(padded, ids, rule=rule, split=split, valid=valid)
    height, width = labels.shape[-2:]
    inside = fused[..., top : top + height, left : left + width]
    assert_close(inside, fuse(scores, labels, rule=rule, split=split))


@every_rule
@both_splits
@given(case=pictures(), data=st.data())
def test_a_pixel_that_does_not_count_is_unassigned(rule, split, case, data):
    scores, labels = case
    valid = data.draw(masks_of(labels.shape))
    expected = fuse(scores, labels.where(valid, torch.tensor(-1)), rule=rule, split=split)
    assert_same(fuse(scores, labels, rule=rule, split=split, valid=valid), expected)


@both_splits
@given(case=pictures(), data=st.data())
def test_garbage_that_does_not_count_leaves_the_labels_of_the_rest(split, case, data):
    scores, labels = case
    valid = data.draw(masks_of(labels.shape))
    garbage = data.draw(st.sampled_from(GARBAGE))
    dirty = scores.where(valid[:, None], torch.tensor(garbage))
    clean = fuse_labels(scores, labels, split=split, valid=valid)
    assert_same(fuse_labels(dirty, labels, split=split, valid=valid)[valid], clean[valid])


def test_an_id_beyond_num_regions_is_refused():
    scores, labels = torch.rand(1, 1, 2, 3), torch.tensor([[[0, 0, 1], [1, 2, 2]]])
    for count in (0, 2):
        with pytest.raises(
            CSLError, match=f"regions: got the id 2, expected ids below num_regions = {count}"
        ):
            fuse(scores, RegionMap(labels, num_regions=count), split=False)
    expected = fuse(scores, RegionMap(labels), split=False)
    assert torch.equal(fuse(scores, RegionMap(labels, num_regions=3), split=False), expected)
    fuse(scores, RegionMap(torch.full_like(labels, -1), num_regions=0), split=False)

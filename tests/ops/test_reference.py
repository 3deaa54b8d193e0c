"""Everything public equals the equations and the default rule as `csl_plugin.ops.reference` writes them."""

import math

import numpy as np
import pytest
import torch
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
from csl_plugin.ops import reference

PLAIN = ["product", "geometric", "mean"]
RULES = ["adaptive", *PLAIN]
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8]
SHAPES = [(1, 1, 1, 1), (2, 3, 1, 9), (1, 2, 7, 1), (3, 1, 5, 7), (1, 5, 6, 8), (2, 4, 9, 5)]
TIE = 1e-6

every_rule = pytest.mark.parametrize("rule", RULES)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: str(dtype).removeprefix("torch."))
both_splits = pytest.mark.parametrize("split", [True, False], ids=["split", "whole"])
both_orders = pytest.mark.parametrize("interpolate", ["scores", "logits"])


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def a_distribution(shape, dtype=torch.float32, seed=0):
    unit = torch.rand(shape, generator=seeded(seed), dtype=torch.float64)
    unit[..., ::3, ::4] = 0.0
    return (unit * 255).round().to(dtype) if dtype == torch.uint8 else unit.to(dtype)


def a_partition(shape, regions=3, seed=0):
    """Labels (B, H, W) from -1 on, in patches rather than single pixels."""
    coarse = torch.randint(-1, regions, (shape[0], 1, 5, 4), generator=seeded(seed)).double()
    return F.interpolate(coarse, shape[-2:], mode="nearest")[:, 0].long()


def expected_fusion(distribution, labels, rule, split, connectivity=8):
    """The rule in float64 for a batch, on the scale [0, 1] for uint8."""
    unit = distribution.double() / (255 if distribution.dtype == torch.uint8 else 1)
    fused = []
    for d, one in zip(unit, labels, strict=True):
        parts = reference.components(one, connectivity) if split else one
        fused.append(reference.adaptive(d, [parts]) if rule == "adaptive" else reference.fuse(d, parts, rule))
    return torch.stack(fused)


def assert_rounds_to(actual, expected):
    """Within half a unit in the last place of the stored dtype, and 1e-6 for arithmetic in float32."""
    if actual.dtype == torch.uint8:
        assert (actual.double() - expected * 255).abs().max() <= 0.5 + 255e-6
        return
    info = torch.finfo(actual.dtype)
    arithmetic = 1e-14 if actual.dtype == torch.float64 else 1e-6
    half_ulp = (expected.abs() * info.eps / 2).clamp(min=info.smallest_normal * info.eps / 2)
    slack = half_ulp + arithmetic * expected.abs()
    assert ((actual.double() - expected).abs() <= slack).all()


def own_copy(value):
    return value.copy() if isinstance(value, np.ndarray) else value.clone()


def bits(value):
    """The values as bytes in logical order, to tell memory that was touched from memory that was not."""
    return (
        value.tobytes()
        if isinstance(value, np.ndarray)
        else value.resolve_neg().contiguous().numpy().tobytes()
    )


# ---- the oracle itself


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (6, 10), (7, 13), (2, 3), (24, 40)])
@pytest.mark.parametrize("shape", [(3, 5), (1, 4), (6, 1), (1, 1)])
def test_the_oracle_interpolates_as_torch_does(shape, size):
    plane = torch.rand(shape, generator=seeded(1), dtype=torch.float64)
    expected = F.interpolate(plane[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    torch.testing.assert_close(reference.upsample(plane, size), expected, rtol=0, atol=1e-14)


def test_the_oracle_assigns_by_hand():
    scores = torch.tensor([[[0.9, 0.5, 0.0]], [[0.5, 0.5, 0.0]], [[0.1, 0.8, 0.0]]])
    # R * V:               0.45 0.25 0         0.5  0.5  0         0.05 0.4  0
    assert reference.assign(scores, torch.tensor([0.5, 1.0, 0.5])).tolist() == [[1, 1, 0]]
    assert reference.assign(scores, torch.tensor([0.5, 0.25, 0.5])).tolist() == [[0, 2, 0]]
    assert reference.assign(scores, torch.zeros(3)).tolist() == [[0, 0, 0]]


def test_the_oracle_paints_by_hand():
    scores = torch.tensor([[[0.9, 0.9, 0.2, 0.9]], [[0.6, 0.1, 0.5, 0.6]], [[0.1, 0.1, 0.1, 0.7]]])
    validity = torch.tensor([0.3, 0.8, 0.8])
    assert reference.hard_assign(scores, validity, 0.5).tolist() == [[1, 0, -1, 1]]
    assert reference.hard_assign(scores, validity, 0.65).tolist() == [[0, 0, -1, 2]]


def test_the_oracle_splits_by_hand():
    labels = torch.tensor([[3, 0, 3, 3], [0, 3, -1, 3], [0, 0, -1, -1]])
    assert reference.components(labels, 8).tolist() == [[0, 1, 0, 0], [1, 0, -1, 0], [1, 1, -1, -1]]
    assert reference.components(labels, 4).tolist() == [[0, 1, 2, 2], [3, 4, -1, 2], [3, 3, -1, -1]]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("product", [[0.5, 0.0, 0.125, 0.375, 0.16]]),
        ("mean", [[0.5, 0.5, 0.5, 0.5, 0.4]]),
        ("geometric", [[0.5**0.5, 0.0, 0.125**0.5, 0.375**0.5, 0.4]]),
    ],
)
def test_the_oracle_fuses_by_hand(rule, expected):
    scores = torch.tensor([[[1.0, 0.0, 0.25, 0.75, 0.4]]], dtype=torch.float64)
    labels = torch.tensor([[7, 7, 2, 2, -1]])
    fused = reference.fuse(scores, labels, rule)
    torch.testing.assert_close(fused, torch.tensor([expected], dtype=torch.float64), rtol=1e-15, atol=0)


# ---- assignment

NETWORKS = [  # N, resolution of R, size of the image
    (1, (3, 4), (6, 8)),
    (2, (1, 1), (1, 1)),
    (3, (1, 5), (1, 11)),
    (7, (4, 3), (13, 1)),
    (4, (5, 7), (17, 25)),
    (5, (6, 5), (6, 5)),
    (3, (8, 9), (5, 4)),
    (6, (2, 3), (7, 12)),
]
every_network = pytest.mark.parametrize(("regions", "resolution", "size"), NETWORKS)


def network_outputs(regions, resolution, dtype=torch.float32):
    """Mask logits (2, N, h, w) and validity logits (2, N)."""
    source = seeded(regions)
    masks = torch.randn(2, regions, *resolution, generator=source) * 3
    return masks.to(dtype), torch.randn(2, regions, generator=source).to(dtype)


def proposals_of(masks, validity, given):
    if given == "logits":
        return RegionProposals.from_logits(masks, validity)
    return RegionProposals(masks.sigmoid(), validity.sigmoid())


def dense_scores(proposals, size, interpolate):
    """R at the image's size, image by image, in float64."""
    if interpolate == "logits":
        return [reference.region_scores(logits, size, "after") for logits in proposals.mask_logits]
    if proposals.holds_logits:
        return [reference.region_scores(logits, size, "before") for logits in proposals.mask_logits]
    return [reference.region_scores(scores, size, "none") for scores in proposals.scores]


@every_network
@both_orders
@pytest.mark.parametrize("given", ["scores", "logits"])
def test_soft_assignment_is_eq_2(regions, resolution, size, interpolate, given):
    proposals = proposals_of(*network_outputs(regions, resolution), given)
    found = soft_assignment(proposals, size, interpolate=interpolate).labels
    assert found.dtype == torch.int32
    for labels, scores, validity in zip(
        found, dense_scores(proposals, size, interpolate), proposals.validity, strict=True
    ):
        chances = scores * validity.double()[:, None, None]
        best = chances.amax(dim=0)
        near = (chances > best - TIE).sum(dim=0) > 1
        assert torch.equal(labels[~near], reference.assign(scores, validity)[~near])
        assert (chances.gather(0, labels[None].long())[0] >= best - TIE).all()


@every_network
@both_orders
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.9])
def test_hard_assignment_is_painting_in_ascending_validity(regions, resolution, size, interpolate, threshold):
    masks, validity = network_outputs(regions, resolution)
    proposals = proposals_of(masks, validity.round(), "logits")  # rounded: some validities are equal
    found = hard_assignment(proposals, size, threshold, interpolate=interpolate).labels
    assert found.dtype == torch.int32
    for labels, scores, v in zip(
        found, dense_scores(proposals, size, interpolate), proposals.validity, strict=True
    ):
        clear = ((scores - threshold).abs() > TIE).all(dim=0)
        assert torch.equal(labels[clear], reference.hard_assign(scores, v, threshold)[clear])


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_exact_ties_go_to_the_lowest_index(factor):
    source = seeded(5)
    scores = torch.randint(0, 3, (2, 6, 5, 6), generator=source) / 2  # sums of eighths: no rounding
    validity = torch.randint(1, 3, (2, 6), generator=source) / 2
    size = (5 * factor, 6 * factor)
    proposals = RegionProposals(scores, validity)
    soft, hard = soft_assignment(proposals, size).labels, hard_assignment(proposals, size).labels
    for image in range(2):
        dense = reference.region_scores(scores[image], size, "none")
        assert torch.equal(soft[image], reference.assign(dense, validity[image]))
        assert torch.equal(hard[image], reference.hard_assign(dense, validity[image], 0.5))


@both_orders
@pytest.mark.parametrize("dtype", DTYPES[:-1])
@pytest.mark.parametrize("assign", [soft_assignment, hard_assignment])
def test_proposals_of_any_float_type_and_layout_assign_alike(assign, dtype, interpolate):
    scores, validity = (t.sigmoid() for t in network_outputs(4, (5, 6), dtype))
    expected = assign(RegionProposals(scores, validity), (11, 13), interpolate=interpolate).labels
    wide = torch.zeros(2, 4, 5, 12, dtype=dtype)
    wide[..., ::2] = scores
    layouts = [
        (scores.contiguous(memory_format=torch.channels_last), validity),
        (wide[..., ::2], validity),
        (scores.mT.contiguous().mT, validity.mT.contiguous().mT),
    ]
    if dtype in (torch.float32, torch.float64):
        layouts.append((torch.complex(scores, -scores).conj().imag, validity))  # negated lazily
    if dtype != torch.bfloat16:
        layouts += [(scores.numpy(), validity.numpy()), (scores.numpy()[::-1][::-1], validity.numpy())]
    for r, v in layouts:
        assert torch.equal(assign(RegionProposals(r, v), (11, 13), interpolate=interpolate).labels, expected)


@pytest.mark.parametrize("dtype", DTYPES[:-1])
def test_half_precision_proposals_still_follow_eq_2(dtype):
    proposals = proposals_of(*network_outputs(5, (4, 5), dtype), "scores")
    found = soft_assignment(proposals, (9, 11)).labels
    for labels, scores, validity in zip(found, proposals.scores, proposals.validity, strict=True):
        chances = reference.region_scores(scores, (9, 11), "none") * validity.double()[:, None, None]
        assert (chances.gather(0, labels[None].long())[0] >= chances.amax(dim=0) - TIE).all()


def raised(values, size):
    """What `reference.upsample` gives, for many planes at once."""
    return F.interpolate(values.double(), size, mode="bilinear", align_corners=False)


def blobs(regions, resolution, steepness):
    """Smooth mask logits, as a network's: one hill per region; and validity logits."""
    source = seeded(regions)
    coarse = torch.randn(1, regions, 5, 6, generator=source) * steepness
    masks = F.interpolate(coarse, resolution, mode="bicubic", align_corners=False)
    return masks, torch.randn(1, regions, generator=source)


@both_orders
@pytest.mark.parametrize("steepness", [0.5, 8.0])
@pytest.mark.parametrize(
    ("resolution", "size"),
    [((17, 23), (61, 92)), ((70, 75), (70, 75)), ((70, 75), (141, 149)), ((40, 100), (31, 155))],
)
def test_many_regions_on_a_larger_image(resolution, size, steepness, interpolate):
    proposals = RegionProposals.from_logits(*blobs(24, resolution, steepness))
    after = interpolate == "logits"
    dense = raised(proposals.mask_logits, size).sigmoid() if after else raised(proposals.scores, size)
    validity = proposals.validity.double()[:, :, None, None]
    best = (dense * validity).topk(2, dim=1).values
    clear = best[:, 0] - best[:, 1] > TIE
    assert clear.double().mean() > 0.99
    found = soft_assignment(proposals, size, interpolate=interpolate).labels
    assert torch.equal(found[clear], (dense * validity).argmax(1).int()[clear])
    covers = (dense > 0.5) * (1 + validity)
    painted = covers.argmax(1).where(covers.amax(1) > 0, torch.tensor(-1)).int()
    clear = ((dense - 0.5).abs() > TIE).all(dim=1)
    found = hard_assignment(proposals, size, interpolate=interpolate).labels
    assert torch.equal(found[clear], painted[clear])


@pytest.mark.parametrize("levels", [2, 4])
@pytest.mark.parametrize("factor", [1, 2, 4])
def test_exact_ties_on_a_larger_image_go_to_the_lowest_index(factor, levels):
    scores = torch.randint(0, levels, (1, 5, 66, 70), generator=seeded(levels)) / 4
    scores = scores.repeat(1, 2, 1, 1).roll(1, dims=1)  # every region has a twin of another index
    size = (66 * factor, 70 * factor)
    found = soft_assignment(RegionProposals(scores, torch.ones(1, 10)), size).labels
    lowest = raised(scores, size).numpy().argmax(axis=1)  # numpy's takes the first
    assert torch.equal(found, torch.from_numpy(lowest).int())


@pytest.mark.parametrize(
    ("scores", "size", "center"),
    [
        ([[[0, 1]], [[1, 0]]], (1, 3), 0),  # an exact tie half-way goes to the lowest index
        ([[[1, 0], [0, 0]], [[0, 1], [0, 0]], [[0, 0], [1, 0]], [[0, 0], [0, 1]]], (5, 5), 0),
        (
            [[[1, 0], [0, 0]], [[0, 1], [0, 0]], [[0.45] * 2] * 2, [[0, 0], [1, 0]], [[0, 0], [0, 1]]],
            (5, 5),
            2,
        ),
    ],
    ids=["two tie", "four tie", "one that wins no sample"],
)
def test_between_samples_regions_meet(scores, size, center):
    scores = torch.tensor(scores, dtype=torch.float32)
    trust = torch.ones(len(scores))
    found = soft_assignment(RegionProposals(scores[None], trust[None]), size).labels[0]
    assert found[size[0] // 2, size[1] // 2] == center
    assert torch.equal(found, reference.assign(reference.region_scores(scores, size, "none"), trust))


@pytest.mark.parametrize("samples", [2, 8, 32, 64, 66, 128])
def test_where_four_regions_meet_a_fifth_may_win(samples):
    half = samples // 2
    scores = torch.zeros(1, 5, samples, samples)
    for quarter, (top, left) in enumerate([(0, 0), (0, half), (half, 0), (half, half)]):
        scores[0, quarter, top : top + half, left : left + half] = 1.0
    scores[0, 4] = 0.45  # beaten by one quarter at every sample, ahead of all four where they fade
    size = (4 * samples, 4 * samples)
    found = soft_assignment(RegionProposals(scores, torch.ones(1, 5)), size).labels
    assert torch.equal(found, raised(scores, size).argmax(1).int())
    assert (found == 4).sum() == 4


def test_between_samples_another_region_may_win_where_the_sigmoid_comes_last():
    # Region 0 leads at both samples, 0.5 : 0.499 and 6e-6 : 1e-6; region 1 half-way, 0.002 : 0.016.
    masks = torch.tensor([[[[0.0, -12.0]], [[6.0, -12.8]]]])
    validity = torch.tensor([[20.0, 0.0]])
    proposals = RegionProposals.from_logits(masks, validity)
    for size in ((1, 9), (3, 16)):
        dense = reference.region_scores(masks[0], size, "after")
        expected = reference.assign(dense, proposals.validity[0])
        assert expected.unique().tolist() == [0, 1]
        assert torch.equal(soft_assignment(proposals, size, interpolate="logits").labels[0], expected)


def test_saturated_logits_still_give_every_pixel_its_region():
    masks = torch.full((1, 3, 4, 4), -200.0)
    masks[0, 0, :, :2], masks[0, 1, :, 2:] = 200.0, 200.0
    proposals = RegionProposals.from_logits(masks, torch.zeros(1, 3))
    for interpolate in ("scores", "logits"):
        labels = soft_assignment(proposals, (8, 8), interpolate=interpolate).labels
        assert (labels[..., :3] == 0).all()
        assert (labels[..., 5:] == 1).all()


@pytest.mark.parametrize("assign", [soft_assignment, hard_assignment])
def test_no_proposals_leave_every_pixel_unassigned(assign):
    labels = assign(RegionProposals(torch.zeros(2, 0, 3, 3), torch.zeros(2, 0)), (5, 6)).labels
    assert labels.shape == (2, 5, 6)
    assert (labels == -1).all()


# ---- component split


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("size", [(1, 1), (1, 17), (13, 1), (12, 11)])
@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int32, torch.int64])
def test_components_are_those_of_flood_fill(size, connectivity, dtype):
    labels = torch.randint(-1, 2, (3, *size), generator=seeded(sum(size)), dtype=dtype)
    found = split_components(RegionMap(labels), connectivity)
    expected = torch.stack([reference.components(one, connectivity) for one in labels])
    assert torch.equal(found.labels, expected)
    assert found.num_regions > expected.max()


def test_eight_neighbors_are_the_default():
    checkers = torch.tensor([[[0, 1, 0], [1, 0, 1], [0, 1, 0]]])
    assert split_components(RegionMap(checkers)).labels.unique().tolist() == [0, 1]
    assert split_components(RegionMap(checkers), 4).labels.flatten().tolist() == list(range(9))


def test_a_spiral_is_one_component():
    spiral = np.zeros((1, 15, 15), dtype=np.int64)
    for ring in range(0, 7, 2):
        spiral[0, ring : 15 - ring, ring : 15 - ring] = 1
        spiral[0, ring + 1 : 14 - ring, ring + 1 : 14 - ring] = 0
        spiral[0, ring + 1, ring] = 0  # breaks the ring open ...
        spiral[0, ring + 2, ring + 1 : ring + 3] = 1  # ... and leads on to the next
    for connectivity in (4, 8):
        found = split_components(RegionMap(spiral), connectivity).labels[0]
        assert torch.equal(found, reference.components(torch.from_numpy(spiral[0]), connectivity))


# ---- fusion


@every_rule
@both_splits
@every_dtype
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_fusion_is_eq_3(shape, dtype, rule, split):
    distribution, labels = a_distribution(shape, dtype), a_partition(shape)
    fused = fuse(distribution, labels, rule=rule, split=split)
    assert (fused.shape, fused.dtype, fused.device) == (distribution.shape, dtype, distribution.device)
    assert_rounds_to(fused, expected_fusion(distribution, labels, rule, split))


@every_rule
@both_splits
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_fusion_is_eq_3_where_gradients_are_recorded(shape, dtype, rule, split):
    distribution, labels = a_distribution(shape, dtype).requires_grad_(), a_partition(shape)
    fused = fuse(distribution, labels, rule=rule, split=split)
    assert fused.requires_grad
    assert_rounds_to(fused.detach(), expected_fusion(distribution.detach(), labels, rule, split))


@every_rule
@both_splits
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8])
def test_fusion_of_arrays_is_eq_3(dtype, rule, split):
    tensor = a_distribution((2, 3, 7, 6), torch.from_numpy(np.empty(0, dtype)).dtype)
    labels = a_partition(tensor.shape)
    fused = fuse(tensor.numpy(), labels.numpy(), rule=rule, split=split)
    assert type(fused) is np.ndarray
    assert (fused.shape, fused.dtype) == (tensor.shape, dtype)
    assert_rounds_to(torch.from_numpy(fused), expected_fusion(tensor, labels, rule, split))


@every_rule
@pytest.mark.parametrize("regions", range(1, 8))
def test_fusion_of_proposals_is_eq_2_then_eq_3(regions, rule):
    proposals = proposals_of(*network_outputs(regions, (4, 5)), "scores")
    distribution = a_distribution((2, 2, 9, 10))
    labels = torch.stack(
        [
            reference.assign(reference.region_scores(r, (9, 10), "none"), v)
            for r, v in zip(proposals.scores, proposals.validity, strict=True)
        ]
    )
    fused = fuse(distribution, proposals, rule=rule)
    assert_rounds_to(fused, expected_fusion(distribution, labels, rule, split=True))


@pytest.mark.parametrize("numpy", [True, False], ids=["numpy", "torch"])
@pytest.mark.parametrize("shape", [(6, 7), (2, 6, 7), (1, 2, 6, 7)], ids=str)
@pytest.mark.parametrize("kind", ["labels", "batch of labels", "map", "proposals"])
def test_an_unbatched_distribution_goes_with_a_batch_of_one(kind, shape, numpy):
    distribution, labels = a_distribution(shape), a_partition((1, 1, 6, 7))
    chances = F.one_hot(labels + 1).movedim(-1, 1).float()
    regions = {
        "labels": labels[0],
        "batch of labels": labels,
        "map": RegionMap(labels),
        "proposals": RegionProposals(chances, torch.ones(chances.shape[:2])),
    }[kind]
    if kind == "proposals":  # which know no gaps: the gap is a region like the others
        labels = labels + 1
    expected = expected_fusion(distribution.view(1, -1, 6, 7), labels, "adaptive", split=True)
    fused = fuse(distribution.numpy() if numpy else distribution, regions)
    assert fused.shape == shape
    assert_rounds_to(torch.as_tensor(fused), expected.view(shape))


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.int64, ">i4", ">u2"]
)
def test_labels_of_any_integer_type_fuse_alike(dtype):
    distribution, labels = a_distribution((2, 2, 6, 7)), a_partition((2, 1, 6, 7)).clamp(min=0)
    expected = fuse(distribution, labels)
    assert torch.equal(fuse(distribution, labels.numpy().astype(dtype)), expected)
    assert torch.equal(fuse(distribution, RegionMap(labels.numpy().astype(dtype))), expected)


@pytest.mark.parametrize("kind", ["tensor", "array"])
def test_kinds_may_be_mixed(kind):
    distribution, labels = a_distribution((2, 6, 7)), a_partition((1, 1, 6, 7))[0]
    valid = torch.rand(6, 7, generator=seeded(9)) < 0.7
    expected = fuse(distribution, labels, valid=valid)
    if kind == "tensor":
        mixed = fuse(distribution, labels.numpy(), valid=valid.numpy())
    else:
        mixed = torch.from_numpy(fuse(distribution.numpy(), labels, valid=valid))
    assert torch.equal(mixed, expected)


def spread(tensor):
    wide = torch.zeros(*tensor.shape[:-1], 2 * tensor.shape[-1], dtype=tensor.dtype)
    wide[..., ::2] = tensor
    return wide[..., ::2]


LAYOUTS = {
    "channels last": lambda t: t.contiguous(memory_format=torch.channels_last),
    "transposed": lambda t: t.mT.contiguous().mT,
    "every other column": spread,
    "classes first": lambda t: t.transpose(0, 1).contiguous().transpose(0, 1),
    "offset": lambda t: torch.cat([t[:1], t])[1:],
    "expanded batch": lambda t: t[:1].expand_as(t),
    "expanded classes": lambda t: t[:, :1].expand_as(t),
    "negated lazily": lambda t: torch.complex(t, -t).conj().imag,
    "one value": lambda t: t[:1, :1, 1:2, 1:2].expand_as(t),
}
ARRAYS = {
    "backwards": lambda a: a[:, :, ::-1, ::-1].copy()[:, :, ::-1, ::-1],
    "other byte order": lambda a: a.astype(a.dtype.newbyteorder()),
    "fortran": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 2, axis=3)[..., ::2],
    "broadcast": lambda a: np.broadcast_to(a[:1], a.shape),
    "subclass": lambda a: a.view(type("Scores", (np.ndarray,), {})),
}


@every_rule
@both_splits
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_layout_of_a_tensor_changes_nothing(layout, rule, split):
    distribution, labels = LAYOUTS[layout](a_distribution((2, 3, 6, 7))), a_partition((2, 3, 6, 7))
    before = bits(distribution)
    fused = fuse(distribution, labels, rule=rule, split=split)
    assert torch.equal(fused, fuse(distribution.clone(), labels, rule=rule, split=split))
    assert bits(distribution) == before
    if layout == "channels last":
        assert fused.is_contiguous(memory_format=torch.channels_last)


@every_rule
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8])
@pytest.mark.parametrize("layout", ARRAYS)
def test_the_layout_of_an_array_changes_nothing(layout, dtype, rule):
    plain = a_distribution((2, 3, 6, 7), torch.from_numpy(np.empty(0, dtype)).dtype).numpy()
    distribution, labels = ARRAYS[layout](plain), a_partition(plain.shape)
    before = bits(distribution)
    fused = fuse(distribution, labels, rule=rule)
    assert isinstance(fused, np.ndarray)
    assert fused.dtype == distribution.dtype
    expected = fuse(np.array(distribution, dtype), labels, rule=rule)
    assert np.array_equal(fused.astype(dtype), expected)
    assert bits(distribution) == before


@every_rule
def test_read_only_memory_is_read(rule):
    plain = a_distribution((2, 3, 6, 7)).numpy()
    labels, valid = a_partition(plain.shape).numpy(), plain[:, 0] < 0.8
    expected = fuse(plain.copy(), labels.copy(), rule=rule, valid=valid.copy())
    for array in (plain, labels, valid):
        array.flags.writeable = False
    assert np.array_equal(fuse(plain, labels, rule=rule, valid=valid), expected)


@every_rule
@both_splits
@pytest.mark.parametrize("numpy", [True, False], ids=["numpy", "torch"])
def test_no_argument_is_modified(rule, split, numpy):
    arguments = [a_distribution((2, 3, 6, 7)), a_partition((2, 3, 6, 7)), a_partition((2, 3, 6, 7)) > 0]
    if numpy:
        arguments = [argument.numpy() for argument in arguments]
    before = [own_copy(argument) for argument in arguments]
    distribution, labels, valid = arguments
    fused = fuse(distribution, labels, valid=valid, rule=rule, split=split)
    fused[...] = 0.5
    fuse_labels(distribution, labels, valid=valid, rule=rule, split=split)
    assert all(bool((a == b).all()) for a, b in zip(arguments, before, strict=True))


@every_rule
@both_splits
@every_dtype
def test_fused_labels_are_a_best_class_of_eq_3(dtype, rule, split):
    distribution, labels = a_distribution((2, 5, 7, 6), dtype), a_partition((2, 5, 7, 6))
    found = fuse_labels(distribution, labels, rule=rule, split=split)
    assert (found.dtype, found.shape) == (torch.int64, (2, 7, 6))
    fused = expected_fusion(distribution, labels, rule, split)
    best = fused.amax(dim=1)
    assert (fused.gather(1, found[:, None])[:, 0] >= best * (1 - TIE)).all()


@pytest.mark.parametrize("numpy", [True, False], ids=["numpy", "torch"])
def test_equal_classes_give_the_lowest_label(numpy):
    distribution = torch.full((4, 3, 3), 0.5)
    found = fuse_labels(distribution.numpy() if numpy else distribution, torch.zeros(3, 3, dtype=torch.long))
    assert isinstance(found, np.ndarray if numpy else torch.Tensor)
    assert found.shape == (3, 3)
    assert not found.any()


def test_fused_labels_do_not_depend_on_whether_gradients_are_recorded():
    steps = torch.randint(0, 3, (2, 5, 7, 6), generator=seeded(8)) / 2  # many classes tie
    labels = a_partition((2, 5, 7, 6))
    recorded = fuse_labels(steps.clone().requires_grad_(), labels)
    assert torch.equal(recorded, fuse_labels(steps, labels))
    assert not recorded.requires_grad


# ---- valid


@every_rule
@both_splits
@pytest.mark.parametrize("batched", [True, False])
def test_pixels_that_do_not_count_stay_out_of_the_means(rule, split, batched):
    distribution, labels = a_distribution((1, 2, 8, 9)), a_partition((1, 2, 8, 9))
    valid = torch.rand(1, 8, 9, generator=seeded(3)) < 0.6
    masked = labels.where(valid, torch.tensor(-1))
    fused = fuse(distribution, labels, rule=rule, split=split, valid=valid if batched else valid[0])
    assert_rounds_to(fused, expected_fusion(distribution, masked, rule, split))


@pytest.mark.parametrize("garbage", [math.nan, -1.0, math.inf, -math.inf, 1e30])
@pytest.mark.parametrize("call", [fuse, fuse_labels])
@every_rule
def test_what_does_not_count_may_hold_anything(call, rule, garbage):
    distribution, labels = a_distribution((2, 2, 5, 6)), a_partition((2, 2, 5, 6))
    valid = torch.ones(2, 5, 6, dtype=torch.bool)
    valid[:, :2] = False
    expected = call(distribution, labels, rule=rule, valid=valid)
    distribution[:, :, :2] = garbage
    found = call(distribution, labels, rule=rule, valid=valid)
    assert torch.equal(found[..., 2:, :], expected[..., 2:, :])


def test_regions_do_not_connect_through_pixels_that_do_not_count():
    scores, valid = torch.tensor([[0.2, 9.0, 0.8]]), torch.tensor([[True, False, True]])
    fused = fuse(scores, torch.zeros(1, 3, dtype=torch.long), rule="mean", valid=valid)
    assert fused[0, 0] == scores[0, 0]
    assert fused[0, 2] == scores[0, 2]


# ---- out


def neighbors(shape, dtype, numpy):
    """Two blocks that follow each other in one buffer, the first of them filled."""
    buffer = torch.zeros(2, *shape, dtype=dtype)
    buffer[0] = a_distribution(shape, dtype)
    return (buffer.numpy()[0], buffer.numpy()[1]) if numpy else (buffer[0], buffer[1])


@every_rule
@both_splits
@pytest.mark.parametrize("numpy", [True, False], ids=["numpy", "torch"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.uint8])
@pytest.mark.parametrize("where", ["fresh", "itself", "neighbor"])
def test_out_receives_what_is_returned_without_it(where, dtype, numpy, rule, split):
    distribution, beside = neighbors((2, 3, 6, 7), dtype, numpy)
    labels = a_partition((2, 3, 6, 7))
    expected = fuse(distribution, labels, rule=rule, split=split)
    out = {"fresh": own_copy(beside), "itself": distribution, "neighbor": beside}[where]
    before = own_copy(distribution)
    result = fuse(distribution, labels, rule=rule, split=split, out=out)
    assert result is out
    assert (out == expected).all()
    if where != "itself":
        assert (distribution == before).all()


@pytest.mark.parametrize("shape", [(6, 7), (3, 6, 7), (2, 3, 6, 7)], ids=str)
def test_out_keeps_the_shape_and_layout_it_has(shape):
    distribution, labels = a_distribution(shape), a_partition((2, 1, 6, 7))[: 2 if len(shape) == 4 else 1]
    expected = fuse(distribution, labels)
    for out in (spread(torch.zeros(shape)), torch.zeros(shape).mT.contiguous().mT):
        assert torch.equal(fuse(distribution, labels, out=out), expected)
        assert out.shape == shape


@pytest.mark.parametrize("layout", ["backwards", "other byte order", "fortran", "strided"])
def test_out_may_be_an_array_torch_cannot_share(layout):
    plain, labels = a_distribution((2, 3, 6, 7)).numpy(), a_partition((2, 3, 6, 7))
    distribution = ARRAYS[layout](plain)
    expected = fuse(plain, labels)
    fresh = ARRAYS[layout](np.zeros_like(plain))
    assert fuse(distribution, labels, out=fresh) is fresh
    assert np.array_equal(fresh, expected)
    assert fuse(distribution, labels, out=distribution) is distribution
    assert np.array_equal(distribution, expected)


# ---- precision


@pytest.mark.parametrize("rule", PLAIN)
def test_a_region_of_more_pixels_than_float16_can_count(rule):
    distribution = a_distribution((1, 1, 260, 260), torch.float16)
    labels = torch.zeros(1, 260, 260, dtype=torch.long)
    assert labels.numel() > torch.finfo(torch.float16).max
    assert_rounds_to(
        fuse(distribution, labels, rule=rule), expected_fusion(distribution, labels, rule, False)
    )


def test_a_region_of_more_pixels_than_float32_can_count():
    distribution = torch.ones(4097, 4100, dtype=torch.uint8)
    assert distribution.numel() > 2**24
    distribution[0, 0] = 0
    mean = fuse(distribution, torch.zeros(4097, 4100, dtype=torch.uint8), rule="mean", split=False)
    assert (mean == 1).all()
    row = torch.ones(1, 2**24 + 2**12)
    assert (fuse(row, torch.zeros(row.shape, dtype=torch.uint8), rule="mean", split=False) == 1).all()


def test_small_scores_are_not_lost_beside_large_ones():
    distribution = torch.full((1, 100_001), 1e-4)
    distribution[0, 0] = 1e4
    labels = torch.zeros(1, 100_001, dtype=torch.long)
    expected = expected_fusion(distribution[None, None], labels[None], "mean", split=False)
    assert_rounds_to(fuse(distribution, labels, rule="mean")[None, None], expected)


@pytest.mark.parametrize("rule", ["adaptive", "geometric"])
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("scale", [1e-20, 1e19])
def test_roots_keep_the_scale_that_the_product_cannot(scale, classes, rule):
    distribution, labels = a_distribution((2, classes, 6, 7)) * scale, a_partition((2, classes, 6, 7))
    fused = fuse(distribution, labels, rule=rule)
    assert_rounds_to(fused, expected_fusion(distribution, labels, rule, split=True))


@pytest.mark.parametrize("rule", ["adaptive", "geometric", "mean"])
def test_scores_near_the_largest_number_do_not_overflow_their_mean(rule):
    distribution, labels = torch.full((2, 4), 3e38), torch.zeros(2, 4, dtype=torch.long)
    expected = expected_fusion(distribution[None, None], labels[None], rule, split=False)
    assert_rounds_to(fuse(distribution, labels, rule=rule)[None, None], expected)


# ---- gradients and modes


@every_rule
@both_splits
@pytest.mark.parametrize("masked", [True, False])
def test_gradients_flow_to_the_distribution(rule, split, masked):
    distribution = (a_distribution((2, 2, 3, 4), torch.float64) + 0.1).requires_grad_()
    labels = torch.tensor([[[0, 0, 1, -1], [0, 1, 1, 1], [2, 2, 0, 0]], [[0] * 4, [-1] * 4, [3, 3, 0, 3]]])
    valid = torch.arange(24).view(2, 3, 4) % 5 > 0 if masked else None
    assert torch.autograd.gradcheck(
        lambda d: fuse(d, labels, rule=rule, split=split, valid=valid), distribution
    )


@every_rule
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_gradients_come_in_the_type_of_the_distribution(rule, dtype):
    exact = (a_distribution((1, 2, 5, 6), torch.float64) + 0.1).to(dtype).double().requires_grad_()
    rounded = exact.detach().to(dtype).requires_grad_()
    labels = a_partition((1, 2, 5, 6))
    for leaf in (exact, rounded):
        fuse(leaf, labels, rule=rule).backward(torch.ones(leaf.shape, dtype=leaf.dtype))
    assert rounded.grad.dtype == dtype
    torch.testing.assert_close(rounded.grad.double(), exact.grad, rtol=4 * torch.finfo(dtype).eps, atol=1e-6)


@every_rule
@both_splits
def test_gradients_are_numbers_where_scores_are_zero(rule, split):
    distribution = torch.tensor([[[0.0, 0.0, 0.0, 0.5, 0.0]]], requires_grad=True)
    labels = torch.tensor([[0, 0, 1, 1, -1]])
    fuse(distribution, labels, rule=rule, split=split).sum().backward()
    assert not distribution.grad.isnan().any()


@every_rule
@pytest.mark.parametrize("garbage", [math.nan, -1.0, math.inf])
def test_garbage_that_does_not_count_leaves_the_gradients_of_the_rest(rule, garbage):
    clean, labels = a_distribution((1, 2, 5, 6), torch.float64) + 0.1, a_partition((1, 2, 5, 6))
    valid = torch.rand(1, 5, 6, generator=seeded(4)) < 0.6
    inside = valid[:, None].expand_as(clean)
    gradients = []
    for values in (clean, clean.where(inside, torch.tensor(garbage, dtype=torch.float64))):
        leaf = values.clone().requires_grad_()
        fuse(leaf, labels, rule=rule, valid=valid)[inside].square().sum().backward()
        gradients.append(leaf.grad[inside])
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=0)


def test_nothing_is_recorded_where_gradients_are_off():
    leaf = a_distribution((2, 3, 6, 7)).requires_grad_()
    with torch.no_grad():
        assert not fuse(leaf, a_partition(leaf.shape)).requires_grad


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_in_place_fusion_of_a_leaf_works_where_nothing_is_recorded(mode):
    leaf, labels = a_distribution((2, 3, 6, 7)).requires_grad_(), a_partition((2, 3, 6, 7))
    expected = fuse(leaf.detach(), labels)
    with mode():
        inside = leaf.clone()
        assert torch.equal(fuse(inside, labels, out=inside), expected)

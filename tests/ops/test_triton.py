"""The Triton kernels against the paths they stand in for: on the GPU where there is one, else interpreted."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

NATIVE = torch.cuda.is_available()
DEVICE = "cuda" if NATIVE else "cpu"
if not NATIVE:
    # Read when Triton's own functions and ours are decorated, so before either is imported.
    if "triton" in sys.modules and os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("Triton was imported before it could be told to interpret", allow_module_level=True)
    os.environ["TRITON_INTERPRET"] = "1"
triton = pytest.importorskip("triton", reason="Triton is not installed")
if not NATIVE and np.lib.NumpyVersion(triton.__version__) < "3.7.0" <= "3.7.0":
    numpy_is_old = np.lib.NumpyVersion(np.__version__) < "2.4.0"
    if not numpy_is_old:
        pytest.skip("before 3.7 Triton's interpreter needs numpy < 2.4", allow_module_level=True)

from csl_plugin import ops  # noqa: E402
from csl_plugin.ops import Partition, planewise, reference  # noqa: E402
from csl_plugin.ops import triton as kernels  # noqa: E402

pytestmark = pytest.mark.slow
RULES = ["product", "geometric", "mean"]
SIGMOIDS = ["none", "before", "after"]


@pytest.fixture(params=["as shipped", "tiny"])
def tiles(request, monkeypatch):
    """Tiles of a few pixels put many borders into a small image, and every loop through several turns."""
    if request.param == "tiny" and not NATIVE:
        make_tiny(monkeypatch)


def make_tiny(patch):
    small = {
        "assign": {"_WINNERS_OF_WORDS": {"regions": 4, "samples": 32, "num_warps": 1}, "_PIXELS": 64},
        "tiling": {"_PIXELS": 32, "_COLUMNS": 16, "_CLASSES": 2},
        "means": {"_MEANS": 16, "_FEW": 24},
        "components": {"_TILE": 32, "_COLUMNS": 8, "_BORDER": 32, "_PIXELS": 64},
    }
    for name, constants in small.items():
        module = importlib.import_module(f"csl_plugin.ops.triton.{name}")
        for constant, value in constants.items():
            patch.setattr(module, constant, value)


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def assigned(values, validity, size, sigmoid):
    return kernels.assign(values.to(DEVICE), validity.to(DEVICE), size, sigmoid).cpu()


def one(labels, count):
    return [Partition(count, labels)]


def means_of(distribution, labels, count):
    return kernels.means(distribution.to(DEVICE), one(labels.to(DEVICE), count), roots=False).cpu()


def planes_of(distribution, labels, count):
    return planewise.means(distribution, one(labels, count), roots=False)


def fused(distribution, labels, table, rule):
    given_scores = distribution.to(DEVICE)
    out = torch.empty_like(given_scores)
    maps = one(labels.to(DEVICE), table.shape[2])
    kernels.apply(given_scores, maps, table.to(DEVICE), rule, out)
    return out.cpu()


def chosen(distribution, labels, table, rule):
    maps = one(labels.to(DEVICE), table.shape[2])
    return kernels.labels(distribution.to(DEVICE), maps, table.to(DEVICE), rule).cpu()


def split(labels, connectivity):
    found, counts = kernels.components(labels.to(DEVICE), connectivity)
    return found.cpu(), counts.tolist()


def probabilities(values, validity, size, sigmoid):
    """r * v of every region at every pixel, (B, N, H, W) float64, of torch's interpolation in float32."""
    planes = values.float()
    planes = planes.sigmoid() if sigmoid == "before" else planes
    planes = torch.nn.functional.interpolate(planes, size, mode="bilinear", align_corners=False).double()
    planes = planes.sigmoid() if sigmoid == "after" else planes
    return planes * validity.double()[:, :, None, None]


def assert_wins(labels, values, validity, size, sigmoid):
    everything = probabilities(values, validity, size, sigmoid)
    chosen = everything.gather(1, labels.long()[:, None])[:, 0]
    best = everything.amax(1)
    assert labels.dtype == torch.int32
    assert (best - chosen <= 1e-6 * best + 1e-37).all()


# ---------------------------------------------------------------------------------------- assignment


@pytest.mark.parametrize("sigmoid", SIGMOIDS)
@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((1, 1, 1, 1), (1, 1)),
        ((2, 1, 3, 5), (6, 10)),
        ((2, 9, 4, 7), (11, 26)),
        ((1, 6, 9, 7), (9, 7)),
        ((1, 7, 12, 11), (5, 4)),
        ((1, 3, 1, 6), (3, 25)),
        ((1, 3, 6, 1), (25, 1)),
    ],
)
def test_assigns_as_the_streamed_path(tiles, shape, size, sigmoid):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(3)) * 3
    values = values.sigmoid() if sigmoid == "none" else values
    validity = random(*shape[:2], seed=4)
    labels = assigned(values, validity, size, sigmoid)
    assert labels.shape == (shape[0], *size)
    assert_wins(labels, values, validity, size, sigmoid)
    assert (labels != planewise.assign(values, validity, size, sigmoid)).float().mean() < 0.01


@st.composite
def proposals(draw):
    numbers = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.sampled_from([1, 2, 5, 11]))
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    factor = draw(st.sampled_from([0.4, 1.0, 2.0, 2.7, 4.0]))
    size = tuple(max(1, int(side * factor) + draw(st.integers(0, 1))) for side in (height, width))
    values = torch.from_numpy(numbers.normal(0, 3, (1, count, height, width)))
    values = draw(st.sampled_from([values, values.round() * 4, values * 30, values * 0, values[:, :1] * 1]))
    values = values.expand(1, count, height, width)
    values = values.to(draw(st.sampled_from([torch.float32, torch.float16, torch.bfloat16])))
    validity = torch.from_numpy(numbers.random((1, count))).float() * draw(st.sampled_from([0.0, 1.0, 1.0]))
    return values, torch.full_like(validity, 0.7) if draw(st.booleans()) else validity, size


@pytest.mark.parametrize("sigmoid", SIGMOIDS)
@settings(max_examples=15)
@given(case=proposals())
def test_no_region_beats_the_assigned_one(sigmoid, case):
    values, validity, size = case
    values = values.float().sigmoid().to(values.dtype) if sigmoid == "none" else values
    with pytest.MonkeyPatch.context() as patch:
        if not NATIVE:
            make_tiny(patch)
        labels = assigned(values, validity, size, sigmoid)
    assert_wins(labels, values, validity, size, sigmoid)


@pytest.mark.parametrize("sigmoid", SIGMOIDS)
def test_ties_go_to_the_lowest_region(sigmoid):
    values = torch.randn(1, 3, 4, 5, generator=torch.Generator().manual_seed(1)).repeat(1, 2, 1, 1)
    values = values.sigmoid() if sigmoid == "none" else values
    assert assigned(values, torch.full((1, 6), 0.5), (9, 13), sigmoid).max() <= 2
    assert (assigned(values, torch.zeros(1, 6), (9, 13), sigmoid) == 0).all()


def test_sigmoid_after_interpolation_is_not_decided_by_the_corners():
    logits = torch.tensor([[[[0.0, -10.0]], [[10.0, -9.32]]]])
    labels = assigned(logits, torch.tensor([[1 - 1e-7, 0.5]]), (1, 20), "after")[0, 0]
    assert labels[0] == labels[-1] == 0
    assert labels[10] == 1


def test_any_strides():
    values = random(2, 5, 6, 7)
    validity = random(2, 5, seed=1)
    expected = assigned(values, validity, (15, 15), "before")
    for order in [(0, 2, 3, 1), (1, 0, 3, 2), (3, 2, 1, 0)]:
        back = tuple(int(place) for place in np.argsort(order))
        turned = values.permute(order).contiguous().permute(back)
        assert torch.equal(assigned(turned, validity.T.contiguous().T, (15, 15), "before"), expected)
    assert (assigned(values[:, :0], validity[:, :0], (4, 4), "before") == -1).all()


def test_many_regions(monkeypatch):
    if not NATIVE:
        module = importlib.import_module("csl_plugin.ops.triton.assign")
        wide = {"regions": 8192, "samples": 32, "num_warps": 1}
        monkeypatch.setattr(module, "_WINNERS_OF_WORDS", wide)
    scores = torch.zeros(1, 65_535, 1, 2)
    scores[0, 40_000, 0, 0] = scores[0, 65_534, 0, 1] = 1.0
    assert assigned(scores, torch.ones(1, 65_535), (1, 2), "none").flatten().tolist() == [40_000, 65_534]


def test_the_exponential_is_exact_enough_to_order_scores_of_any_size():
    logits = torch.linspace(-86, 5, 2001)
    rivals = torch.stack([logits, logits.flip(0)])[None, :, None]
    exact = logits.double().sigmoid()
    validity = torch.tensor([[0.5, 0.5]])
    assert_wins(assigned(rivals, validity, (1, 2001), "before"), rivals, validity, (1, 2001), "before")
    # A rival 3e-6 above or below must be told apart wherever scores are not ones.
    close = torch.stack([exact * (1 + 3e-6), exact]).logit().float()[None, :, None]
    apart = (close.double().sigmoid()[0, 0, 0] / close.double().sigmoid()[0, 1, 0] - 1).abs() > 1e-6
    labels = assigned(close, validity, (1, 2001), "before")[0, 0]
    wins = close.double().sigmoid()[0, :, 0].argmax(0)
    assert (labels == wins)[apart].all()


# ---------------------------------------------------------------------------------------- means and fusion


def some_labels(batch, height, width, count, block, seed=0):
    low = torch.randint(
        -1,
        count,
        (batch, height // block + 1, width // block + 1),
        generator=torch.Generator().manual_seed(seed),
    )
    return low.repeat_interleave(block, 1).repeat_interleave(block, 2)[:, :height, :width].contiguous()


def some_scores(dtype, *shape, seed=5):
    scores = random(*shape, seed=seed)
    return (scores * 255).to(dtype) if dtype == torch.uint8 else scores.to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.uint8])
@pytest.mark.parametrize(("classes", "height", "width"), [(1, 1, 1), (1, 7, 150), (3, 9, 21)])
def test_means_and_fusion_as_the_streamed_path(tiles, dtype, classes, height, width):
    scores = some_scores(dtype, 2, classes, height, width)
    labels = some_labels(2, height, width, 7, 4)
    table = means_of(scores, labels, 7)
    expected = planes_of(scores, labels, 7)
    assert table.dtype == torch.float32
    torch.testing.assert_close(table, expected, rtol=5e-7, atol=0)
    # The interpreter cuts bfloat16 off where torch and the device round it.
    step = {torch.bfloat16: 1e-2, torch.float16: 1e-3, torch.float32: 3e-7, torch.uint8: 0.0}[dtype]
    for rule in RULES:
        plain = torch.empty_like(scores)
        planewise.apply(scores, one(labels, 7), expected, rule, plain)
        found = fused(scores, labels, expected, rule)
        # torch's square root on the CPU is a unit off now and then, a byte where that is half a byte's.
        byte = float(dtype == torch.uint8 and rule == "geometric")
        torch.testing.assert_close(found.double(), plain.double(), rtol=step, atol=byte)
        winners = chosen(scores, labels, expected, rule)
        assert winners.dtype == torch.int64
        assert torch.equal(winners, planewise.labels(scores, one(labels, 7), expected, rule))


def test_fusion_as_the_reference():
    scores = random(1, 3, 8, 9)
    labels = some_labels(1, 8, 9, 4, 3)
    table = means_of(scores, labels, 4)
    for rule in RULES:
        torch.testing.assert_close(
            fused(scores, labels, table, rule)[0].double(), reference.fuse(scores[0], labels[0], rule)
        )


def test_means_are_exact_at_any_scale_and_in_any_order(tiles):
    numbers = np.random.default_rng(0)
    scores = torch.from_numpy(np.exp(numbers.uniform(-100, 85, (1, 2, 12, 40)))).float()
    scores[:, :, 0, 0], scores[:, :, 0, 1], scores[:, :, 0, 2] = 3e38, 1e-45, 0.0
    labels = some_labels(1, 12, 40, 9, 3)
    labels[0, 0, :4] = torch.tensor([9, 10, 11, 9])
    table = means_of(scores, labels, 13)
    for c in range(2):
        for region in range(12):
            mine = scores[0, c][labels[0] == region].double()
            mean = mine.mean() if len(mine) else 0.0
            assert abs(float(table[0, c, region]) - mean) <= 5e-7 * mean + 2**-148
    assert (table[..., 12] == 0).all()
    mirrored = means_of(scores.flip(2, 3), labels.flip(1, 2), 13)
    torch.testing.assert_close(mirrored, table, rtol=2e-7, atol=0)


def test_what_is_not_finite_stays_in_its_region():
    scores = random(1, 2, 4, 6)
    labels = torch.arange(24).view(1, 4, 6) // 6 - 1
    scores[0, 0, 0], scores[0, 1, 2, 3], scores[0, 0, 3, 0] = torch.nan, torch.inf, torch.nan
    table = means_of(scores, labels, 3)
    assert torch.equal(table.isnan(), torch.tensor([[[False, False, True], [False, True, False]]]))
    winners = chosen(scores, labels, table, "product")
    assert ((winners >= 0) & (winners < 2)).all()


def test_labels_out_of_range_and_no_region_at_all():
    scores = random(2, 2, 5, 6)
    labels = torch.tensor([-1, -7, 3, 2**40]).repeat(15).view(2, 5, 6)
    nothing = means_of(scores, labels, 0)
    assert nothing.shape == (2, 2, 0)
    for table in (nothing, means_of(scores, labels, 3)):
        assert (table == 0).all()
        assert torch.equal(fused(scores, labels, table, "mean"), scores)
        own = fused(scores, labels, table, "product")
        torch.testing.assert_close(own, scores * scores)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
def test_labels_of_any_integer_type(dtype):
    scores = random(1, 2, 6, 7)
    labels = some_labels(1, 6, 7, 5, 2).clamp(min=0)
    torch.testing.assert_close(means_of(scores, labels.to(dtype), 5), planes_of(scores, labels, 5))
    assert torch.equal(split(labels.to(dtype), 8)[0], split(labels, 8)[0])


def test_in_place_and_any_strides():
    scores, labels = random(2, 3, 10, 18), some_labels(2, 10, 18, 5, 4)
    table = means_of(scores, labels, 5)
    expected = fused(scores, labels, table, "product")
    in_place = scores.clone().to(DEVICE)
    kernels.apply(in_place, one(labels.to(DEVICE), 5), table.to(DEVICE), "product", in_place)
    assert torch.equal(in_place.cpu(), expected)
    last = scores.to(memory_format=torch.channels_last).to(DEVICE)
    turned = one(labels.transpose(1, 2).contiguous().transpose(1, 2).to(DEVICE), 5)
    assert torch.equal(kernels.means(last, turned, roots=False).cpu(), table)
    out = torch.empty(2, 10, 18, 3, device=DEVICE).permute(0, 3, 1, 2)
    kernels.apply(last, turned, table.to(DEVICE).mT.contiguous().mT, "product", out)
    assert torch.equal(out.cpu(), expected)
    half = random(2, 3, 10, 36).to(DEVICE)[..., ::2]
    torch.testing.assert_close(
        kernels.means(half, turned, roots=False).cpu(), planes_of(half.cpu(), labels, 5), rtol=5e-7, atol=0
    )


def test_offsets_beyond_two_to_the_31():
    far = 2**31 + 64
    try:
        memory = torch.empty(2 * far, dtype=torch.uint8, device=DEVICE)
    except RuntimeError:
        pytest.skip("not enough memory")
    scores = memory.as_strided((1, 2, 4, 5), (0, far, 8, 1))
    scores.copy_(some_scores(torch.uint8, 1, 2, 4, 5))
    near, labels = scores.clone().cpu(), some_labels(1, 4, 5, 3, 2)
    maps = one(labels.to(DEVICE), 3)
    table = kernels.means(scores, maps, roots=False)
    torch.testing.assert_close(table.cpu(), planes_of(near, labels, 3), rtol=5e-7, atol=0)
    expected = fused(near, labels, table.cpu(), "product")
    kernels.apply(scores, maps, table, "product", scores)
    assert torch.equal(scores.cpu(), expected)
    halves = memory.view(torch.float16).as_strided((1, 2, 4, 5), (0, far // 2, 8, 1))
    halves.copy_(random(1, 2, 4, 5))
    validity = torch.ones(1, 2, device=DEVICE)
    labels = kernels.assign(halves, validity, (7, 9), "none")
    assert torch.equal(labels, kernels.assign(halves.contiguous(), validity, (7, 9), "none"))


# ---------------------------------------------------------------------------------------- several partitions


def several(batch, height, width):
    """Three partitions from coarse to fine, with gaps of their own; the last but one knows nothing."""
    maps = [
        (some_labels(batch, height, width, 3, 8, seed=1), 3),
        (torch.full((batch, height, width), -1), 0),
        (some_labels(batch, height, width, 9, 3, seed=2).to(torch.int16), 11),
    ]
    return [Partition(count, labels) for labels, count in maps]


def there(maps):
    return [Partition(part.count, part.ids.to(DEVICE)) for part in maps]


@pytest.fixture
def engine(monkeypatch):
    """`csl_plugin.ops` as for a GPU, whose maps are not known as runs."""
    if not NATIVE:
        monkeypatch.setattr(ops, "_on_device", lambda values: kernels)


def by_engine(scores, maps, rule):
    return ops.fuse(scores.to(DEVICE), there(maps), rule).cpu()


def labels_by_engine(scores, maps, rule):
    size = scores.shape[2:]
    return ops.fuse_labels(scores.to(DEVICE), there(maps), rule, size, logits=False).cpu()


def by_reference(scores, maps, rule):
    unit = scores.double() / (255 if scores.dtype == torch.uint8 else 1)
    images = []
    for b, image in enumerate(unit):
        labels = [part.ids[b].long().cpu() for part in maps]
        mean = reference.average_means(image, labels)
        product = {"product": mean * image, "geometric": (mean * image).sqrt(), "mean": mean}
        images.append(reference.adaptive(image, labels) if rule == "adaptive" else product[rule])
    return torch.stack(images)


def assert_as_the_reference(scores, maps, rule, step):
    found, winners = by_engine(scores, maps, rule), labels_by_engine(scores, maps, rule)
    expected = by_reference(scores, maps, rule)
    if scores.dtype == torch.uint8:
        assert (found.double() - expected * 255).abs().max() <= 0.5 + 1e-3
    else:
        torch.testing.assert_close(found.double(), expected, rtol=step, atol=0)
    best = expected.amax(1)
    torch.testing.assert_close(expected.gather(1, winners[:, None])[:, 0], best, rtol=2e-6, atol=0)


@pytest.mark.parametrize("rule", ["adaptive", *RULES])
@pytest.mark.parametrize("classes", [1, 3])
def test_several_partitions_as_the_reference(tiles, engine, classes, rule):
    scores = some_scores(torch.float32, 2, classes, 6, 18)
    assert_as_the_reference(scores, several(2, 6, 18), rule, 2e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.uint8])
@pytest.mark.parametrize("classes", [1, 3])
def test_narrow_scores_by_the_default_rule(engine, classes, dtype):
    # What rounding to the stored dtype costs; the interpreter cuts bfloat16 off.
    step = {torch.float16: 1e-3, torch.bfloat16: 1e-2, torch.uint8: 0.0}[dtype]
    assert_as_the_reference(some_scores(dtype, 1, classes, 9, 22), several(1, 9, 22), "adaptive", step)


@pytest.mark.parametrize("classes", [1, 3])
def test_one_partition_by_the_default_rule(engine, classes):
    scores, maps = some_scores(torch.float32, 1, classes, 9, 22), several(1, 9, 22)
    for alone in ([maps[0]], [maps[1]], [maps[2]]):
        found = by_engine(scores, alone, "adaptive")
        torch.testing.assert_close(found.double(), by_reference(scores, alone, "adaptive"), rtol=2e-6, atol=0)
        assert torch.equal(labels_by_engine(scores, alone, "adaptive"), found.argmax(1))


def test_means_of_several_partitions_are_those_of_each(tiles):
    scores, maps = some_scores(torch.float32, 1, 3, 6, 18), several(1, 6, 18)
    for roots in (False, True):
        table = kernels.means(scores.to(DEVICE), there(maps), roots=roots).cpu()
        torch.testing.assert_close(table, planewise.means(scores, maps, roots=roots), rtol=5e-7, atol=0)
        each = [kernels.means(scores.to(DEVICE), there([part]), roots=roots).cpu() for part in maps]
        assert torch.equal(table, torch.cat(each, 2))


@pytest.mark.parametrize("classes", [1, 2])
def test_the_largest_scores_of_several_partitions_give_numbers(engine, classes):
    scores = torch.full((1, classes, 6, 8), torch.finfo(torch.float32).max)
    scores[0, 0, 2, 3:] = 0.0
    for rule in ("adaptive", "mean"):
        assert by_engine(scores, several(1, 6, 8), rule).isfinite().all()


@pytest.mark.parametrize("classes", [1, 3])
def test_what_is_no_number_stays_none_by_the_default_rule(engine, classes):
    scores, maps = some_scores(torch.float32, 1, classes, 9, 22), several(1, 9, 22)
    expected = by_engine(scores, maps, "adaptive")
    y, x = (int(place) for place in (maps[2].ids[0] >= 0).nonzero()[0])
    scores[0, :, y, x] = torch.nan
    found = by_engine(scores, maps, "adaptive")
    assert found[0, :, y, x].isnan().all()
    touched = torch.zeros(9, 22, dtype=torch.bool)
    for part in maps:
        touched |= (part.ids[0] == part.ids[0, y, x]) & (part.ids[0] >= 0)
    assert torch.equal(found[..., ~touched], expected[..., ~touched])


def test_a_partition_without_gaps_hides_those_before_it(engine, monkeypatch):
    """Of classes; one score hears them all."""
    coarse, _, fine = there(several(1, 9, 22))
    ids = fine.ids.clamp(min=0)
    maps = [coarse, ops.partition(ids, 11, split=False, check=True), fine]
    if not NATIVE:  # on the CPU it would be known as runs
        maps[1] = Partition(11, ids, gapless=True)
    assert [part.gapless for part in maps] == [False, True, False]
    heard = []
    means = kernels.means
    monkeypatch.setattr(
        kernels, "means", lambda d, given, **k: (heard.append(list(given)), means(d, given, **k))[1]
    )
    for classes, expected in ((1, maps), (3, maps[1:])):
        scores = some_scores(torch.float32, 1, classes, 9, 22)
        found = ops.fuse(scores.to(DEVICE), maps, "adaptive").cpu()
        torch.testing.assert_close(found.double(), by_reference(scores, maps, "adaptive"), rtol=2e-6, atol=0)
        assert heard.pop() == expected


def test_a_triton_that_passes_no_tuples_to_kernels_is_not_used(monkeypatch):
    for version, used in (("3.2.0", False), ("3.3.0+rocm", True), ("3.10.1", True)):
        monkeypatch.setattr(triton, "__version__", version)
        ops._kernels.cache_clear()
        assert (ops._kernels() is kernels) == used
    ops._kernels.cache_clear()


# ---------------------------------------------------------------------------------------- components


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize(("height", "width"), [(1, 40), (40, 1), (9, 70), (33, 20)])
def test_components_as_the_reference(tiles, connectivity, height, width):
    labels = torch.randint(-1, 2, (2, height, width), generator=torch.Generator().manual_seed(height))
    found, counts = split(labels, connectivity)
    expected = torch.stack([reference.components(image, connectivity) for image in labels])
    assert found.dtype == torch.int32
    assert torch.equal(found, expected)
    assert counts == (expected.flatten(1).amax(1) + 1).tolist()


@pytest.mark.parametrize("connectivity", [4, 8])
@settings(max_examples=15)
@given(
    seed=st.integers(0, 10_000), height=st.integers(1, 24), width=st.integers(1, 24), kinds=st.integers(1, 3)
)
def test_components_as_scipy_counts_them(connectivity, seed, height, width, kinds):
    ndimage = pytest.importorskip("scipy.ndimage")
    numbers = np.random.default_rng(seed)
    labels = numbers.integers(-1, kinds, (height, width))
    with pytest.MonkeyPatch.context() as patch:
        if not NATIVE:
            make_tiny(patch)
        found, counts = split(torch.from_numpy(labels)[None], connectivity)
    shape = np.ones((3, 3)) if connectivity == 8 else None
    regions = [ndimage.label(labels == kind, shape) for kind in range(kinds)]
    assert counts == [sum(count for _, count in regions)]
    ids = found[0].numpy()
    assert ((ids < 0) == (labels < 0)).all()
    for kind, (theirs, count) in enumerate(regions):
        mine = labels == kind
        assert len(np.unique(np.stack([theirs[mine], ids[mine]]), axis=1).T) == count
    first = [int(np.flatnonzero(ids == number)[0]) for number in range(counts[0])]
    assert first == sorted(first)


def test_a_spiral_is_one_component():
    side = 23
    labels = torch.full((side, side), -1)
    y, x, step_y, step_x = 0, 0, 0, 1
    labels[0, 0] = 0
    while True:
        for _ in range(2):
            ahead = y + 2 * step_y, x + 2 * step_x
            clear = all(0 <= place < side for place in (y + step_y, x + step_x))
            if clear and not (all(0 <= place < side for place in ahead) and labels[ahead] == 0):
                break
            step_y, step_x = step_x, -step_y
        else:
            break
        y, x = y + step_y, x + step_x
        if labels[y, x] == 0:
            break
        labels[y, x] = 0
    assert (labels == 0).sum() > 200
    with pytest.MonkeyPatch.context() as patch:
        if not NATIVE:
            make_tiny(patch)
        found, counts = split(labels[None], 4)
    assert counts == [1]
    assert torch.equal(found[0], labels.int())


# ---------------------------------------------------------------------------------------- compilation

COMPILE = """
    import torch, triton
    from triton.backends.compiler import GPUTarget
    from triton.runtime.jit import JITFunction

    class NoDevice:
        def get_current_target(self):
            return GPUTarget("cuda", 90, 32)
        def get_current_device(self):
            return 0
        def get_current_stream(self, device=None):
            return 0

    triton.runtime.driver.set_active(NoDevice())
    built = set()

    def compile_only(self, grid):
        def run(*arguments, **options):
            kernel = self.run(*arguments, grid=grid, warmup=True, **options)
            assert kernel.asm["cubin"]
            built.add(self.fn.__name__)
        return run

    JITFunction.__getitem__ = compile_only
    from csl_plugin.ops import Partition
    from csl_plugin.ops import triton as kernels

    kernels.assign(torch.empty(1, 100, 16, 32, dtype=torch.bfloat16), torch.empty(1, 100), (64, 128), "after")
    kernels.assign(torch.empty(2, 1, 1, 7), torch.empty(2, 1), (1, 33), "before")
    labels, table = torch.zeros(1, 64, 128, dtype=torch.int64), torch.empty(1, 5, 1000)
    scores = torch.empty(1, 5, 64, 128)
    maps = [Partition(1000, labels)]
    kernels.means(scores[:, :1], [Partition(7, labels)], roots=False)
    kernels.means(scores, maps, roots=False)
    kernels.apply(scores.byte(), maps, table, "geometric", scores.byte())
    kernels.labels(scores.half(), maps, table, "product")
    maps = [Partition(17, labels.byte()), Partition(0, labels), Partition(32, labels.mT)]
    for classes in (1, 5):
        scores, table = torch.empty(1, classes, 64, 128), torch.empty(1, classes + 2, 49)
        kernels.means(scores.bfloat16(), maps, roots=classes == 1)
        for rule in ("adaptive", "product"):
            kernels.apply(scores.bfloat16(), maps, table, rule, scores.bfloat16())
            kernels.labels(scores, maps, table, rule)
    kernels.components(labels, 8)
    print(*sorted(built))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Triton compiles on Linux only")
def test_every_kernel_compiles_for_a_gpu_that_is_not_there(tmp_path):
    """The interpreter knows no types: what it runs need not compile."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    script = tmp_path / "compile.py"
    script.write_text(textwrap.dedent(COMPILE))
    run = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", str(script)],
        env={**environment, "TRITON_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.split() == [
        "_add_up",
        "_assign_pixels",
        "_divide",
        "_find_roots",
        "_find_winners",
        "_fuse",
        "_join_across_borders",
        "_join_within_tiles",
        "_number",
        "_win",
    ]

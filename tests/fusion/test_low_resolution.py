"""Distributions at a teacher's own resolution: fused as if they had been upsampled first."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from csl_plugin import CSLError, RegionProposals, fuse, fuse_labels


def case(seed=0, batch=2, classes=5, low=(9, 12), size=(36, 50), dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(batch, classes, *low, generator=generator) * 3).to(dtype)
    labels = torch.randint(-1, 4, (batch, *size), generator=generator)
    return logits, labels


def upsampled(values, size):
    return F.interpolate(values, size, mode="bilinear", align_corners=False)


@pytest.mark.parametrize("rule", ["adaptive", "product", "geometric", "mean"])
@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_fuse_equals_upsampling_first(rule, split, dtype):
    logits, labels = case(dtype=dtype)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    for holds_logits, first in (
        (False, upsampled(logits.softmax(1).to(wide), (36, 50))),
        (True, upsampled(logits.to(wide), (36, 50)).softmax(1)),
    ):
        given_values = logits if holds_logits else logits.softmax(1)
        options = {"rule": rule, "split": split}
        found = fuse(given_values, labels, size=(36, 50), logits=holds_logits, **options)
        assert found.dtype == dtype
        assert torch.equal(found, fuse(first, labels, **options).to(dtype))


@pytest.mark.parametrize("rule", ["adaptive", "product", "mean"])
@given(
    seed=st.integers(0, 999),
    low=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    size=st.tuples(st.integers(1, 90), st.integers(1, 700)),
)
def test_labels_equal_upsampling_first(rule, seed, low, size):
    logits, labels = case(seed, low=low, size=size)
    for holds_logits, values, first in (
        (False, logits.softmax(1), upsampled(logits.softmax(1), size)),
        (True, logits, upsampled(logits, size).softmax(1)),
    ):
        found = fuse_labels(values, labels, size=size, logits=holds_logits, rule=rule, split=False)
        fused = fuse(first, labels, rule=rule, split=False)
        chosen = fused.gather(1, found[:, None])[:, 0]
        # Bands are interpolated in the order torch does it, but not by its kernel: ties to a millionth.
        assert (fused.amax(1) - chosen <= 1e-6).all()


def test_one_class_of_logits_is_a_sigmoid():
    logits, labels = case(classes=1)
    expected = fuse(upsampled(logits, (36, 50)).sigmoid(), labels)
    assert torch.equal(fuse(logits, labels, size=(36, 50), logits=True), expected)


def test_logits_at_the_size_of_the_regions_need_no_size():
    logits, labels = case(low=(36, 50))
    assert torch.equal(fuse(logits, labels, logits=True), fuse(logits.softmax(1), labels))
    expected = fuse_labels(logits.softmax(1), labels)
    assert torch.equal(fuse_labels(logits, labels, logits=True), expected)


def test_what_comes_in_comes_out_at_the_new_size():
    logits, labels = case(batch=1)
    array = logits[0].softmax(0).numpy()
    fused = fuse(array, labels.numpy(), size=(36, 50))
    assert isinstance(fused, np.ndarray)
    assert (fused.shape, fused.dtype) == ((5, 36, 50), np.float32)
    assert fuse(array[0], labels.numpy(), size=(36, 50)).shape == (36, 50)
    assert fuse_labels(array, labels.numpy(), size=(36, 50)).shape == (36, 50)
    assert np.array_equal(array, logits[0].softmax(0).numpy())


def test_proposals_meet_the_distribution_at_the_size_asked_for():
    logits, _ = case()
    proposals = RegionProposals(torch.rand(2, 6, 12, 17), torch.rand(2, 6))
    expected = fuse(upsampled(logits, (36, 50)).softmax(1), proposals)
    assert torch.equal(fuse(logits, proposals, size=(36, 50), logits=True), expected)


def test_out_has_the_new_size():
    logits, labels = case()
    out = torch.empty(2, 5, 36, 50)
    assert fuse(logits, labels, size=(36, 50), logits=True, out=out) is out
    assert torch.equal(out, fuse(logits, labels, size=(36, 50), logits=True))
    with pytest.raises(CSLError, match=r"out: .*\(2, 5, 36, 50\)"):
        fuse(logits, labels, size=(36, 50), logits=True, out=torch.empty_like(logits))


@pytest.mark.parametrize("holds_logits", [False, True])
def test_gradients_flow_through_the_upsampling(holds_logits):
    logits, labels = case(batch=1, classes=3, low=(3, 4), size=(7, 9), dtype=torch.float64)
    values = (logits if holds_logits else logits.softmax(1)).requires_grad_()
    assert torch.autograd.gradcheck(lambda d: fuse(d, labels, size=(7, 9), logits=holds_logits), (values,))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_it_compiles():
    torch._dynamo.reset()
    logits, labels = case()

    def call(values):
        return fuse(values, labels, size=(36, 50), logits=True, split=False, check=False)

    compiled = torch.compile(call, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(logits), call(logits))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (0, 5)}, "size: got"),
        ({"size": 7}, "size: got"),
        ({"size": (35, 50), "logits": True}, "regions: got a map of size"),
        ({"logits": "probabilities"}, "logits: got 'probabilities'"),
        ({"size": (36, 50)}, "distribution: got .* negative"),
    ],
)
def test_bad_input_is_named(options, message):
    logits, labels = case()
    with pytest.raises(CSLError, match=message):
        fuse(logits, labels, **options)


def test_logits_need_only_be_finite_numbers():
    logits, labels = case()
    logits[0, 0, 0, 0] = float("inf")
    with pytest.raises(CSLError, match=r"inf in 1 of .*finite logits"):
        fuse(logits, labels, size=(36, 50), logits=True)
    with pytest.raises(CSLError, match="uint8 logits"):
        fuse(logits.to(torch.uint8), labels, size=(36, 50), logits=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("size", [(6, 6), (40, 40)])
def test_half_precision_is_rounded_once(dtype, size):
    generator = torch.Generator().manual_seed(30)
    logits = (torch.randn(1, 4, 6, 6, generator=generator) * 6).to(dtype)
    labels = (torch.arange(size[0] * size[1]) // (size[0] * size[1] // 2)).view(size)
    expected = fuse(logits.float(), labels, size=size, logits=True).to(dtype)
    assert torch.equal(fuse(logits, labels, size=size, logits=True), expected)
    out = torch.empty_like(expected)
    assert fuse(logits, labels, size=size, logits=True, out=out) is out
    assert torch.equal(out, expected)


def test_bytes_are_rounded_once():
    stored = torch.randint(0, 256, (1, 5, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    labels = torch.arange(30 * 44).view(30, 44) // 200
    expected = (fuse(stored.float() / 255, labels, size=(30, 44)) * 255).round().to(torch.uint8)
    assert torch.equal(fuse(stored, labels, size=(30, 44)), expected)

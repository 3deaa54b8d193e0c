"""Whatever memory an array has, the result is a plain copy's; what cannot be read is refused by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from csl_plugin import (
    Calibration,
    CSLError,
    RegionMap,
    RegionProposals,
    fuse,
    fuse_labels,
    hard_assignment,
    load_proposer,
    soft_assignment,
    split_components,
)

SCORES = np.random.default_rng(0).random((4, 6)).astype(np.float32)
IDS = np.arange(24).reshape(4, 6) // 5
RULES = ["adaptive", "product", "geometric", "mean"]


class Subclass(torch.Tensor):
    pass


class ArraySubclass(np.ndarray):
    pass


def field(values):
    """One field of records of an odd number of bytes."""
    records = np.zeros(values.shape, [("before", "u1"), ("value", values.dtype), ("after", "u2")])
    records["value"] = values
    return records["value"]


def unaligned(values):
    memory = np.zeros(values.nbytes + 1, np.uint8)[1:].view(values.dtype).reshape(values.shape)
    memory[:] = values
    return memory


def read_only(values):
    copied = values.copy()
    copied.flags.writeable = False
    return copied


MEMORY = {
    "field": field,
    "unaligned": unaligned,
    "read-only": read_only,
    "steps back": lambda values: values[::-1, ::-1].copy()[::-1, ::-1],
    "every other": lambda values: values.repeat(2, 1)[:, ::2],
    "columns first": np.asfortranarray,
    "big-endian": lambda values: values.astype(values.dtype.newbyteorder(">")),
    "subclass of array": lambda values: values.view(ArraySubclass),
    "record array": lambda values: np.rec.fromarrays([values], names="value")["value"],
    "subclass of tensor": lambda values: torch.from_numpy(values).as_subclass(Subclass),
    "parameter": lambda values: torch.nn.Parameter(torch.from_numpy(values)),
}


@pytest.mark.parametrize("memory", MEMORY)
@pytest.mark.parametrize("rule", RULES)
def test_scores(memory, rule):
    given = MEMORY[memory](SCORES)
    ids = torch.from_numpy(IDS) if isinstance(given, torch.Tensor) else IDS
    found = fuse(given, ids, rule=rule)
    values = found.detach().numpy() if isinstance(found, torch.Tensor) else np.asarray(found)
    np.testing.assert_allclose(values, fuse(SCORES, IDS, rule=rule), rtol=1e-6)
    assert type(given).__name__ not in ("ndarray", "ArraySubclass") or found.dtype == given.dtype


@pytest.mark.parametrize("memory", [name for name in MEMORY if name != "parameter"])
@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("rule", ["adaptive", "product"])
def test_regions_and_masks(memory, split, rule):
    ids, valid = MEMORY[memory](IDS), MEMORY[memory](IDS < 4)
    scores = torch.from_numpy(SCORES) if isinstance(ids, torch.Tensor) else SCORES
    expected = fuse(SCORES, IDS, rule=rule, split=split, valid=IDS < 4)
    np.testing.assert_array_equal(fuse(scores, ids, rule=rule, split=split, valid=valid), expected)


@pytest.mark.parametrize("memory", ["field", "unaligned", "steps back", "every other", "columns first"])
@pytest.mark.parametrize("rule", RULES)
def test_out(memory, rule):
    out = MEMORY[memory](np.zeros_like(SCORES))
    assert fuse(SCORES, IDS, rule=rule, out=out) is out
    np.testing.assert_array_equal(out, fuse(SCORES, IDS, rule=rule))
    own = MEMORY[memory](SCORES)
    assert fuse(own, IDS, rule=rule, out=own) is own
    np.testing.assert_array_equal(own, out)


@pytest.mark.parametrize("memory", [name for name in MEMORY if name != "parameter"])
def test_calibrations(memory):
    for calibration in (Calibration.sigmoid(), Calibration.fit_quantile([MEMORY[memory](SCORES)])):
        found = calibration(MEMORY[memory](SCORES))
        np.testing.assert_array_equal(np.asarray(found), calibration(SCORES))


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "i8", ">i2", ">u4"])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("split", [True, False])
def test_ids_up_to_the_largest_of_their_type(dtype, rule, split):
    most = min(np.iinfo(dtype).max, 2**62)
    count = min(most, 299) + 1
    scores = np.random.default_rng(1).random((count, 3))
    ids = np.arange(most - count + 1, most + 1, dtype=np.int64).repeat(3).reshape(count, 3)
    expected = fuse(scores, ids - ids.min(), rule=rule, split=split)
    for regions in (ids.astype(dtype), RegionMap(ids.astype(dtype)[None])):
        np.testing.assert_allclose(fuse(scores, regions, rule=rule, split=split), expected, rtol=1e-12)
    valid = np.ones(scores.shape, bool)
    found = fuse(scores, ids.astype(dtype), rule=rule, split=split, valid=valid)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_ids_beyond_their_bound_are_in_no_region_off_the_cpu_and_refused_where_checked(monkeypatch):
    from csl_plugin import ops
    from csl_plugin.ops import dense, planewise

    scores, ids = torch.from_numpy(SCORES)[None, None], torch.from_numpy(IDS)[None]
    cut = torch.where(ids < 3, ids, -1)
    given, without = ([ops.Partition(3, one)] for one in (ids, cut))
    for path in (dense, planewise):
        table = path.means(scores, given, roots=False)
        assert torch.equal(table, path.means(scores, without, roots=False))
    found, expected = (dense.apply(scores, maps, table, "product") for maps in (given, without))
    assert torch.equal(found, expected)
    for rule in ("adaptive", "product"):
        found, expected = (
            ops.fuse(scores.requires_grad_(), [ops.Partition(3, one)] * 2, rule) for one in (ids, cut)
        )
        assert torch.equal(found, expected)
    for split, refused in ((False, True), (True, False)):
        call = lambda split=split: fuse(SCORES, RegionMap(IDS[None], 3), split=split)  # noqa: E731
        if refused:
            with pytest.raises(CSLError, match="below num_regions = 3"):
                call()
        else:
            np.testing.assert_array_equal(call(), fuse(SCORES, IDS))


# ---- what cannot be read

TENSOR, LONGS = torch.from_numpy(SCORES), torch.from_numpy(IDS)
ONE_MAP, PROPOSALS = RegionMap(IDS[None]), RegionProposals(torch.rand(1, 2, 4, 4), torch.rand(1, 2))
UNREADABLE = {
    "sparse": TENSOR.to_sparse(),
    "jagged": torch.nested.nested_tensor([TENSOR, TENSOR], layout=torch.jagged),
    "meta": TENSOR.to("meta"),
    "fake": FakeTensorMode().from_tensor(TENSOR),
    "masked": np.ma.masked_array(SCORES),
    "objects": SCORES.astype(object),
    "records": np.zeros((4, 6), [("value", "f4")]),
    "bytes": np.zeros((4, 6), "V4"),
    "longdouble": SCORES.astype(np.longdouble),
    "times": np.zeros((4, 6), "m8[s]"),
    "0-d": np.zeros((), np.float32),
    "no rows": np.zeros((0, 6), np.float32),
    "list": [[0.5]],
}
READERS = {
    "distribution": lambda value: fuse(value, IDS),
    "distribution, unchecked": lambda value: fuse(value, LONGS, check=False),
    "regions": lambda value: fuse(TENSOR, value),
    "valid": lambda value: fuse(TENSOR, LONGS, valid=value),
    "out": lambda value: fuse(TENSOR, LONGS, out=value),
    "scores": lambda value: RegionProposals(value, value),
    "labels": lambda value: RegionMap(value),
    "maps": lambda value: Calibration.fit_quantile([value]),
    "images": lambda value: load_proposer("superpixels")(value),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_cannot_be_read_is_refused_by_name(kind, reader):
    with pytest.raises(CSLError):
        READERS[reader](UNREADABLE[kind])


def test_shapes_can_be_traced_with_fake_tensors():
    with FakeTensorMode():
        scores, ids = torch.rand(2, 4, 6), RegionMap(torch.zeros(1, 4, 6, dtype=torch.int64), 3)
        for rule in RULES:
            assert fuse(scores, [ids, ids], rule=rule, check=False, split=False).shape == (2, 4, 6)
        assert fuse_labels(scores, ids, check=False, split=False).shape == (4, 6)


VALUES = {
    "array": np.array([1, 2]),
    "array of words": np.array(["product", "8"]),
    "tensor": torch.tensor([1.0, 8.0]),
    "endless integer": 10**5000,
    "object": object(),
    "list": ["product"],
    "bytes": b"product",
}
OPTIONS = {
    **{
        name: lambda value, name=name: fuse(SCORES, IDS, **{name: value})
        for name in ("rule", "split", "logits", "check", "size", "valid", "out")
    },
    "connectivity": lambda value: split_components(ONE_MAP, value),
    "interpolate": lambda value: soft_assignment(PROPOSALS, (8, 8), interpolate=value),
    "threshold": lambda value: hard_assignment(PROPOSALS, (8, 8), value),
    "center, scale": lambda value: Calibration.sigmoid(value),
    "low, high": lambda value: Calibration.affine(0.0, value),
    "levels": lambda value: Calibration.fit_quantile([SCORES], levels=value),
}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("kind", VALUES)
def test_an_option_of_another_kind_is_refused_by_name(kind, option):
    if (option, kind) in (("levels", "endless integer"), ("size", "array"), ("size", "tensor")):
        pytest.skip("it is one that is accepted")
    with pytest.raises(CSLError) as caught:
        OPTIONS[option](VALUES[kind])
    assert caught.value.argument == option
    assert len(caught.value.got) < 200
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "size", [(10**6, 10**6), (2**16, 2**15), (2**40, 1), (10**400, 2), {4, 6}, "46", (4, 6, 1)]
)
def test_a_size_out_of_the_question_is_refused_before_anything_is_allocated(size):
    for call in (
        lambda: fuse(SCORES, IDS, size=size),
        lambda: soft_assignment(PROPOSALS, size),
        lambda: ONE_MAP.resize(size),
    ):
        with pytest.raises(CSLError, match="size"):
            call()


def test_on_the_cpu_a_partition_is_runs():
    from csl_plugin import ops

    for split in (True, False):
        assert ops.partition(torch.from_numpy(IDS)[None], 5, split=split).runs is not None


def test_numbers_of_numpy_are_numbers():
    assert RegionMap(IDS[None], np.int64(5)).num_regions == 5
    split_components(ONE_MAP, np.int32(4))
    np.testing.assert_array_equal(fuse(SCORES, IDS, split=np.False_), fuse(SCORES, IDS, split=False))
    hard_assignment(PROPOSALS, (8, 8), np.float32(0.25))

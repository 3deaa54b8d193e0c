"""Bad inputs: each gives one clear error, of the package and a built-in, that says how to fix it."""

import copy
import inspect
import pickle
import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch

from csl_plugin import (
    CSLError,
    RegionMap,
    RegionProposals,
    errors,
    fuse,
    fuse_labels,
    hard_assignment,
    soft_assignment,
    split_components,
)

NAN, INF = float("nan"), float("inf")


class Case(NamedTuple):
    """A call, the built-in error it gives, and what its message says, as regular expressions."""

    call: Callable[[], object]
    kind: type[Exception]
    got: str
    expected: str
    hint: str


# ---- material: a distribution of 4 x 5 pixels, its labels, two proposed regions at 2 x 3


def scores(*shape, dtype=torch.float32):
    return torch.full(shape or (4, 5), 0.5).to(dtype)


def labels(*shape, dtype=torch.long):
    return torch.zeros(shape or (4, 5), dtype=dtype)


def array(dtype):
    return np.zeros((4, 5), dtype=dtype)


def one(value, tensor=None):
    """The tensor (scores unless given) with its last value replaced."""
    changed = scores() if tensor is None else tensor.clone()
    changed.view(-1)[-1] = value
    return changed


def chances():
    return torch.full((1, 2, 2, 3), 0.5)


def validity():
    return torch.full((1, 2), 0.5)


def proposals(batch=1):
    return RegionProposals(chances().repeat(batch, 1, 1, 1), validity().repeat(batch, 1))


def image():
    return pytest.importorskip("PIL.Image").new("L", (5, 4))


def overlapping(convert=lambda view: view):
    buffer = scores(5, 5)
    return {"distribution": convert(buffer[:4]), "out": convert(buffer[1:])}


def read_only():
    frozen = array("f4")
    frozen.flags.writeable = False
    return frozen


# ---- calls


def fusing(distribution, regions=None, **options):
    return lambda: fuse(distribution, labels() if regions is None else regions, **options)


def fusing_array(distribution=None, **options):
    return fusing(array("f4") if distribution is None else distribution, **options)


def with_regions(regions, distribution=None, **options):
    return lambda: fuse(scores() if distribution is None else distribution, regions, **options)


def proposing(r=None, v=None, make=RegionProposals):
    return lambda: make(chances() if r is None else r, validity() if v is None else v)


def from_logits(r=None, v=None):
    return proposing(r, v, RegionProposals.from_logits)


def mapping(ids, *options):
    return lambda: RegionMap(ids, *options)


def assigning(*arguments, assign=soft_assignment, **options):
    return lambda: assign(*arguments, **options)


def painting(*arguments, **options):
    return assigning(proposals(), (4, 5), *arguments, assign=hard_assignment, **options)


# ---- what the messages say again and again

RANKS = r"\(H, W\), \(C, H, W\) or \(B, C, H, W\)"
FLOATS = "float16, bfloat16, float32, float64 or uint8"
KINDS = "torch tensor or a numpy array"
IDS = "integer"
CALIBRATE = r"softmax or sigmoid .*Calibration.*valid="
LAST_AXES = "height and width are the last two axes"
LOGITS = r"RegionProposals\.from_logits\(mask_logits, validity_logits\)"
EMPTY_LIKE = r"distribution itself, or .*empty_like\(distribution\)"
WRAP_MAP, WRAP_PROPOSALS = r"RegionMap\(labels\)", r"RegionProposals\(scores, validity\)"
ANY_REGIONS = "RegionProposals, a RegionMap, an array of integer labels, or a list of these"

CASES = {
    "distribution": {
        "rank 0": Case(fusing(torch.tensor(0.5)), ValueError, r"shape \(\)", RANKS, LAST_AXES),
        "rank 1": Case(fusing(scores(5)), ValueError, r"shape \(5,\)", RANKS, LAST_AXES),
        "rank 5": Case(fusing(scores(1, 1, 1, 4, 5)), ValueError, r"\(1, 1, 1, 4, 5\)", RANKS, LAST_AXES),
        "B = 0": Case(fusing(scores(0, 1, 4, 5)), ValueError, r"\(0, 1, 4, 5\)", "at least 1", "call"),
        "C = 0": Case(fusing(scores(0, 4, 5)), ValueError, r"\(0, 4, 5\)", "at least 1", "call"),
        "H = 0": Case(fusing(scores(0, 5)), ValueError, r"\(0, 5\)", "at least 1", "call"),
        "W = 0": Case(fusing(scores(4, 0)), ValueError, r"\(4, 0\)", "at least 1", "call"),
        "list": Case(fusing([[0.5]]), TypeError, "list", KINDS, r"numpy\.asarray"),
        "None": Case(fusing(None), TypeError, "NoneType", KINDS, r"numpy\.asarray"),
        "string": Case(fusing("scores.npy"), TypeError, "str", KINDS, "read_scores"),
        "number": Case(fusing(0.5), TypeError, "float", KINDS, r"numpy\.asarray"),
        "PIL image": Case(lambda: fuse(image(), labels()), TypeError, "PIL", KINDS, r"numpy\.asarray"),
        "masked array": Case(
            fusing_array(np.ma.masked_array(array("f4"))), TypeError, "masked", "plain", r"\.filled"
        ),
        "sparse": Case(fusing(scores().to_sparse()), TypeError, "sparse_coo", "dense", "to_dense"),
        "meta": Case(
            with_regions(RegionMap(labels(1, 4, 5).to("meta"), 1), scores().to("meta")),
            ValueError,
            "meta",
            "values",
            "check=False",
        ),
        **{
            f"torch {dtype}": Case(
                fusing(scores(dtype=dtype)), TypeError, f"{dtype}.*shape .4, 5.", FLOATS, "floating-point"
            )
            for dtype in (
                torch.bool,
                torch.int8,
                torch.int16,
                torch.int32,
                torch.int64,
                torch.uint16,
                torch.complex64,
                torch.float8_e4m3fn,
                torch.float8_e5m2,
            )
        },
        **{
            f"numpy {dtype}": Case(
                fusing_array(array(dtype)), TypeError, f"numpy array of {dtype}", FLOATS, "floating-point"
            )
            for dtype in ("bool", "int64", "uint16", ">i4", "complex64")
        },
        **{
            f"numpy {dtype}": Case(
                fusing_array(array(dtype)), TypeError, f"numpy array of {name}", "torch", "astype"
            )
            for dtype, name in {
                "longdouble": "float",
                "O": "object",
                "U1": "<U1",
                "M8[s]": "datetime64",
            }.items()
        },
        "nan in one": Case(fusing(one(NAN)), ValueError, "nan in 1 of 20", "finite", "valid="),
        "nan in all": Case(fusing(scores() * NAN), ValueError, "nan in 20 of 20", "finite", "valid="),
        "nan in an array": Case(
            fusing_array(one(NAN).numpy()), ValueError, "nan in 1 of 20", "finite", "valid="
        ),
        "nan in float16": Case(
            fusing(one(NAN, scores(dtype=torch.float16))), ValueError, "nan in 1", "finite", "valid="
        ),
        "nan where it counts": Case(
            fusing(one(NAN), valid=scores() > 0), ValueError, "nan in 1 of 20", "finite", "valid="
        ),
        "inf": Case(fusing(one(INF)), ValueError, "inf in 1 of 20", "finite", "valid="),
        "-inf": Case(fusing(one(-INF)), ValueError, "-inf in 1 of 20", "finite", CALIBRATE),
        "one negative": Case(fusing(one(-2.5)), ValueError, "1 negative.*-2.5", ">= 0", CALIBRATE),
        "just negative": Case(fusing(one(-1e-30)), ValueError, "-1e-30", ">= 0", CALIBRATE),
        "log-probabilities": Case(fusing(scores().log()), ValueError, "20 negative of 20", ">= 0", CALIBRATE),
        "logits for labels": Case(
            lambda: fuse_labels(one(-3, scores(2, 4, 5)), labels()),
            ValueError,
            "negative",
            ">= 0",
            CALIBRATE,
        ),
        **{
            f"product beyond {dtype}": Case(
                fusing(scores(dtype=dtype) * factor, rule="product"),
                ValueError,
                f"up to .* in {dtype}",
                "square",
                r'rule="geometric"',
            )
            for dtype, factor in [
                (torch.float16, 1e3),
                (torch.bfloat16, 1e20),
                (torch.float32, 1e20),
                (torch.float64, 1e200),
            ]
        },
        "sums beyond float64": Case(
            fusing(scores(dtype=torch.float64) * 1e300, rule="mean"),
            ValueError,
            "up to 5e",
            "1e.290",
            "Scale",
        ),
        "no class axis": Case(
            lambda: fuse_labels(scores(), labels()), ValueError, r"shape \(4, 5\)", r"\(C, H, W\)", "fuse"
        ),
    },
    "regions": {
        "list": Case(with_regions([[0]]), TypeError, "list", ANY_REGIONS, "proposer"),
        "None": Case(lambda: fuse(scores(), None), TypeError, "NoneType", ANY_REGIONS, "proposer"),
        "name": Case(with_regions("superpixels"), TypeError, "the text", ANY_REGIONS, "proposer"),
        "callable": Case(with_regions(len), TypeError, "builtin_function", ANY_REGIONS, "proposer"),
        "PIL image": Case(lambda: fuse(scores(), image()), TypeError, "PIL", ANY_REGIONS, "proposer"),
        "none of several": Case(with_regions([]), ValueError, "empty list", "at least one", "proposer"),
        "one of several": Case(
            with_regions((RegionMap(labels(1, 4, 5)), "b")), TypeError, "the text", ANY_REGIONS, "proposer"
        ),
        "masked array": Case(
            with_regions(np.ma.masked_array(array("i8"))), TypeError, "masked", "plain", r"\.filled"
        ),
        "sparse": Case(with_regions(labels().to_sparse()), TypeError, "sparse_coo", "dense", "to_dense"),
        "bool labels": Case(with_regions(scores() > 0), TypeError, r"torch\.bool.*\(4, 5\)", IDS, "Convert"),
        "float labels": Case(with_regions(scores()), TypeError, r"torch\.float32.*\(4, 5\)", IDS, "Convert"),
        "float array": Case(
            with_regions(array("f4")), TypeError, r"numpy array of float32.*\(4, 5\)", IDS, "Convert"
        ),
        "complex labels": Case(
            with_regions(labels(dtype=torch.complex64)), TypeError, "complex64", IDS, "Convert"
        ),
        "below -1": Case(with_regions(one(-2, labels())), ValueError, "-2", "-1 for unassigned", "-1"),
        "labels of rank 1": Case(
            with_regions(labels(5)), ValueError, r"shape \(5,\)", r"\(H, W\) or \(B, H, W\)", "axis"
        ),
        "labels of rank 4": Case(
            with_regions(labels(1, 1, 4, 5)), ValueError, r"\(1, 1, 4, 5\)", r"\(B, H, W\)", "axis"
        ),
        "labels on meta": Case(
            with_regions(labels().to("meta")), ValueError, "meta", "values|cpu", r"RegionMap|\.to\("
        ),
        "map to be split on meta": Case(
            with_regions(RegionMap(labels(1, 4, 5).to("meta"), 3), scores().to("meta"), check=False),
            ValueError,
            "meta",
            "values",
            "split=False",
        ),
        "batch of labels": Case(
            with_regions(labels(3, 4, 5), scores(2, 1, 4, 5)), ValueError, "batch of 3", "batch of 2", "image"
        ),
        "labels without batch": Case(
            with_regions(labels(), scores(2, 1, 4, 5)), ValueError, "batch of 1", "batch of 2", "image"
        ),
        "batch of maps": Case(
            with_regions(RegionMap(labels(2, 4, 5))), ValueError, "batch of 2", "batch of 1", "image"
        ),
        "batch of proposals": Case(
            with_regions(proposals(3)), ValueError, "batch of 3", "batch of 1", "image"
        ),
        "labels of another size": Case(
            with_regions(labels(5, 4)), ValueError, r"\(5, 4\)", r"\(4, 5\)", "Height is first"
        ),
        "map of another size": Case(
            with_regions(RegionMap(labels(1, 4, 6))), ValueError, r"\(4, 6\)", r"\(4, 5\)", "resample it"
        ),
        "channels last": Case(
            with_regions(labels(), scores(4, 5, 3)),
            ValueError,
            r"\(4, 5\)",
            r"\(5, 3\)",
            "distribution.*channels-last.*permute",
        ),
        "batch of channels last": Case(
            with_regions(labels(1, 4, 5), scores(1, 4, 5, 19)),
            ValueError,
            r"\(4, 5\)",
            r"\(5, 19\)",
            "distribution.*channels-last.*permute",
        ),
    },
    "rule": {
        "rule": Case(
            fusing(scores(), rule="sum"),
            ValueError,
            "'sum'",
            '"adaptive", "product", "geometric" or "mean"',
            "pro",
        ),
        "rule of labels": Case(
            lambda: fuse_labels(scores(2, 4, 5), labels(), rule="max"),
            ValueError,
            "'max'",
            "geometric",
            "product",
        ),
        "rule of earlier versions": Case(
            fusing(scores(), rule="trust"), ValueError, "'trust'", "adaptive", "pro"
        ),
        "no rule": Case(fusing(scores(), rule=None), ValueError, "None", "adaptive", "product"),
        "list of rules": Case(fusing(scores(), rule=["mean"]), ValueError, "mean", "geometric", "product"),
    },
    "split": {
        "split": Case(fusing(scores(), split="no"), ValueError, "'no'", "True or False", "name"),
    },
    "valid": {
        "float valid": Case(fusing(scores(), valid=scores()), TypeError, "float32", "boolean", "!="),
        "integer valid": Case(fusing(scores(), valid=labels()), TypeError, "int64", "boolean", "!="),
        "list valid": Case(fusing(scores(), valid=[[True]]), TypeError, "list", KINDS, "asarray"),
        "size of valid": Case(
            fusing(scores(), valid=labels(5, 4) == 0), ValueError, r"5, 4\)", r"4, 5\)", "per pixel"
        ),
        "rank of valid": Case(
            fusing(scores(), valid=labels(1, 1, 4, 5) == 0),
            ValueError,
            r"\(1, 1, 4, 5\)",
            "B, H, W",
            "per pixel",
        ),
        "batch of valid": Case(
            fusing(scores(), valid=labels(2, 4, 5) == 0),
            ValueError,
            r"\(2, 4, 5\)",
            r"\(1, 4, 5\)",
            "per pixel",
        ),
        "valid on meta": Case(
            fusing(scores(), valid=(labels() == 0).to("meta")), ValueError, "meta", "cpu", r"\.to\("
        ),
    },
    "out": {
        "shape": Case(fusing(scores(), out=scores(5, 4)), ValueError, r"\(5, 4\)", r"\(4, 5\)", EMPTY_LIKE),
        "rank": Case(
            fusing(scores(), out=scores(1, 4, 5)), ValueError, r"\(1, 4, 5\)", r"\(4, 5\)", EMPTY_LIKE
        ),
        "dtype": Case(
            fusing(scores(), out=scores(dtype=torch.float64)),
            TypeError,
            "float64",
            "dtype.*float32",
            EMPTY_LIKE,
        ),
        "byte order": Case(fusing_array(out=array(">f4")), TypeError, ">f4", "float32", EMPTY_LIKE),
        "array for tensor": Case(fusing(scores(), out=array("f4")), TypeError, "numpy", "tensor", EMPTY_LIKE),
        "tensor for array": Case(fusing_array(out=scores()), TypeError, "tensor", "numpy", EMPTY_LIKE),
        "list": Case(fusing(scores(), out=[[0.0]]), TypeError, "list", "tensor", EMPTY_LIKE),
        "masked array": Case(
            fusing_array(out=np.ma.masked_array(array("f4"))), TypeError, "masked", "plain|kind", "."
        ),
        "meta": Case(fusing(scores(), out=scores().to("meta")), ValueError, "meta", "device|cpu", EMPTY_LIKE),
        "read-only": Case(
            fusing_array(out=read_only()), ValueError, "read-only", "memory of its own", EMPTY_LIKE
        ),
        "two rows in one": Case(
            fusing(scores(2, 5), labels(2, 5), out=scores(1, 5).expand(2, 5)),
            ValueError,
            "expanded",
            "memory of its own",
            EMPTY_LIKE,
        ),
        "expanded": Case(
            fusing(scores(), out=scores(1, 5).expand(4, 5)),
            ValueError,
            "expanded",
            "memory of its own",
            EMPTY_LIKE,
        ),
        "broadcast": Case(
            fusing_array(out=np.broadcast_to(np.float32(0), (4, 5))),
            ValueError,
            "expanded",
            "own",
            EMPTY_LIKE,
        ),
        "overlapping itself": Case(
            fusing(scores(), out=torch.zeros(30).as_strided((4, 5), (1, 1))),
            ValueError,
            "overlap|expanded",
            "memory of its own",
            EMPTY_LIKE,
        ),
        "array overlapping itself": Case(
            fusing_array(out=np.lib.stride_tricks.as_strided(np.zeros(30, "f4"), (4, 5), (4, 4))),
            ValueError,
            "overlap|expanded",
            "memory of its own",
            EMPTY_LIKE,
        ),
        "overlapping view": Case(
            lambda: fuse(regions=labels(), **overlapping()),
            ValueError,
            "another view",
            "same view",
            EMPTY_LIKE,
        ),
        "overlapping array": Case(
            lambda: fuse(regions=labels(), **overlapping(lambda view: view.numpy())),
            ValueError,
            "another view",
            "same view",
            EMPTY_LIKE,
        ),
        "reversed view": Case(
            lambda: (lambda a: fuse(a, labels(), out=a[::-1]))(array("f4")),
            ValueError,
            "another view",
            "same view",
            EMPTY_LIKE,
        ),
        "transposed view": Case(
            lambda: (lambda t: fuse(t, labels(4, 4), out=t.T))(scores(4, 4)),
            ValueError,
            "another view",
            "same view",
            EMPTY_LIKE,
        ),
        "out with gradient": Case(
            fusing(scores(), out=scores().requires_grad_()), ValueError, "gradients", "not", "no_grad"
        ),
        "distribution with gradient": Case(
            fusing(scores().requires_grad_(), out=scores()), ValueError, "gradients", "not", "no_grad"
        ),
    },
    "scores": {
        "logits as scores": Case(proposing(chances() * 8), ValueError, "4 and 4", r"\[0, 1\]", LOGITS),
        "one score above 1": Case(proposing(one(1.01, chances())), ValueError, r"1\.01", r"\[0, 1\]", LOGITS),
        "one score below 0": Case(proposing(one(-0.1, chances())), ValueError, r"-0\.1", r"\[0, 1\]", LOGITS),
        "nan score": Case(proposing(one(NAN, chances())), ValueError, "nan", "finite", "."),
        "inf score": Case(proposing(one(INF, chances())), ValueError, "inf", "finite", LOGITS),
        "-inf score": Case(proposing(one(-INF, chances())), ValueError, "-inf", "finite", LOGITS),
        "rank 3": Case(
            proposing(chances()[0]), ValueError, r"\(2, 2, 3\)", r"\(B, N, h, w\)", r"scores\[None\]"
        ),
        "rank 5": Case(
            proposing(chances()[None]), ValueError, r"\(1, 1, 2, 2, 3\)", r"\(B, N, h, w\)", "axis"
        ),
        "no images": Case(
            proposing(chances()[:0], validity()[:0]), ValueError, r"\(0, 2, 2, 3\)", "at least", "."
        ),
        "no rows": Case(proposing(chances()[:, :, :0]), ValueError, r"\(1, 2, 0, 3\)", "at least 1", "."),
        "integer scores": Case(proposing(labels(1, 2, 2, 3)), TypeError, "int64", "float", r"scores\.float"),
        "boolean masks": Case(proposing(chances() > 0), TypeError, "bool", "float", r"scores\.float"),
        "complex scores": Case(proposing(chances() * 1j), TypeError, "complex64", "float", "."),
        "float8 scores": Case(
            proposing(chances().to(torch.float8_e4m3fn)), TypeError, "float8", "float", r"scores\.float"
        ),
        "list of scores": Case(proposing([[[[0.5]]]]), TypeError, "list", KINDS, "asarray"),
        "masked scores": Case(
            proposing(np.ma.masked_array(chances().numpy())), TypeError, "masked", "plain", "."
        ),
        "sparse scores": Case(proposing(chances().to_sparse()), TypeError, "sparse", "dense", "to_dense"),
        "all on meta": Case(
            proposing(chances().to("meta"), validity().to("meta")), ValueError, "meta", "values", "."
        ),
    },
    "validity": {
        "logits as validity": Case(proposing(v=validity() * -4), ValueError, "-2", r"\[0, 1\]", LOGITS),
        "nan validity": Case(proposing(v=one(NAN, validity())), ValueError, "nan", "finite", "."),
        "inf validity": Case(proposing(v=one(INF, validity())), ValueError, "inf", "finite", LOGITS),
        "another N": Case(proposing(v=scores(1, 3)), ValueError, r"\(1, 3\)", r"\(B, N\) = \(1, 2\)", "per"),
        "another B": Case(proposing(v=scores(2, 2)), ValueError, r"\(2, 2\)", r"\(B, N\) = \(1, 2\)", "per"),
        "validity of rank 1": Case(proposing(v=scores(2)), ValueError, r"\(2,\)", r"\(1, 2\)", "per"),
        "integer validity": Case(proposing(v=labels(1, 2)), TypeError, "int64", "float", r"validity\.float"),
        "list of validity": Case(proposing(v=[[0.5, 0.5]]), TypeError, "list", KINDS, "asarray"),
        "scores on meta": Case(proposing(chances().to("meta")), ValueError, "cpu", "meta", r"\.to\("),
    },
    "mask_logits": {
        "nan logit": Case(from_logits(one(NAN, chances())), ValueError, "nan", "finite|numbers", "."),
        "inf logit": Case(from_logits(one(INF, chances())), ValueError, "inf", "finite", "."),
        "-inf logit": Case(from_logits(one(-INF, chances())), ValueError, "-inf", "finite", "."),
        "integer logits": Case(from_logits(labels(1, 2, 2, 3)), TypeError, "int64", "float", r"\.float"),
        "logits of rank 3": Case(
            from_logits(chances()[0]), ValueError, r"\(2, 2, 3\)", r"\(B, N, h, w\)", r"mask_logits\[None\]"
        ),
    },
    "validity_logits": {
        "nan validity logit": Case(
            from_logits(v=one(NAN, validity())), ValueError, "nan", "finite|numbers", "."
        ),
        "logits of another N": Case(from_logits(v=scores(1, 3)), ValueError, r"\(1, 3\)", r"\(1, 2\)", "per"),
        "integer validity logits": Case(
            from_logits(v=labels(1, 2)), TypeError, "int64", "float", r"validity_logits\.float"
        ),
    },
    "labels": {
        "float": Case(mapping(scores(1, 4, 5)), TypeError, "float32", IDS, r"\.to\("),
        "bool": Case(mapping(scores(1, 4, 5) > 0), TypeError, "bool", IDS, r"\.to\("),
        "float array": Case(mapping(array("f4")[None]), TypeError, "numpy array of float32", IDS, "Convert"),
        "list": Case(mapping([[[0]]]), TypeError, "list", KINDS, "asarray"),
        "None": Case(mapping(None), TypeError, "NoneType", KINDS, "asarray"),
        "rank 2": Case(mapping(labels()), ValueError, r"\(4, 5\)", r"\(B, H, W\)", r"labels\[None\]"),
        "rank 4": Case(mapping(labels(1, 1, 4, 5)), ValueError, r"\(1, 1, 4, 5\)", r"\(B, H, W\)", "axis"),
        "empty": Case(mapping(labels(1, 0, 5)), ValueError, r"\(1, 0, 5\)", "at least 1", "."),
        "below -1": Case(mapping(labels(1, 4, 5) - 7), ValueError, "-7", "-1 for unassigned", "-1"),
        "meta": Case(mapping(labels(1, 4, 5).to("meta")), ValueError, "meta", "values", "."),
    },
    "size": {
        "resized to nothing": Case(
            lambda: RegionMap(labels(1, 4, 5)).resize((0, 5)), ValueError, r"\(0, 5\)", "positive", "."
        ),
        "resized to a number": Case(
            lambda: RegionMap(labels(1, 4, 5)).resize(5), ValueError, "5", r"\(H, W\)", "."
        ),
        **{
            f"{assign.__name__} to {size!r}": Case(
                assigning(proposals(), size, assign=assign),
                ValueError,
                re.escape(repr(size)),
                r"\(H, W\), two positive integers",
                r"image\.shape\[-2:\]",
            )
            for size in ((0, 5), (-4, 5), (4,), (1, 4, 5), (4.0, 5.0), 5, None, "45")
            for assign in (soft_assignment, hard_assignment)
        },
    },
    "region_map": {
        "split tensor": Case(lambda: split_components(labels()), TypeError, "int64", "RegionMap", WRAP_MAP),
        "split proposals": Case(
            lambda: split_components(proposals()), TypeError, "RegionProposals", "RegionMap", WRAP_MAP
        ),
    },
    "connectivity": {
        **{
            f"connectivity {value!r}": Case(
                lambda value=value: split_components(RegionMap(labels(1, 4, 5)), value),
                ValueError,
                re.escape(repr(value)),
                "4 or 8",
                "Use 8",
            )
            for value in (6, 0, None, "8")
        },
    },
    "proposals": {
        "soft of a tensor": Case(
            assigning(chances(), (4, 5)), TypeError, r"\(1, 2, 2, 3\)", "RegionProposals", WRAP_PROPOSALS
        ),
        "hard of a tensor": Case(
            assigning(chances(), (4, 5), assign=hard_assignment),
            TypeError,
            "tensor",
            "RegionProposals",
            WRAP_PROPOSALS,
        ),
        "soft of a map": Case(
            assigning(RegionMap(labels(1, 4, 5)), (4, 5)),
            TypeError,
            "RegionMap",
            "RegionProposals",
            WRAP_PROPOSALS,
        ),
    },
    "interpolate": {
        "soft interpolate": Case(
            assigning(proposals(), (4, 5), interpolate="bilinear"),
            ValueError,
            "'bilinear'",
            '"scores" or "logits"',
            '"scores"',
        ),
        "hard interpolate": Case(
            painting(interpolate=None), ValueError, "None", '"scores" or "logits"', '"scores"'
        ),
    },
    "threshold": {
        **{
            f"threshold {value!r}": Case(
                painting(value), ValueError, re.escape(repr(value)), r"\[0, 1\)", "0.5"
            )
            for value in (1.0, 7, -0.1, NAN, INF, "half", None)
        },
    },
}


@pytest.mark.parametrize(
    ("argument", "case"),
    [
        pytest.param(argument, case, id=f"{argument}: {name}")
        for argument, cases in CASES.items()
        for name, case in cases.items()
    ],
)
def test_a_bad_input_gives_its_one_clear_error(argument, case):
    with pytest.raises(CSLError) as caught:
        case.call()
    error = caught.value
    assert isinstance(error, case.kind)
    assert error.argument == argument
    assert re.search(case.got, error.got)
    assert re.search(case.expected, error.expected)
    assert re.search(case.hint, error.hint)
    assert str(error) == f"{error.argument}: got {error.got}, expected {error.expected}. {error.hint}"
    assert re.fullmatch(r"\S(.*[^.])?", error.got)
    assert re.fullmatch(r"\S(.*[^.])?", error.expected)
    assert re.fullmatch(r"[A-Z\"'].*\.", error.hint)
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__


def test_shapes_and_types_are_checked_even_where_values_are_not():
    for distribution in (scores(5), labels()):
        with pytest.raises(CSLError):
            fuse(distribution, labels(), check=False)
    assert fuse(one(-1.0), labels(), check=False).shape == (4, 5)


@pytest.mark.parametrize("rule", ["product", "geometric", "mean"])
def test_on_meta_shapes_can_be_traced_without_a_check(rule):
    distribution, region_map = scores(2, 4, 5).to("meta"), RegionMap(labels(1, 4, 5).to("meta"), 3)
    fused = fuse(distribution, region_map, rule=rule, check=False, split=False)
    assert (fused.shape, fused.device) == (distribution.shape, distribution.device)


@pytest.mark.parametrize("value", [NAN, -1.0, INF])
def test_a_refused_call_writes_nothing(value):
    distribution, out = one(value), scores() * 3
    with pytest.raises(CSLError):
        fuse(distribution, labels(), out=out)
    assert (out == 1.5).all()
    with pytest.raises(CSLError):
        fuse(distribution, labels(), out=distribution)
    assert torch.equal(distribution.nan_to_num(), one(value).nan_to_num())


def test_a_message_is_one_printable_line_whatever_a_name_holds():
    error = CSLError("a\nb\x1b[31m\ud800\u202e.png", "é", "c", "D.")
    assert str(error) == r"a\nb\x1b[31m\ud800\u202e.png: got é, expected c. D."
    assert error.argument == "a\nb\x1b[31m\ud800\u202e.png"


# ---- the family

BUILT_IN = {
    "ShapeError": ValueError,
    "DTypeError": TypeError,
    "DeviceError": ValueError,
    "ScoreRangeError": ValueError,
    "OptionError": ValueError,
    "OutputError": TypeError,
    "FileError": OSError,
    "MissingExtraError": ImportError,
}
FAMILY = [error for _, error in inspect.getmembers(errors, inspect.isclass) if issubclass(error, CSLError)]


@pytest.mark.parametrize("error", FAMILY)
def test_every_error_is_of_the_package_and_a_built_in(error):
    assert error.__bases__ == (Exception,) if error is CSLError else (CSLError, BUILT_IN[error.__name__])
    assert error.__doc__


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("error", FAMILY)
def test_errors_travel_between_processes(error, protocol):
    sent = error("scores", "3 values", "4 values", "Pass one more.")
    for received in (pickle.loads(pickle.dumps(sent, protocol)), copy.copy(sent), copy.deepcopy(sent)):  # noqa: S301
        assert type(received) is error
        assert str(received) == str(sent) == "scores: got 3 values, expected 4 values. Pass one more."
        assert (received.argument, received.got, received.expected, received.hint) == (
            "scores", "3 values", "4 values", "Pass one more.",
        )  # fmt: skip


@pytest.mark.parametrize("shape", [(120, 160, 19), (2, 120, 160, 3)])
def test_channels_last_beside_proposals_is_caught(shape):
    batch = shape[0] if len(shape) == 4 else 1
    made = RegionProposals(torch.rand(batch, 5, 30, 40), torch.rand(batch, 5))
    with pytest.raises(errors.ShapeError, match=r"distribution: .*channels-last.*permute"):
        fuse(torch.rand(shape), made)
    channels_first = torch.rand(shape).movedim(-1, -3)
    assert fuse(channels_first, made).shape == channels_first.shape

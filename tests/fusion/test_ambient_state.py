"""A call does what it does without ambient state: default device and dtype, modes, numpy's errors."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
import torch

from csl_plugin import (
    Calibration,
    RegionMap,
    RegionProposals,
    fuse,
    fuse_labels,
    hard_assignment,
    load_proposer,
    soft_assignment,
    split_components,
)
from csl_plugin.arrays import resize_nearest

draw = torch.Generator().manual_seed(0)
SCORES = torch.rand(2, 3, 24, 32, generator=draw)
LOGITS = torch.randn(2, 3, 6, 8, generator=draw)
IDS = torch.arange(24 * 32).reshape(1, 24, 32).div(64, rounding_mode="floor").expand(2, -1, -1).contiguous()
THREE = [IDS, IDS // 3, IDS % 5 - 1]
PROPOSALS = RegionProposals(
    torch.rand(2, 5, 6, 8, generator=draw).half(), torch.rand(2, 5, generator=draw).half()
)
IMAGE = torch.rand(1, 3, 40, 56, generator=draw)
PROPOSERS = {name: load_proposer(name) for name in ("superpixels", "csl-tiny", "csl-tiny:10")}
CALIBRATION = Calibration.fit_quantile([np.linspace(0, 1, 50)])


@contextmanager
def default_device():
    torch.set_default_device("meta")  # stands for any device on which the data do not lie
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def default_dtype():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


STATES = {
    "default device": default_device,
    "default dtype": default_dtype,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "inference mode": torch.inference_mode,
    "numpy raises": lambda: np.errstate(all="raise"),
    "nothing": nullcontext,
}

CALLS = {
    "fuse": lambda: fuse(SCORES, IDS),
    "fuse without split": lambda: fuse(SCORES, IDS, split=False),
    "fuse half": lambda: fuse(SCORES.half(), IDS, rule="geometric"),
    "fuse an array": lambda: torch.from_numpy(fuse(SCORES.numpy(), IDS.numpy())),
    "fuse three": lambda: fuse(SCORES, THREE, rule="product"),
    "fuse by trust": lambda: fuse(SCORES, THREE),
    "fuse proposals": lambda: fuse(SCORES, PROPOSALS),
    "fuse logits": lambda: fuse(LOGITS, IDS, size=(24, 32), logits=True),
    "labels": lambda: fuse_labels(SCORES, IDS),
    "labels of logits": lambda: fuse_labels(LOGITS, THREE, size=(24, 32), logits=True),
    "labels of logits, split": lambda: fuse_labels(LOGITS, IDS, size=(24, 32), logits=True),
    "soft": lambda: soft_assignment(PROPOSALS, (24, 32)).labels,
    "hard": lambda: hard_assignment(PROPOSALS, (24, 32), 0.5).labels,
    "components": lambda: split_components(RegionMap(IDS % 7)).labels,
    "resize": lambda: RegionMap(IDS).resize((7, 9)).labels,
    "resize an array": lambda: torch.from_numpy(resize_nearest(IDS.numpy(), (7, 9))),
    "calibration": lambda: CALIBRATION(SCORES),
    "superpixels": lambda: PROPOSERS["superpixels"](IMAGE)[0].labels,
}
NETWORK_CALLS = {
    name: (lambda name=name: PROPOSERS[name](IMAGE)[0].labels) for name in ("csl-tiny", "csl-tiny:10")
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("call", CALLS)
def test_a_call_does_what_it_does_without(call, state):
    expected = CALLS[call]()
    with STATES[state]():
        found = CALLS[call]()
    assert found.dtype == expected.dtype
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    "state", [state for state in STATES if state != "autocast"]
)  # a network obeys autocast
@pytest.mark.parametrize("call", NETWORK_CALLS)
def test_so_does_a_network(call, state):
    expected = NETWORK_CALLS[call]()
    with STATES[state]():
        found = NETWORK_CALLS[call]()
    assert torch.equal(found, expected)

"""The same calls from 32 threads, and the same calls many times: equal results, flat memory."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import torch
from torch import Tensor

from csl_plugin import Calibration, RegionProposals, fuse, fuse_labels, load_proposer, soft_assignment
from tests.attack.mutation import Rng

_THREADS = 32
_CALLS = 40
_ALLOWED = 24 << 20


def threads(rng: Rng, folder: Path) -> str | None:
    """Different inputs in 32 threads at once."""
    cases = [_case(rng) for _ in range(_THREADS)]
    expected = [_work(*case) for case in cases]
    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(_work, *zip(*cases, strict=True)))
    for results, wanted in zip(found, expected, strict=True):
        if not all(map(torch.equal, results, wanted)):
            return "a call among 32 threads gives another result than alone"
    return None


def memory(rng: Rng, folder: Path) -> str | None:
    """Many calls of many sizes hold no more memory than a few did."""
    process = psutil.Process()
    for _ in range(5):
        _work(*_case(rng))
    gc.collect()
    before = process.memory_info().rss
    for _ in range(_CALLS):
        _work(*_case(rng))
    gc.collect()
    grown = process.memory_info().rss - before
    return f"{_CALLS} calls hold {grown >> 20} MiB more" if grown > _ALLOWED else None


def _case(rng: Rng) -> tuple[Tensor, list[Tensor]]:
    shape = (int(rng.integers(1, 4)), int(rng.integers(16, 90)), int(rng.integers(16, 90)))
    scores = torch.from_numpy(rng.random(shape, dtype=np.float32))
    coarse = [rng.integers(-1, 6, (shape[1] // 4 + 1, shape[2] // 4 + 1)) for _ in range(rng.integers(1, 3))]
    whole = [each.repeat(4, 0).repeat(4, 1)[: shape[1], : shape[2]].copy() for each in coarse]
    return scores, [torch.from_numpy(each) for each in whole]


def _work(scores: Tensor, partitions: list[Tensor]) -> tuple[Tensor, ...]:
    proposals = RegionProposals(scores[None], scores[None].mean((2, 3)))
    image = scores[:1].expand(3, -1, -1)[None]
    return (
        fuse(scores, partitions),
        fuse(scores, partitions, rule="product"),
        fuse_labels(scores, partitions),
        soft_assignment(proposals, (61, 83)).labels,
        load_proposer("superpixels")(image)[0].labels,
        Calibration.fit_quantile([scores], levels=16)(scores),
    )

"""The mean of every class over every region."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.speed import oracle
from benchmarks.speed.contestants import Case, Contestant, Spec
from benchmarks.speed.peers import equations
from benchmarks.speed.stages.subject import Subject
from csl_plugin import ops

# Sums in float32 over a large region lose digits; the library is checked more strictly.
_LOOSE, _TIGHT = 1e-4, 5e-7


def build(spec: Spec) -> Case:
    """The contestants of the region means."""
    subject = Subject(spec)
    labels, count, batch = subject.labels, subject.count, subject.distribution
    distribution, plane = batch[0], labels[0]
    truth = cache(lambda: oracle.float64_means(distribution, plane, count))
    regions = ops.partition(labels, count, split=False)

    def ours() -> Tensor:
        return ops.means(batch, ops.partition(labels, count, split=False))

    def usual(name: str, role: Any, function: Any) -> Contestant:
        call = partial(function, distribution, plane, count)
        return Contestant(name, role, call, verify=oracle.close(truth, _LOOSE))

    return Case(
        [
            Contestant("read D once", "floor", distribution.sum),
            usual("mask loop", "naive", equations.mask_loop_means),
            usual("index_add", "simple", equations.index_add_means),
            usual("index_add, transposed", "simple", equations.index_add_transposed_means),
            usual("bincount per class", "simple", equations.bincount_means),
            usual("scipy.ndimage.mean per class", "peer", _scipy_means),
            Contestant("ours", "ours", ours, verify=oracle.close(truth, _TIGHT)),
            Contestant(
                "ours, runs known",
                "ours",
                partial(ops.means, batch, regions),
                verify=oracle.close(truth, _TIGHT),
            ),
        ]
    )


def _scipy_means(distribution: Tensor, labels: Tensor, count: int) -> Tensor:
    from scipy import ndimage

    # Sums and not means, because scipy divides by zero for regions without a pixel.
    pixels = torch.bincount(labels.reshape(-1), minlength=count).clamp(min=1)
    ids = range(count)
    sums = [
        torch.from_numpy(ndimage.sum_labels(plane, labels.numpy(), ids)) for plane in distribution.numpy()
    ]
    return torch.stack(sums) / pixels

"""The second half of equation 3: means times scores, as maps or as the most probable class."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.speed import oracle
from benchmarks.speed.contestants import Case, Contestant, Spec
from benchmarks.speed.peers import equations
from benchmarks.speed.stages.subject import Subject
from csl_plugin import RegionMap, fuse_labels, ops

_ROUNDING = 2e-7


def build_apply(spec: Spec) -> Case:
    """The contestants of the fused maps."""
    subject = Subject(spec)
    labels, count, batch = subject.labels, subject.count, subject.distribution
    distribution, plane, size = batch[0], labels[0], batch.nbytes
    regions = ops.partition(labels, count, split=False)
    table = ops.means(batch, regions)
    scratch = torch.empty_like(batch)
    restore = partial(subject.restored, scratch)
    truth = cache(lambda: equations.gather_apply(distribution, plane, table[0]))

    def usual(name: str, role: Any, function: Any) -> Contestant:
        call = partial(function, distribution, plane, table[0])
        agrees, aside = oracle.close(truth, _ROUNDING), role == "naive"
        return Contestant(name, role, call, verify=agrees, output_bytes=size, aside=aside)

    def ours(name: str, target: Tensor | None, prepare: Any = None, threads: int = 1) -> Contestant:
        source = scratch if prepare else batch
        return Contestant(
            name,
            "ours",
            partial(ops.apply, source, regions, table, "product", target),
            prepare,
            oracle.close(truth, _ROUNDING),
            threads,
            0 if target is scratch else size,
        )

    return Case(
        [
            Contestant("D.mul_(1.)", "floor", partial(scratch.mul_, 1.0), restore),
            Contestant("D.clone()", "peer", batch.clone, output_bytes=size),
            usual("mask loop", "naive", equations.mask_loop_apply),
            usual("m[:, a] * D", "simple", equations.gather_apply),
            usual("index_select per class", "simple", equations.index_select_apply),
            ours("ours", None),
            ours("ours, out=", scratch),
            ours("ours, in place", scratch, restore),
        ]
    )


def build_labels(spec: Spec) -> Case:
    """The contestants of the most probable class."""
    subject = Subject(spec)
    labels, count, batch = subject.labels, subject.count, subject.distribution
    distribution, plane = batch[0], labels[0]
    table = ops.means(batch, ops.partition(labels, count, split=False))
    size = plane.numel() * 8
    agrees = oracle.same_labels(lambda: equations.gather_apply(distribution, plane, table[0]))

    def textbook() -> Tensor:
        return equations.gather_apply(distribution, plane, table[0]).argmax(0)

    streaming = partial(equations.streaming_labels, distribution, plane, table[0])
    region_map = RegionMap(labels, num_regions=count)
    ours = partial(fuse_labels, batch, region_map, rule="product", split=False, check=False)
    return Case(
        [
            Contestant("read D once", "floor", distribution.sum),
            Contestant("D.argmax(0), not fused", "peer", partial(distribution.argmax, 0), output_bytes=size),
            Contestant("(m[:, a] * D).argmax(0)", "naive", textbook, verify=agrees, output_bytes=size),
            Contestant("streaming over classes", "simple", streaming, verify=agrees, output_bytes=size),
            Contestant("ours, means included", "ours", ours, verify=agrees, output_bytes=size),
        ]
    )

"""From a network's raw outputs and a distribution to the fused maps, or to labels."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.speed import inputs, oracle
from benchmarks.speed.contestants import Agreement, Case, Contestant, Spec
from benchmarks.speed.peers import equations, mask_heads, refinement
from benchmarks.speed.stages.subject import Subject, installed
from csl_plugin import RegionProposals, fuse, fuse_labels, hard_assignment

# Means in float32 over two million pixels differ by this much from those in float64.
_TOLERANCE = 2e-5
_PARTITIONS = 4


def build(spec: Spec) -> Case:
    """All contestants, peers with C = 1."""
    work = _Whole(spec)
    case = Case([work.floor(), work.naive(), work.streaming(), work.careful()])
    case.contestants += work.ours()
    if spec.classes > 1:
        case.contestants[4:4] = [work.careful_labels()]
        case.contestants += work.our_labels()
    else:
        case.contestants += [
            *_transformers(work, case.missing),
            *_mask_heads(work),
            *_refinement(work, case.missing),
        ]
    return case


def build_scaling(spec: Spec) -> Case:
    """The contestants in the plot."""
    work = _Whole(spec)
    return Case([work.naive(), work.careful(), work.streaming(), work.ours()[0]])


class _Whole:
    """The contestants of one image, and the expected result."""

    def __init__(self, spec: Spec) -> None:
        self.subject = Subject(spec)
        p = self.proposals = self.subject.proposals
        self.arguments = p.logits, p.validity, p.size
        self.batch = self.subject.distribution
        self.scratch = torch.empty_like(self.batch)
        self.truth = cache(self._truth)
        self.agrees = oracle.close(self.truth, _TOLERANCE)

    def regions(self, logits: Tensor | None = None) -> RegionProposals:
        """`RegionProposals` from raw outputs."""
        p = self.proposals
        return RegionProposals.from_logits(
            p.logits[None] if logits is None else logits, p.validity_logits[None]
        )

    def floor(self) -> Contestant:
        def call() -> None:
            self.proposals.logits.sum()
            self.scratch.mul_(1.0)

        return Contestant("read L once, D.mul_(1.)", "floor", call, self._restore)

    def naive(self) -> Contestant:
        def call() -> Tensor:
            labels = equations.naive_assign(*self.arguments)
            table = equations.mask_loop_means(self.batch[0], labels, self.subject.count)
            return equations.gather_apply(self.batch[0], labels, table)

        return self._usual("naive", "naive", call, aside=self.subject.spec.classes > 1)

    def streaming(self) -> Contestant:
        return self._usual(
            "streaming, index_add, m[:, a] * D", "simple", partial(self._fused, streaming=True)
        )

    def careful(self) -> Contestant:
        return self._usual("careful torch", "simple", partial(self._fused, streaming=False))

    def careful_labels(self) -> Contestant:
        def call() -> Tensor:
            return self._fused(streaming=False).argmax(0)

        return Contestant("careful torch, labels", "peer", call, verify=oracle.same_labels(self.truth))

    def ours(self) -> list[Contestant]:
        """The public call with its options: eq. 3 first, which the peers compute, then the default rule."""

        def call(**options: Any) -> Any:
            return fuse(self.batch, self.regions(), **options)

        def in_place() -> Any:
            return fuse(self.scratch, self.regions(), rule="product", split=False, out=self.scratch)

        # The first partition, shifted.
        several = [self.proposals.logits[None].roll(7 * moved, -1) for moved in range(_PARTITIONS)]

        def together() -> Any:
            return fuse(self.batch, [self.regions(logits) for logits in several], split=False)

        known, size = self.regions(), self.batch.nbytes
        without_checks = partial(fuse, self.batch, known, rule="product", split=False, check=False)
        plain = partial(call, rule="product", split=False)
        return [
            Contestant("ours", "ours", plain, verify=self.agrees, output_bytes=size),
            Contestant("ours, in place", "ours", in_place, self._restore, self.agrees),
            Contestant("ours, split", "ours", partial(call, rule="product"), output_bytes=size),
            Contestant("ours, no checks", "ours", without_checks, verify=self.agrees, output_bytes=size),
            Contestant("ours, 2 threads", "ours", plain, None, self.agrees, 2, size),
            Contestant("ours, adaptive", "ours", partial(call, split=False), output_bytes=size),
            Contestant(f"ours, {_PARTITIONS} partitions, adaptive", "ours", together, output_bytes=size),
        ]

    def our_labels(self) -> list[Contestant]:
        """The public call for labels only."""

        def call() -> Tensor:
            return fuse_labels(self.batch, self.regions(), rule="product", split=False)

        agrees, size = oracle.same_labels(self.truth), self.batch[0, 0].numel() * 8
        return [
            Contestant("ours, labels", "ours", call, None, agrees, 1, size),
            Contestant("ours, labels, 2 threads", "ours", call, None, agrees, 2, size),
        ]

    def photograph(self) -> Any:
        """An image whose edges are the regions'."""
        return inputs.photograph(self.subject.labels[0])

    def _usual(self, name: str, role: Any, call: Any, *, aside: bool = False) -> Contestant:
        size = self.batch.nbytes
        return Contestant(name, role, call, verify=self.agrees, output_bytes=size, aside=aside)

    def _restore(self) -> None:
        self.subject.restored(self.scratch)

    def _fused(self, *, streaming: bool) -> Tensor:
        assign = equations.streaming_assign if streaming else equations.naive_assign
        labels = assign(*self.arguments)
        table = equations.index_add_means(self.batch[0], labels, self.subject.count)
        return equations.gather_apply(self.batch[0], labels, table)

    def _truth(self) -> Tensor:
        labels = self.subject.labels[0]
        table = oracle.float64_means(self.batch[0], labels, self.subject.count).float()
        return equations.gather_apply(self.batch[0], labels, table)


def _transformers(work: _Whole, missing: list[str]) -> list[Contestant]:
    try:
        processor = mask_heads.transformers_processor()
    except ImportError as error:
        missing.append(f"transformers' post-processing: {error}")
        return []
    outputs = mask_heads.network_outputs(*work.arguments[:2])
    sizes = [work.proposals.size]
    return [
        Contestant(
            "HF semantic (384x384), assignment only",
            "peer",
            partial(processor.post_process_semantic_segmentation, outputs, target_sizes=sizes),
        ),
        Contestant(
            "HF panoptic, assignment only",
            "peer",
            partial(
                processor.post_process_panoptic_segmentation,
                outputs,
                label_ids_to_fuse=set(),
                target_sizes=sizes,
            ),
        ),
    ]


def _mask_heads(work: _Whole) -> list[Contestant]:
    def agrees(found: Tensor) -> Agreement:
        expected = hard_assignment(work.regions(), work.proposals.size).labels[0]
        wrong = int((found != expected).sum())
        return Agreement(wrong == 0, f"{wrong} wrong")

    panoptic = partial(mask_heads.panoptic_inference, *work.arguments)
    painted = partial(mask_heads.hard_assignment, *work.arguments)
    return [
        Contestant("Mask2Former panoptic, assignment only", "peer", panoptic, aside=True),
        Contestant("EntitySeg hard assignment, assignment only", "peer", painted, verify=agrees, aside=True),
    ]


def _refinement(work: _Whole, missing: list[str]) -> list[Contestant]:
    score, photograph = work.batch[0, 0].numpy(), work.photograph()
    found = [Contestant("guided filter", "peer", partial(refinement.guided_filter, score, photograph))]
    if installed("pydensecrf", missing):
        crf = partial(refinement.dense_crf, score, photograph)
        found.append(Contestant("DenseCRF, 5 iterations", "peer", crf, aside=True))
    return found

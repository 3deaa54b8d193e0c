"""From a teacher's logits at stride 4 to the fused labels: upsampled first, or band by band."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.speed import inputs, oracle
from benchmarks.speed.contestants import Case, Contestant, Spec
from benchmarks.speed.peers import equations
from benchmarks.speed.stages.subject import Subject
from csl_plugin import RegionMap, RegionProposals, fuse_labels

_TILED_BEYOND = 1 << 24


def build(spec: Spec) -> Case:
    """Labels from logits at stride 4, the region map known."""
    subject = Subject(spec)
    labels, count, size = subject.labels, subject.count, spec.size
    logits = _teacher(labels[0, :: inputs.STRIDE, :: inputs.STRIDE], spec.classes)
    region_map, output = RegionMap(labels, num_regions=count), labels.numel() * 8

    def raised() -> Tensor:
        return F.interpolate(logits, size, mode="bilinear").softmax(1)

    def textbook() -> Tensor:
        batch = raised()
        table = equations.index_add_means(batch[0], labels[0], count)
        return equations.gather_apply(batch[0], labels[0], table).argmax(0)

    def upsampled_first() -> Any:
        return fuse_labels(raised(), region_map, rule="product", split=False, check=False)

    @cache
    def truth() -> Tensor:
        batch = raised()
        table = oracle.float64_means(batch[0], labels[0], count).float()
        return equations.gather_apply(batch[0], labels[0], table)

    ours = partial(
        fuse_labels, logits, region_map, rule="product", split=False, size=size, logits=True, check=False
    )
    agrees = oracle.same_labels(truth, tie=1e-4)
    return Case(
        [
            Contestant("upsample, softmax", "floor", raised),
            Contestant("upsample, careful torch", "naive", textbook, verify=agrees, output_bytes=output),
            Contestant("upsample, ours", "ours", upsampled_first, verify=agrees, output_bytes=output),
            Contestant("ours, size=", "ours", ours, verify=agrees, output_bytes=output),
        ]
    )


def build_large(spec: Spec) -> Case:
    """One call on a map too large for the other contestants: raw outputs and logits at stride 4 to labels."""
    height, width = spec.size
    tiles = 4 if height * width >= _TILED_BEYOND else 1
    scene = inputs.scene((height // tiles, width // tiles))
    proposals = RegionProposals.from_logits(
        scene.logits.bfloat16().repeat(1, tiles, tiles)[None], scene.validity_logits[None]
    )
    winners = (scene.logits.sigmoid() * scene.validity[:, None, None]).argmax(0)
    logits = _teacher(winners.repeat(tiles, tiles), spec.classes).bfloat16()
    ours = partial(fuse_labels, logits, proposals, rule="product", size=spec.size, logits=True)
    held = (proposals.mask_logits.nbytes + logits.nbytes) / 1e6
    return Case(
        [Contestant("ours, size=, split", "ours", ours, output_bytes=height * width * 8)],
        [f"The inputs, in bfloat16, take {held:.0f} MB"],
    )


def _teacher(labels: Tensor, classes: int) -> Tensor:
    """Logits (1, C, h, w): a level for every region and class, and noise."""
    generator = torch.Generator().manual_seed(0)
    level = torch.randn(int(labels.max()) + 1, classes, generator=generator) * 2
    logits = level[labels.long()].permute(2, 0, 1).contiguous()
    return (logits + torch.randn(logits.shape, generator=generator)).unsqueeze(0)

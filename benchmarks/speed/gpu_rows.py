"""What `make gpu` measures: assignment, components, eq. 3 and the default rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.speed import inputs
from benchmarks.speed.oracle import AssignOracle, float64_means
from benchmarks.speed.peers import equations
from csl_plugin import (
    RegionMap,
    RegionProposals,
    fuse,
    fuse_labels,
    load_proposer,
    ops,
    soft_assignment,
    split_components,
)
from csl_plugin.io import image_batch
from csl_plugin.proposers import Proposer

FROM_THE_IMAGE = "default proposer and rule, C=1"
_MOST_COUNTS = 400


@dataclass(frozen=True)
class Contestant:
    """One call on the device.

    Attributes:
        name: Its name in the table.
        call: The timed function.
        claim: Compares the result with the equations; None if it is not compared.
        captured: Whether it is also timed as a captured CUDA graph.
        silent: Whether it must not synchronize with the device.
        counts: How many numbers it may read from the device; None if that is not looked at.
        output_bytes: Size of the allocated result.
    """

    name: str
    call: Callable[[], Any]
    claim: Callable[[Any], str] | None = None
    captured: bool = False
    silent: bool = False
    counts: int | None = None
    output_bytes: int = 0


def contestants(
    device: torch.device, size: tuple[int, int], classes: tuple[int, ...]
) -> Iterator[Contestant]:
    """All contestants, on any device, so that tests can run them without a GPU."""
    p = inputs.scene(size)
    yield from _assignment(p, device)
    labels = soft_assignment(RegionProposals.from_logits(*_batched(p)), size).labels
    yield _components(labels.to(device), len(p.validity))
    yield from _from_the_image(labels[0], device)
    for count in classes:
        distribution = inputs.distribution(labels[0], count)
        yield from _fusion(p, labels[0], distribution, device)
        yield from _given_regions(labels[0], distribution, device)


def _batched(p: inputs.Proposals) -> tuple[Tensor, Tensor]:
    return p.logits[None], p.validity_logits[None]


def _assignment(p: inputs.Proposals, device: torch.device) -> Iterator[Contestant]:
    there = p.on(device)
    arguments = there.logits, there.validity, p.size
    oracle = AssignOracle(p, "before")
    size = p.size[0] * p.size[1]

    def claim(found: Any) -> str:
        return oracle((found.labels[0] if isinstance(found, RegionMap) else found).cpu()).text

    yield Contestant("read L once", there.logits.sum)
    yield Contestant(
        "assign, naive", partial(equations.naive_assign, *arguments), claim, output_bytes=8 * size
    )
    compiled = torch.compile(equations.naive_assign, dynamic=False) if device.type == "cuda" else None
    if compiled is not None:
        call = partial(compiled, *arguments)
        yield Contestant("assign, torch.compile(naive)", call, claim, output_bytes=8 * size)
    for dtype in (torch.float32, torch.bfloat16):
        stored = there.stored_as(dtype)
        ours = partial(soft_assignment, RegionProposals.from_logits(*_batched(stored)), p.size)
        checked = claim if dtype == torch.float32 else None
        name = "assign, ours" if dtype == torch.float32 else "assign, ours, bfloat16"
        yield Contestant(name, ours, checked, captured=True, silent=True, output_bytes=4 * size)


def _components(labels: Tensor, count: int) -> Contestant:
    region_map = RegionMap(labels, num_regions=count)
    return Contestant(
        "components, ours", partial(split_components, region_map), output_bytes=4 * labels.numel()
    )


def _from_the_image(labels: Tensor, device: torch.device) -> Iterator[Contestant]:
    """All that a user's first call does besides the segmenter."""
    image = image_batch(inputs.photograph(labels)).to(device)
    score = inputs.distribution(labels, 1).to(device)
    propose = load_proposer()
    # Each round of merging reads how many regions are left, and how many boundaries; fusion, the components.
    yield Contestant("default proposer", partial(propose, image), counts=_MOST_COUNTS)
    whole = partial(_proposed_and_fused, propose, image, score)
    yield Contestant(FROM_THE_IMAGE, whole, counts=_MOST_COUNTS)


def _proposed_and_fused(propose: Proposer, image: Tensor, score: Tensor) -> Tensor:
    return fuse(score, propose(image), check=False)


def _fusion(
    p: inputs.Proposals, labels: Tensor, distribution: Tensor, device: torch.device
) -> Iterator[Contestant]:
    classes = distribution.shape[1]
    there, count = p.on(device), len(p.validity)
    proposals = RegionProposals.from_logits(*_batched(there))
    batch, target = distribution.to(device), torch.empty_like(distribution, device=device)
    known = labels.to(device).long()
    table = float64_means(distribution[0], labels, count).float()
    expected = equations.gather_apply(distribution[0], labels, table)
    on_device = table.to(device)
    mark = f"C={classes}"

    def careful() -> Tensor:
        found = equations.naive_assign(there.logits, there.validity, p.size)
        means = equations.index_add_means(batch[0], found, count)
        return equations.gather_apply(batch[0], found, means)

    def off(fused: Tensor) -> str:
        return f"{float((fused.reshape(expected.shape).cpu() - expected).abs().max()):.1e} off"

    options: dict[str, Any] = {"rule": "product", "split": False, "check": False}
    ours = partial(fuse, batch, proposals, out=target, **options)
    split = partial(fuse, batch, proposals, rule="product", out=target, check=False)
    yield Contestant(f"D.clone(), {mark}", batch.clone, output_bytes=batch.nbytes)
    yield Contestant(f"index_add means, {mark}", partial(equations.index_add_means, batch[0], known, count))
    regions = ops.partition(known[None], count, split=False)
    yield Contestant(f"means, ours, {mark}", partial(ops.means, batch, regions), captured=True, silent=True)
    gathered = partial(equations.gather_apply, batch[0], known, on_device)
    yield Contestant(f"m[:, a] * D, {mark}", gathered, off, output_bytes=batch.nbytes)
    applied = partial(ops.apply, batch, regions, on_device[None], "product", target)
    yield Contestant(f"apply, ours, out=, {mark}", applied, off, captured=True, silent=True)
    yield Contestant(f"whole stage, careful torch, {mark}", careful, off, output_bytes=batch.nbytes)
    yield Contestant(f"whole stage, ours, {mark}", ours, off, captured=True, silent=True)
    yield Contestant(f"whole stage, ours, split, {mark}", split)
    if classes > 1:
        labeled = partial(fuse_labels, batch, proposals, **options)
        size = 8 * labels.numel()
        yield Contestant(
            f"whole stage, ours, labels, {mark}",
            labeled,
            None,
            captured=True,
            silent=True,
            output_bytes=size,
        )


def _given_regions(labels: Tensor, distribution: Tensor, device: torch.device) -> Iterator[Contestant]:
    """Eq. 3 with one partition and the default rule with three, nested, whose maps are on the device."""
    classes = distribution.shape[1]
    mark = f"C={classes}"
    maps = [RegionMap(each[None]) for each in inputs.nested(labels)]
    there = [RegionMap(each.labels.to(device), each.num_regions) for each in maps]
    batch, target = distribution.to(device), torch.empty_like(distribution, device=device)
    fused = fuse(distribution, maps, split=False)

    def off(found: Tensor) -> str:
        return f"{float((found.cpu() - fused).abs().max()):.1e} off the CPU"

    options: dict[str, Any] = {"out": target, "check": False}
    one = partial(fuse, batch, there[0], rule="product", split=False, **options)
    three = partial(fuse, batch, there, split=False, **options)
    split = partial(fuse, batch, there, **options)
    checked = partial(fuse, batch, there, out=target)
    yield Contestant(f"eq. 3, ours, given regions, {mark}", one, captured=True, silent=True)
    yield Contestant(f"default rule, ours, three partitions, {mark}", three, off, captured=True, silent=True)
    yield Contestant(f"default rule, ours, three partitions, split, {mark}", split, counts=len(maps))
    # The check reads the least and the most score at once.
    counts = len(maps) + 1
    yield Contestant(f"default rule, ours, three partitions, split, checked, {mark}", checked, counts=counts)
    if classes > 1:
        call = partial(fuse_labels, batch, there, split=False, check=False)
        size = 8 * labels.numel()
        yield Contestant(
            f"default rule, ours, labels, {mark}", call, captured=True, silent=True, output_bytes=size
        )

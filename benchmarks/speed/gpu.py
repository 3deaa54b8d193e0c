"""`make gpu`: the same stages on a CUDA device.

Times are medians of CUDA events around single calls, each after the second-level cache was overwritten, as
triton.testing.do_bench takes them; the column "graph" is the replay of a captured CUDA graph. Extra memory
is torch's own account of the device's peak.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import machine
from benchmarks.speed import inputs, report
from benchmarks.speed.oracle import AssignOracle, float64_means
from benchmarks.speed.peers import equations
from benchmarks.speed.targets import MEGABYTE, Verdict
from csl_plugin import RegionMap, RegionProposals, fuse, fuse_labels, ops, soft_assignment, split_components

_SIZE = (1024, 2048)
_CALLS, _WARM_UP = 100, 10
_CACHE_BYTES = 1 << 28
_CLASSES = (1, 19)


@dataclass(frozen=True)
class Contestant:
    """One call on the device.

    Attributes:
        name: Its name in the table.
        call: The timed function.
        claim: Compares the result with the equations; None if it is not compared.
        captured: Whether it is also timed as a captured CUDA graph.
        silent: Whether it must not synchronize with the device.
        output_bytes: Size of the allocated result.
    """

    name: str
    call: Callable[[], Any]
    claim: Callable[[Any], str] | None = None
    captured: bool = False
    silent: bool = False
    output_bytes: int = 0


@dataclass
class Row:
    """The measurements of one contestant; None if there is none."""

    name: str
    microseconds: float
    graph: float | None
    extra_bytes: int
    output_bytes: int
    result: str
    silent: str


def contestants(
    device: torch.device, size: tuple[int, int], classes: tuple[int, ...]
) -> Iterator[Contestant]:
    """All contestants, on any device, so that tests can run them without a GPU."""
    p = inputs.scene(size)
    yield from _assignment(p, device)
    labels = soft_assignment(RegionProposals.from_logits(*_batched(p)), size).labels
    yield _components(labels.to(device), len(p.validity))
    for count in classes:
        yield from _fusion(p, labels[0], inputs.distribution(labels[0], count), device)


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
    adaptive = partial(fuse, batch, proposals, split=False, out=target, check=False)
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
    yield Contestant(f"whole stage, ours, adaptive, {mark}", adaptive, captured=True)
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


def measure(entry: Contestant, flush: Tensor) -> Row:
    """Time, graph replay, memory and synchronization of one contestant on the current CUDA device."""
    result = "" if entry.claim is None else entry.claim(entry.call())
    microseconds = _median(entry.call, flush)
    silent = _silence(entry.call) if entry.silent else ""
    graph = None
    if entry.captured:
        try:
            graph = _median(_replay(entry.call), flush)
        except RuntimeError as error:
            result += f" (not captured: {str(error).splitlines()[0]})"
    return Row(entry.name, microseconds, graph, _extra_bytes(entry.call), entry.output_bytes, result, silent)


def _median(call: Callable[[], Any], flush: Tensor) -> float:
    for _ in range(_WARM_UP):
        call()
    events = [
        (torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(_CALLS)
    ]
    for began, ended in events:
        flush.zero_()
        began.record()
        call()
        ended.record()
    torch.cuda.synchronize()
    return statistics.median(began.elapsed_time(ended) for began, ended in events) * 1e3


def _replay(call: Callable[[], Any]) -> Callable[[], Any]:
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    replay: Callable[[], Any] = graph.replay
    return replay


def _extra_bytes(call: Callable[[], Any]) -> int:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    return int(torch.cuda.max_memory_allocated() - before)


def _silence(call: Callable[[], Any]) -> str:
    torch.cuda.set_sync_debug_mode("error")
    try:
        call()
    except RuntimeError as error:
        return f"waits: {str(error).splitlines()[0]}"
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return "never waits"


def verdicts(rows: list[Row]) -> Iterator[Verdict]:
    """The targets for a GPU."""
    found = {row.name: row for row in rows}

    def time(name: str) -> float | None:
        row = found.get(name)
        return None if row is None else min(row.microseconds, row.graph or row.microseconds)

    for factor, than in ((15, "naive"), (4, "torch.compile(naive)")):
        ours, other = time("assign, ours"), time(f"assign, {than}")
        ratio = other / ours if ours and other else None
        measured = "not measured" if ratio is None else f"{ratio:.1f}"
        met = None if ratio is None else ratio >= factor
        yield Verdict(f"assign: at least {factor} times faster than {than}", measured, met)
    for name, most in (
        ("whole stage, ours, C=1", 60),
        ("whole stage, ours, C=19", 270),
        ("whole stage, ours, labels, C=19", 220),
        ("components, ours", 150),
    ):
        taken = time(name)
        measured = "not measured" if taken is None else f"{taken:.0f}"
        yield Verdict(f"{name}: at most {most} us", measured, None if taken is None else taken <= most)
    for row in rows:
        if ", ours" in row.name:
            beside = (row.extra_bytes - row.output_bytes) / MEGABYTE
            yield Verdict(f"{row.name}: at most 8 MB extra beside the output", f"{beside:.1f}", beside <= 8)
        if row.silent:
            yield Verdict(f"{row.name}: no host synchronization", row.silent, row.silent == "never waits")


def render(rows: list[Row], card: str) -> str:
    """The section of the report."""
    lines = [
        f"{card}, {machine.describe()['versions']}, {machine.describe()['date']}. 1024 x 2048, 100 queries.",
        "Microseconds; medians of CUDA events around single calls with a cold second-level cache, and "
        "of replays of a captured graph.",
        "",
        *report.verdict_table(list(verdicts(rows))),
        "",
        "| | us | graph | extra MB | result | |",
        "|---|--:|--:|--:|---|---|",
    ]
    for row in rows:
        graph = "" if row.graph is None else f"{row.graph:.1f}"
        extra = f"{row.extra_bytes / MEGABYTE:.1f}"
        lines.append(
            f"| {row.name} | {row.microseconds:.1f} | {graph} | {extra} | {row.result} | {row.silent} |"
        )
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/results"), help="folder of the report")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("no GPU here: nothing was measured, and the report is unchanged")
        sys.exit(0)
    device = torch.device("cuda")
    flush = torch.empty(_CACHE_BYTES, dtype=torch.uint8, device=device)
    rows = []
    for entry in contestants(device, _SIZE, _CLASSES):
        rows.append(measure(entry, flush))
        print(f"{entry.name}: {rows[-1].microseconds:.1f} us", flush=True)
    print(f"written: {report.write_gpu_section(render(rows, torch.cuda.get_device_name()), options.out)}")


if __name__ == "__main__":
    main()

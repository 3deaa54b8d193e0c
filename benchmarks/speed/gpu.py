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
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import machine
from benchmarks.speed import report
from benchmarks.speed.gpu_rows import FROM_THE_IMAGE, Contestant, contestants
from benchmarks.speed.targets import MEGABYTE, Verdict

_SIZE = (1024, 2048)
_CALLS, _WARM_UP = 100, 10
_CACHE_BYTES = 1 << 28
_CLASSES = (1, 19)
_NEVER, _COUNTS_ONLY = "never waits", "reads counts alone"


@dataclass
class Row:
    """The measurements of one contestant; None if there is none."""

    name: str
    microseconds: float
    graph: float | None
    extra_bytes: int
    output_bytes: int
    result: str
    waits: str


def measure(entry: Contestant, flush: Tensor) -> Row:
    """Time, graph replay, memory and synchronization of one contestant on the current CUDA device."""
    result = "" if entry.claim is None else entry.claim(entry.call())
    microseconds = _median(entry.call, flush)
    waits = _silence(entry.call) if entry.silent else ""
    if entry.counts is not None:
        waits = _numbers_read(entry.call, entry.counts)
    graph = None
    if entry.captured:
        try:
            graph = _median(_replay(entry.call), flush)
        except RuntimeError as error:
            result += f" (not captured: {str(error).splitlines()[0]})"
    return Row(entry.name, microseconds, graph, _extra_bytes(entry.call), entry.output_bytes, result, waits)


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
    return _NEVER


def _numbers_read(call: Callable[[], Any], most: int) -> str:
    """Whether a call reads at most so many numbers from the device, by the profiler."""
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        call()
    names = [event.name for event in profile.events()]
    copies = sum("Memcpy DtoH" in name for name in names)
    waits = sum(name in ("cudaStreamSynchronize", "cudaEventSynchronize") for name in names)
    found = f"{copies} copies to the host, {waits} waits"
    return _COUNTS_ONLY if max(copies, waits) <= most else found


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
        (FROM_THE_IMAGE, 25_000),
    ):
        taken = time(name)
        measured = "not measured" if taken is None else f"{taken:.0f}"
        yield Verdict(f"{name}: at most {most} us", measured, None if taken is None else taken <= most)
    for classes in _CLASSES:
        copies = _copies(f"eq. 3, ours, given regions, C={classes}", rows)
        measured = "not measured" if copies is None else f"{copies:.2f}"
        target = f"eq. 3 with given regions, C={classes}: at most two copies of D"
        yield Verdict(target, measured, None if copies is None else copies <= 2)
    for row in rows:
        if ", ours" in row.name:
            beside = (row.extra_bytes - row.output_bytes) / MEGABYTE
            yield Verdict(f"{row.name}: at most 8 MB extra beside the output", f"{beside:.1f}", beside <= 8)
        if row.waits:
            met = row.waits in (_NEVER, _COUNTS_ONLY)
            yield Verdict(f"{row.name}: no host synchronization but for counts", row.waits, met)


def _copies(name: str, rows: list[Row]) -> float | None:
    """How many times as long as a copy of its D a call takes; None if either was not measured."""
    found = {row.name: row for row in rows}
    mine, copy = found.get(name), found.get(f"D.clone(), {name.rpartition(', ')[2]}")
    if mine is None or copy is None:
        return None
    return min(mine.microseconds, mine.graph or mine.microseconds) / copy.microseconds


def render(rows: list[Row], card: str) -> str:
    """The section of the report."""
    lines = [
        f"{card}, {machine.describe()['versions']}, {machine.describe()['date']}. 1024 x 2048, 100 queries.",
        "Microseconds; medians of CUDA events around single calls with a cold second-level cache, and "
        "of replays of a captured graph.",
        "",
        *report.verdict_table(list(verdicts(rows))),
        "",
        "| | us | graph | copies of D | extra MB | result | |",
        "|---|--:|--:|--:|--:|---|---|",
    ]
    for row in rows:
        graph = "" if row.graph is None else f"{row.graph:.1f}"
        extra = f"{row.extra_bytes / MEGABYTE:.1f}"
        times = _copies(row.name, rows)
        copies = "" if times is None else f"{times:.2f}"
        numbers = f"{row.microseconds:.1f} | {graph} | {copies} | {extra}"
        lines.append(f"| {row.name} | {numbers} | {row.result} | {row.waits} |")
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

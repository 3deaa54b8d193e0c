"""Memory over many calls: `CSLWrapper` with the default proposer on images of changing sizes.

    python -m benchmarks.speed.steady --calls 1000

Every image has another size, as in a service that takes any upload. A row gives the memory of the process
after so many calls, what of it is allocated, and, with `--device cuda`, what torch has reserved there. What
is allocated must not grow once the caches are full: oneDNN, torch's convolutions on the CPU, keeps the code
of the last 1024 sizes and layers. The rest are free pieces between those, which the C library does not give
back: with `--give-back` it does, for some time. Needs Linux and glibc.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks import machine
from benchmarks.speed.memory import ALLOCATOR, heap_in_use, kilobytes
from benchmarks.timing import one_thread
from csl_plugin import CSLWrapper
from csl_plugin.adapters import OutputAdapter

_CLASSES = 19


@dataclass(frozen=True)
class Reading:
    """Memory after a number of calls, in MB: of the process, allocated of it, and reserved on a GPU."""

    calls: int
    resident: float
    in_use: float
    reserved: float
    seconds: float


def readings(calls: int, every: int, sides: tuple[int, int], device: torch.device) -> Iterator[Reading]:
    """Fuse images of random sizes, and look at the memory every so many calls."""
    rng = np.random.default_rng(0)
    teacher = nn.Conv2d(3, _CLASSES, 3, padding=1).eval()
    segment = CSLWrapper(teacher, adapter=OutputAdapter("logits")).to(device)
    began = time.perf_counter()
    for call in range(1, calls + 1):
        size = tuple(int(side) for side in rng.integers(sides[0], sides[1] + 1, 2))
        image = torch.from_numpy(rng.random((1, 3, *size), np.float32)).to(device)
        with torch.inference_mode():
            segment(image)
        if call % every == 0:
            gc.collect()
            reserved = torch.cuda.memory_reserved() / 1e6 if device.type == "cuda" else 0.0
            resident, in_use = kilobytes("VmRSS") / 1e3, heap_in_use() / 1e6
            yield Reading(call, resident, in_use, reserved, time.perf_counter() - began)


def table(found: list[Reading]) -> list[str]:
    """One row for each reading."""
    lines = [
        "| calls | MB | more than in the first row | allocated, MB | reserved on the GPU, MB | seconds |",
        "|--:|--:|--:|--:|--:|--:|",
    ]
    for each in found:
        more = each.resident - found[0].resident
        lines.append(
            f"| {each.calls} | {each.resident:.0f} | {more:+.0f} | {each.in_use:.0f} | {each.reserved:.0f} "
            f"| {each.seconds:.0f} |"
        )
    return lines


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=1000, help="how many images (%(default)s)")
    parser.add_argument("--every", type=int, default=100, help="calls between two rows (%(default)s)")
    parser.add_argument(
        "--sides", type=int, nargs=2, default=(40, 200), metavar=("LEAST", "MOST"), help="pixels (40 200)"
    )
    parser.add_argument("--device", type=torch.device, default="cpu", help="such as cuda (%(default)s)")
    parser.add_argument(
        "--give-back", action="store_true", help="with an allocator that returns every freed block at once"
    )
    parser.add_argument("--out", type=Path, help="a file for the table (default: only stdout)")
    given = parser.parse_args()
    if given.give_back and any(name not in os.environ for name in ALLOCATOR):
        words = [sys.executable, "-m", "benchmarks.speed.steady", *sys.argv[1:]]
        sys.exit(subprocess.run(words, env={**os.environ, **ALLOCATOR}, check=False).returncode)
    one_thread()
    found = []
    for reading in readings(given.calls, given.every, tuple(given.sides), torch.device(given.device)):
        found.append(reading)
        print(table(found)[-1], flush=True)
    facts = machine.describe()
    lines = [f"{given.calls} images, sides of {given.sides[0]} to {given.sides[1]} pixels, one thread."]
    lines[0] += " Every freed block is returned at once." if given.give_back else ""
    lines += [f"{facts['processor']}; {facts['versions']}; {facts['date']}.", "", *table(found)]
    print("\n".join(lines))
    if given.out:
        given.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

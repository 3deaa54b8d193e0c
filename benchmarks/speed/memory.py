"""Memory: the growth of the peak memory of a process during one call.

A child process builds every case again. Its allocator returns each freed block at once (glibc's thresholds
are lowered through the environment), so that memory freed by an earlier call does not hide the growth. The
peak is the kernel's VmHWM, reset through /proc/self/clear_refs before the call. Only written pages count.
This needs Linux; elsewhere the memory columns stay empty.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import torch

from benchmarks.speed.contestants import Contestant, Spec
from benchmarks.speed.measure import call, small
from benchmarks.speed.stages import build

Peaks = dict[str, dict[str, int]]

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_TOP_PAD_": "0"}
"""The environment of a process whose allocator returns each freed block at once."""


def extra_bytes(specs: Iterable[Spec]) -> Peaks:
    """Bytes by case key and contestant, measured in a child process; empty without Linux."""
    if not _RESET.exists():
        return {}
    command = [sys.executable, "-m", "benchmarks.speed.memory"]
    given = json.dumps([spec.to_json() for spec in specs])
    environment = {**os.environ, **ALLOCATOR}
    done = subprocess.run(
        command, input=given, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    peaks: Peaks = json.loads(done.stdout.splitlines()[-1])
    return peaks


def _measure(spec: Spec) -> dict[str, int]:
    for entry in small(spec).contestants:
        call(entry)
    return {entry.name: _growth(entry) for entry in build(spec).contestants}


def _growth(entry: Contestant) -> int:
    if entry.prepare is not None:
        entry.prepare()
    # A collection during the call would free earlier objects and hide as much of the growth.
    gc.collect()
    gc.disable()
    _RESET.write_text("5")
    before = kilobytes("VmRSS")
    result, _ = call(entry)
    grown = kilobytes("VmHWM") - before
    gc.enable()
    del result
    return max(grown, 0) * 1024


def heap_in_use() -> int:
    """Bytes that were allocated and not freed, without the free pieces between them; of the main thread.

    Raises:
        AttributeError: Not the C library that counts them (glibc 2.33).
    """
    read = ctypes.CDLL(None).mallinfo2
    read.restype = _Heap
    found = read()
    return int(found.uordblks) + int(found.hblkhd)


class _Heap(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def kilobytes(field: str) -> int:
    """A size in this process's status, such as VmRSS."""
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1])


def main() -> None:
    """Read specs on standard input, write peaks on standard output."""
    torch.set_num_threads(1)
    specs = [Spec.from_json(values) for values in json.load(sys.stdin)]
    sys.stdout.write(json.dumps({spec.key: _measure(spec) for spec in specs}) + "\n")


if __name__ == "__main__":
    main()

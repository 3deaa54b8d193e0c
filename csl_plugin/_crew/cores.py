"""The cores that this process may use, and the threads of each of several processes on them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from csl_plugin._opencv import opencv


def available_cores() -> int:
    """How many cores this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def shared_cores(processes: int) -> Iterator[None]:
    """In the block torch and OpenCV use the threads that one of several processes may; a lower limit stays.

    Args:
        processes: How many compute at the same time; one changes nothing.
    """
    if processes == 1:
        yield
        return
    import torch

    share = max(1, available_cores() // processes)
    before = torch.get_num_threads(), opencv().getNumThreads()
    torch.set_num_threads(min(share, before[0]))
    opencv().setNumThreads(min(share, before[1]))
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        opencv().setNumThreads(before[1])

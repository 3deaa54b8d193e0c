"""Calls timed in turns within one process, and quartiles of their times."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch


def one_thread() -> None:
    """Set torch and OpenCV to one thread."""
    import cv2

    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def take_turns(calls: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every call in each of `rounds` rounds, A B C A B C ..., after one warm-up round.

    Other load on the machine slows all calls alike, so ratios within a round are more reliable than seconds.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    with torch.inference_mode():
        for turn in range(rounds + 1):
            gc.collect()
            for name, call in calls.items():
                began = time.perf_counter()
                call()
                if turn:
                    seconds[name].append(time.perf_counter() - began)
    return seconds


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """First quartile, median and third quartile."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    first, middle, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, middle, third


def spread(values: Sequence[float], digits: int) -> str:
    """Median and quartiles as `12.3 (11.9 ... 12.8)`."""
    first, middle, third = quartiles(values)
    return f"{middle:.{digits}f} ({first:.{digits}f} ... {third:.{digits}f})"

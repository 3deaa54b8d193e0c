"""Two checkouts side by side: is one slower than the other?

    python -m benchmarks.speed.checkouts OTHER --size 1024 2048 --rounds 11

Each checkout runs in a process of its own, on one thread. Their calls alternate, so that other load on the
machine slows both. Only calls that both versions have are compared. A row gives the medians in milliseconds
and the ratio of this checkout's time to the other's, pair by pair: median, smallest and largest.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def cases(height: int, width: int) -> dict[str, Callable[[], object]]:
    """The calls by name, on inputs made from a fixed seed."""
    import torch
    import torch.nn.functional as F

    from csl_plugin import RegionMap, RegionProposals, fuse, fuse_labels, soft_assignment, split_components

    draw = torch.Generator().manual_seed(0)

    def smooth(planes: int, size: tuple[int, int], cells: int) -> torch.Tensor:
        coarse = torch.randn(1, planes, cells, 2 * cells, generator=draw)
        return F.interpolate(coarse, size, mode="bicubic")[0]

    size = (height, width)
    logits = smooth(100, (height // 4, width // 4), 8) * 5
    proposals = RegionProposals.from_logits(logits[None], torch.randn(1, 100, generator=draw))
    one = split_components(soft_assignment(proposals, size))
    three = [RegionMap(smooth(40, size, cells).argmax(0)[None].int(), 40) for cells in (4, 8, 16)]
    score, classes = (torch.rand(1, c, height, width, generator=draw) for c in (1, 19))
    return {
        "soft_assignment, N = 100": lambda: soft_assignment(proposals, size),
        "split_components": lambda: split_components(three[2]),
        "fuse, C = 1": lambda: fuse(score, one, rule="product"),
        "fuse, C = 1, proposals": lambda: fuse(score, proposals, rule="product"),
        "fuse, C = 19": lambda: fuse(classes, one, split=False, rule="product"),
        "fuse, C = 19, geometric": lambda: fuse(classes, one, split=False, rule="geometric"),
        "fuse_labels, C = 19": lambda: fuse_labels(classes, one, split=False, rule="product"),
        "fuse, C = 1, three partitions": lambda: fuse(score, three, split=False, rule="product"),
        "default, C = 1": lambda: fuse(score, one, split=False),
        "default, C = 19": lambda: fuse(classes, one, split=False),
        "default, C = 1, three partitions": lambda: fuse(score, three, split=False),
        "default, C = 19, three partitions": lambda: fuse(classes, three, split=False),
    }


def serve(height: int, width: int) -> None:
    """Print the names of the cases, then the milliseconds of each case that standard input names."""
    known = cases(height, width)
    print(json.dumps(list(known)), flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        known[line.strip()]()
        print((time.perf_counter() - start) * 1000, flush=True)


class Checkout:
    """A process that runs the cases with the code of one checkout."""

    def __init__(self, folder: Path, size: tuple[int, int]) -> None:
        command = [sys.executable, __file__, "--serve", "--size", *map(str, size)]
        environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the process has no pipes")
        self._input, self._output = self._process.stdin, self._process.stdout
        self.names: list[str] = json.loads(self._output.readline())

    def milliseconds(self, name: str) -> float:
        """How long one call takes."""
        self._input.write(name + "\n")
        self._input.flush()
        return float(self._output.readline())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def main(arguments: list[str] | None = None) -> None:
    """Compare, and print a row per case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("other", type=Path, nargs="?", help="folder of the other checkout")
    parser.add_argument("--size", type=int, nargs=2, default=(1024, 2048), metavar=("H", "W"))
    parser.add_argument(
        "--rounds", type=int, default=11, help="calls of each checkout (default: %(default)s)"
    )
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    size = (options.size[0], options.size[1])
    if options.serve:
        serve(*size)
        return
    if options.other is None:
        parser.error("name the folder of the other checkout")
    here, other = Checkout(ROOT, size), Checkout(options.other.resolve(), size)
    for name in here.names:
        pairs = [_in_turn(here, other, name, number) for number in range(options.rounds + 1)][1:]
        ratios = sorted(one / two for one, two in pairs)
        ours, theirs = (statistics.median(times) for times in zip(*pairs, strict=True))
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"{name:38} {ours:8.1f} ms here {theirs:8.1f} ms there  ratio {spread}", flush=True)
    here.close()
    other.close()


def _in_turn(here: Checkout, other: Checkout, name: str, number: int) -> tuple[float, float]:
    """Milliseconds of both; each is first every other time, for the second finds a warmer memory."""
    if number % 2:
        there = other.milliseconds(name)
        return here.milliseconds(name), there
    return here.milliseconds(name), other.milliseconds(name)


if __name__ == "__main__":
    main()

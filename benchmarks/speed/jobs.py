"""Files on several cores: `csl-plugin fuse --jobs N` beside one process.

    python -m benchmarks.speed.jobs --frames 40 --rounds 3
    python -m benchmarks.speed.jobs --images IMAGES --scores SCORES --options=--logits

Whole commands, from their start to their end, take turns: loading, decoding, proposing, fusing and writing.
The frames are drawn (1024 x 2048, one score map of float16 each), or those of two folders. A row gives the
seconds of a command and how many times as many frames a second it does as the first row, round by round:
median, smallest and largest. That the outputs are the same, byte by byte, is checked.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import machine
from csl_plugin.io import write_png, write_scores
from csl_plugin.training import DeadLeaves, Textures

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Command:
    """A command that is measured.

    Args:
        jobs: Number of processes.
        threads: Of each process, or None for its share of the cores.
    """

    jobs: int
    threads: int | None = None

    @property
    def name(self) -> str:
        """As in the table."""
        return f"--jobs {self.jobs}" + (", one thread" if self.threads == 1 else "")

    def seconds(self, inputs: Sequence[Path], out: Path, options: Sequence[str]) -> float:
        """Run it into a new folder, as a user does."""
        words = [
            sys.executable,
            "-m",
            "csl_plugin",
            "fuse",
            *map(str, inputs),
            str(out),
            "--jobs",
            str(self.jobs),
        ]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        environment.pop("OMP_NUM_THREADS", None)
        if self.threads is not None:
            environment["OMP_NUM_THREADS"] = str(self.threads)
        began = time.perf_counter()
        subprocess.run([*words, *options], check=True, env=environment, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began


def draw_frames(folder: Path, count: int, size: tuple[int, int]) -> tuple[Path, Path]:
    """Write images, and a noisy score of each that is higher on some of its shapes."""
    images, scores = folder / "images", folder / "scores"
    for number in range(count):
        rng = np.random.default_rng(number)
        scene = DeadLeaves(Textures()).draw(rng, size)
        chosen = scene.labels % 7 == 0
        score = (0.3 + 0.3 * chosen + rng.normal(0, 0.1, size)).clip(0, 1).astype(np.float16)
        write_png(images / f"{number:03}.png", scene.image)
        write_scores(scores / f"{number:03}.npy", score)
    return images, scores


def digests(folder: Path) -> dict[str, str]:
    """The sha256 of each output."""
    files = (path for path in folder.iterdir() if path.suffix in (".npy", ".npz", ".png", ".hdf5", ".h5"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def measure(
    commands: Sequence[Command], inputs: Sequence[Path], rounds: int, options: Sequence[str], scratch: Path
) -> dict[Command, list[float]]:
    """Seconds of every command in each round.

    Raises:
        AssertionError: Two commands wrote something else.
    """
    taken: dict[Command, list[float]] = {command: [] for command in commands}
    expected: dict[str, str] = {}
    for _ in range(rounds):
        for command in commands:
            out = scratch / "out"
            taken[command].append(command.seconds(inputs, out, options))
            found = digests(out)
            expected = expected or found
            if found != expected or not found:
                raise AssertionError(f"{command.name} wrote other files")
            shutil.rmtree(out)
    return taken


def table(taken: dict[Command, list[float]], frames: int) -> list[str]:
    """The rows, the first one is what the others are compared with."""
    first = next(iter(taken.values()))
    lines = [
        "| command | seconds | frames a second | times the first row: median (smallest to largest) |",
        "|---|---|---|---|",
    ]
    for command, seconds in taken.items():
        ratios = [one / own for one, own in zip(first, seconds, strict=True)]
        middle = statistics.median(seconds)
        lines.append(
            f"| {command.name} | {middle:.1f} | {frames / middle:.2f} "
            f"| {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |"
        )
    return lines


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=40, help="how many are drawn (%(default)s)")
    parser.add_argument("--size", type=int, nargs=2, default=(1024, 2048), metavar=("H", "W"))
    parser.add_argument("--images", type=Path, help="a folder of images, in place of drawn ones")
    parser.add_argument("--scores", type=Path, help="and one of their score maps")
    parser.add_argument("--jobs", type=int, nargs="+", default=[2], help="numbers of processes (2)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of every command (%(default)s)")
    parser.add_argument("--options", type=shlex.split, default=[], help="of fuse, such as --options=--logits")
    parser.add_argument("--out", type=Path, help="a file for the table (default: only stdout)")
    given = parser.parse_args()
    if (given.images is None) != (given.scores is None):
        parser.error("--images and --scores belong together")
    commands = [Command(1, threads=1), Command(1), *(Command(jobs) for jobs in given.jobs)]
    load = machine.load()
    with tempfile.TemporaryDirectory() as place:
        if given.images is None:
            inputs = draw_frames(Path(place), given.frames, tuple(given.size))
        else:
            inputs = (given.images, given.scores)
        frames = sum(1 for _ in inputs[0].iterdir())
        taken = measure(commands, inputs, given.rounds, given.options, Path(place))
    facts = machine.describe()
    lines = [f"{frames} frames; {facts['processor']}; {facts['versions']}; {facts['date']}."]
    lines += [f"Load before and after: {load:.2f}, {machine.load():.2f}.", "", *table(taken, frames)]
    print("\n".join(lines))
    if given.out:
        given.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

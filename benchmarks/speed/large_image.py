"""A large image on one core: seconds and peak memory of the default regions and of the fusion of one score.

    python -m benchmarks.speed.large_image
    python -m benchmarks.speed.large_image --size 4096 4096 --rounds 3 --proposer superpixels

The image is a mosaic of enlarged photographs (of scikit-image) with mild sensor noise, the score its contrast
with noise. Each run is a process of its own with one thread: it imports the package, reads both (float32),
loads the proposer, proposes and fuses. A row gives wall seconds, or GB of resident memory at the most.
Nothing is subtracted: "inputs" is what the process took before the proposer is loaded.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from benchmarks import machine
from benchmarks.speed import memory

ROOT = Path(__file__).resolve().parents[2]
_PHOTOGRAPHS = ("astronaut", "coffee", "rocket", "chelsea", "hubble_deep_field", "immunohistochemistry")
_TILE = 1024
_SENSOR_NOISE, _SCORE_NOISE = 2.0, 0.05
_BAND = 256
_GIGABYTE = 1e9


def draw(folder: Path, size: tuple[int, int]) -> None:
    """Write the image, (H, W, 3) uint8, and its score, (H, W) float16, into `folder`."""
    import cv2
    from skimage import data

    rng = np.random.default_rng(0)
    photographs = [getattr(data, name)() for name in _PHOTOGRAPHS]
    image = open_memmap(folder / "image.npy", "w+", np.uint8, (*size, 3))
    score = open_memmap(folder / "score.npy", "w+", np.float16, size)
    places = [(y, x) for y in range(0, size[0], _TILE) for x in range(0, size[1], _TILE)]
    for number, (y, x) in enumerate(places):
        turns, which = divmod(number, len(photographs))
        # Photographs come again mirrored.
        photograph = photographs[which][:: -1 if turns & 1 else 1, :: -1 if turns & 2 else 1]
        tile = cv2.resize(photograph.copy(), (_TILE, _TILE), interpolation=cv2.INTER_CUBIC)
        light = cv2.GaussianBlur(tile.mean(2) / 255, (0, 0), 6)
        own = image[y : y + _TILE, x : x + _TILE]
        height, width = own.shape[:2]
        noise = rng.normal(0, _SENSOR_NOISE, own.shape)
        own[...] = (tile[:height, :width] + noise).round().clip(0, 255)
        contrast = abs(light - light.mean())[:height, :width] + rng.normal(0, _SCORE_NOISE, own.shape[:2])
        score[y : y + _TILE, x : x + _TILE] = contrast.clip(0, 1)


def run(folder: Path, proposer: str | None) -> dict[str, float]:
    """Propose and fuse in this process: seconds of both, and GB at the most."""
    import torch

    from csl_plugin import fuse, load_proposer

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    image = _scaled(np.load(folder / "image.npy", mmap_mode="r"))
    score = np.load(folder / "score.npy").astype(np.float32)
    found = {"inputs": peak()}
    began = time.perf_counter()
    partitions = load_proposer(proposer)(torch.from_numpy(image))
    found["proposing"] = time.perf_counter() - began
    began = time.perf_counter()
    fuse(torch.from_numpy(score)[None, None], partitions)
    return {**found, "fusing": time.perf_counter() - began, "peak": peak(), "cpu": time.process_time()}


def _scaled(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The image as a proposer takes it, (1, 3, H, W) in [0, 1]."""
    scaled = np.empty((1, 3, *image.shape[:2]), np.float32)
    for start in range(0, len(image), _BAND):
        rows = slice(start, start + _BAND)
        np.divide(np.moveaxis(image[rows], 2, 0), 255, out=scaled[0, :, rows], casting="unsafe")
    return scaled


def peak() -> float:
    """GB of resident memory of this process, at the most so far."""
    if sys.platform == "linux":  # where the other figure starts with that of the process before
        return memory.kilobytes("VmHWM") * 1024 / _GIGABYTE
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _GIGABYTE


def measure(folder: Path, proposer: str | None) -> dict[str, float]:
    """`run` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.speed.large_image", "--serve", str(folder)]
    command += ["--proposer", proposer] if proposer else []
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(runs: list[dict[str, float]]) -> list[str]:
    """The rows: medians of the runs, with the smallest and the largest."""

    def spread(values: list[float], digits: int) -> str:
        middle, low, high = statistics.median(values), min(values), max(values)
        return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"

    def column(name: str) -> list[float]:
        return [each[name] for each in runs]

    whole = [each["proposing"] + each["fusing"] for each in runs]
    return [
        "| | median (smallest to largest) |",
        "|---|---|",
        f"| inputs: process, image and score, GB | {spread(column('inputs'), 2)} |",
        f"| proposing, seconds | {spread(column('proposing'), 1)} |",
        f"| fusing one score, seconds | {spread(column('fusing'), 1)} |",
        f"| both, seconds | {spread(whole, 1)} |",
        f"| processor time of the process, seconds | {spread(column('cpu'), 1)} |",
        f"| peak of all, GB | {spread(column('peak'), 2)} |",
    ]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, nargs=2, default=(8192, 8192), metavar=("H", "W"))
    parser.add_argument("--rounds", type=int, default=3, help="processes, one after the other (%(default)s)")
    parser.add_argument("--proposer", help="as load_proposer takes it (default: its default)")
    parser.add_argument("--out", type=Path, help="a file for the table (default: only stdout)")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        print(json.dumps(run(given.serve, given.proposer)))
        return
    load = machine.load()
    with tempfile.TemporaryDirectory() as place:
        draw(Path(place), tuple(given.size))
        runs: list[Any] = [measure(Path(place), given.proposer) for _ in range(given.rounds)]
    facts = machine.describe()
    size = "x".join(map(str, given.size))
    lines = [f"{size}, {given.proposer or 'the default'}, one thread; {facts['processor']}; {facts['date']}."]
    lines += [f"{facts['versions']}. Load before and after: {load:.2f}, {machine.load():.2f}."]
    lines += ["", *table(runs)]
    print("\n".join(lines))
    if given.out:
        given.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""An image larger than memory: seconds and peak memory of proposing it in tiles and fusing one score.

    python -m benchmarks.speed.tiled
    python -m benchmarks.speed.tiled --size 4096 4096 --tile 1024 --proposer superpixels

The image and its score are those of `benchmarks.speed.large_image`, as files. The run is a process of its own
with one thread. A row gives wall seconds, or GB of resident memory of the process at the most, with all that
it imports. Files of the regions and of the fused map are written beside the inputs: 20 000 x 20 000 pixels
take 6 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import machine
from benchmarks.speed.large_image import ROOT, draw, peak


def run(folder: Path, proposer: str | None, tile: int, overlap: int) -> dict[str, float]:
    """Propose and fuse in this process: seconds of both, GB at the most, and regions."""
    import numpy as np
    import torch

    from csl_plugin import load_proposer
    from csl_plugin.tiles import fuse_large, propose_large

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    found = {"libraries": peak()}
    began = time.perf_counter()
    maps = propose_large(folder / "image.npy", folder, load_proposer(proposer), tile=tile, overlap=overlap)
    found["proposing"] = time.perf_counter() - began
    found["peak of proposing"] = peak()
    began = time.perf_counter()
    fuse_large(folder / "score.npy", maps, folder / "fused.npy")
    found["fusing"] = time.perf_counter() - began
    found["peak"] = peak()
    for number, path in enumerate(maps):
        labels = np.load(path, mmap_mode="r")
        found[f"regions {number}"] = 1 + max(int(rows.max()) for rows in np.array_split(labels, 64))
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, nargs=2, default=(20_000, 20_000), metavar=("H", "W"))
    parser.add_argument("--tile", type=int, default=2048)
    parser.add_argument("--overlap", type=int, default=256)
    parser.add_argument("--proposer", help="as load_proposer takes it (default: its default)")
    parser.add_argument("--folder", type=Path, help="where the files are made (default: a temporary folder)")
    parser.add_argument("--out", type=Path, help="a file for the table (default: only stdout)")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        print(json.dumps(run(given.serve, given.proposer, given.tile, given.overlap)))
        return
    load = machine.load()
    with tempfile.TemporaryDirectory(dir=given.folder) as place:
        draw(Path(place), tuple(given.size))
        command = [sys.executable, "-m", "benchmarks.speed.tiled", "--serve", place]
        command += ["--tile", str(given.tile), "--overlap", str(given.overlap)]
        command += ["--proposer", given.proposer] if given.proposer else []
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, check=True, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
    found = json.loads(done.stdout.splitlines()[-1])
    facts = machine.describe()
    size = "x".join(map(str, given.size))
    lines = [
        f"{size}, {given.proposer or 'the default'}, tiles of {given.tile}, overlap {given.overlap}, "
        f"one thread; {facts['processor']}; {facts['date']}.",
        f"{facts['versions']}. Load before and after: {load:.2f}, {machine.load():.2f}.",
        "",
        "| | |",
        "|---|---|",
        f"| process and libraries, GB | {found['libraries']:.2f} |",
        f"| proposing, seconds | {found['proposing']:.0f} |",
        f"| fusing one score, seconds | {found['fusing']:.0f} |",
        f"| peak of proposing, GB | {found['peak of proposing']:.2f} |",
        f"| peak of all, GB | {found['peak']:.2f} |",
        *(f"| {name} | {count} |" for name, count in found.items() if name.startswith("regions")),
    ]
    print("\n".join(lines))
    if given.out:
        given.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

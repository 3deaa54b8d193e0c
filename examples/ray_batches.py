"""Fuse many images with Ray Data: each worker loads the proposer once; a lost one costs its batch.

Run it as it stands, on made images; to use your own, replace `rows` by what gives a row's image and scores:

    python examples/ray_batches.py --out fused --images 2000 --workers 2

OUT gets Parquet files of rows: the number of each image, and its fused map. Ray starts another worker in
place of one that ends, and gives it the batches that were lost; a batch's result is the same wherever it is
computed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import ray

from csl_plugin.batch import Fuser

SIZE = (24, 32)
BATCH = 25
SEGMENTS = "superpixels:20"  # quick on one core; None is the default, for images as they come


def row(number: int) -> dict[str, Any]:
    """A made image with one object, and a score that is unsure about it."""
    draw = np.random.default_rng(number)
    inside = np.zeros(SIZE, bool)
    top, left = draw.integers(2, 12), draw.integers(2, 16)
    inside[top : top + 9, left : left + 14] = True
    image = draw.normal(np.where(inside[..., None], (40, 90, 230), 120), 6).clip(0, 255).astype(np.uint8)
    scores = draw.normal(np.where(inside, 0.6, 0.3), 0.2).clip(0, 1).astype(np.float32)
    return {"id": number, "image": image, "scores": scores}


def rows(batch: dict[str, Any]) -> dict[str, Any]:
    """The columns of a batch of numbers; of your own images, read them here, in the worker."""
    made = [row(int(number)) for number in batch["id"]]
    return {name: np.stack([each[name] for each in made]) for name in made[0]}


def without_inputs(batch: dict[str, Any]) -> dict[str, Any]:
    """What is stored of a batch."""
    return {name: batch[name] for name in ("id", "fused")}


def main() -> int:
    """Run the recipe."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2, help="one a core, or one a GPU")
    arguments = parser.parse_args()
    # One logical CPU more than workers, for reading and writing; on a cluster its own CPUs count.
    ray.init(include_dashboard=False, log_to_driver=False, num_cpus=arguments.workers + 1)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    numbers = ray.data.range(arguments.images, override_num_blocks=max(1, arguments.images // BATCH))
    fused = (
        numbers.map_batches(rows, batch_size=BATCH)
        .map_batches(
            Fuser,
            fn_constructor_kwargs={"proposer": SEGMENTS},
            batch_size=BATCH,
            compute=ray.data.ActorPoolStrategy(size=arguments.workers),
        )
        .map_batches(without_inputs)
    )
    fused.write_parquet(str(arguments.out.resolve()))
    count = ray.data.read_parquet(str(arguments.out.resolve())).count()
    print(f"{count} images fused -> {arguments.out}")
    ray.shutdown()
    return 0 if count == arguments.images else 1


if __name__ == "__main__":
    sys.exit(main())

"""Speed of the network, in inference and in training: docs/results/speed-network.md.

    python -m benchmarks.effect.speed_network --data DATA --out docs/results

DATA holds `camvid` and `bsds500`. One thread; parts are timed inside the public calls.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import machine
from benchmarks.effect.networks.bundled import bundled_network, recipe_of
from benchmarks.effect.page.command import page_parser, publish
from benchmarks.effect.page.measured import markdown
from benchmarks.effect.rows.anomaly import FASTER
from benchmarks.speed.peers.segmentation import regions_of
from benchmarks.timing import one_thread, quartiles, spread, take_turns
from csl_plugin import CSLWrapper, load_proposer
from csl_plugin.adapters import OutputAdapter
from csl_plugin.io import image_batch, list_images, read_image
from csl_plugin.models import CSLNetwork
from csl_plugin.proposers import DEFAULT, NetworkProposals, csl_network
from csl_plugin.proposers.hierarchy import basin_tree
from csl_plugin.proposers.hierarchy.basin_tree import BasinTree
from csl_plugin.training import Recipe, batches
from csl_plugin.training.criterion.losses import losses
from csl_plugin.wrapper import stage
from examples.train_segmenter import CLASSES, CONFIG, Segmenter

SIZES = ((360, 480), (1024, 2048))
_LARGE = 1_000_000  # pixels
# The parts of CSLWrapper in their order: owner, attribute, name on the page. Of nested parts, such as the
# network inside the teacher, only the outermost is timed.
PARTS: tuple[tuple[Any, str, str], ...] = (
    (Segmenter, "forward", "teacher"),
    (CSLNetwork, "forward", "network"),
    (csl_network, "opponent_color", "colors"),
    (csl_network, "color_gradient", "gradient"),
    (csl_network, "relative_to_surroundings", "contrast"),
    (basin_tree, "basins", "watershed"),
    (basin_tree, "region_graph", "region graph"),
    (basin_tree, "merge_tree", "merge tree"),
    (csl_network, "node_validity", "validity of nodes"),
    (BasinTree, "assigned", "eq. 2 over the nodes"),
    (BasinTree, "cut", "cut"),
    (stage, "fuse", "fusion"),
)
REST = "the rest"
TEACHER, WRAPPED = "teacher only", "CSLWrapper(teacher), the default"
_HEAD = """\
# Speed of the network

Written by `python -m benchmarks.effect.speed_network`; do not edit.

| | |
|---|---|
{facts}

`csl-tiny`, one thread; the network in bfloat16 where the processor has instructions for it. Median and
quartiles over {rounds} rounds at 360 x 480 and {large} at 1024 x 2048, the calls in turns. Images are CamVid
val frames, side by side where one does not fill the size. The first two rows of a table are of the network at
the image's size, in float32. Proposers shrink images whose longer side exceeds 1024 pixels to it for the
network; the watershed and all later parts work at the full size. The teacher is the segmenter of
`examples/train_segmenter.py`: 3.1 million parameters, logits of {classes} classes upsampled to the image's
size. A larger teacher adds its own time. The wrapper's own share is its time less the teacher's in the same
round. The default regions are {default}.
"""


def street(images: Path, size: tuple[int, int]) -> Tensor:
    """An image (1, 3, H, W) of street frames, side by side where one does not fill it."""
    paths = cycle(list_images(images).values())
    rows: list[Any] = []
    while sum(len(row) for row in rows) < size[0]:
        row: list[Any] = []
        while sum(part.shape[1] for part in row) < size[1]:
            row.append(read_image(next(paths)))
        rows.append(np.hstack(row)[:, : size[1]])
    return image_batch(np.ascontiguousarray(np.vstack(rows)[: size[0]]))


def small_teacher() -> Segmenter:
    """The example's segmenter, untrained: training does not change its speed."""
    return Segmenter(CSLNetwork(CONFIG)).eval()


def inference(image: Tensor, rounds: int) -> dict[str, list[float]]:
    """Seconds of the network's calls and of the wrapper, by call."""
    network, teacher = bundled_network(), small_teacher()
    eq2, default, adapter = NetworkProposals(network), load_proposer(), OutputAdapter("logits")
    faster = {f"`{name}`": partial(load_proposer(name), image) for name in FASTER}
    found = take_turns(
        {
            "network, only boundaries": lambda: network.boundaries(image),
            "network, whole forward": lambda: network(image),
            "region scores for eq. 2": lambda: eq2(image),
            f"the default regions, `{DEFAULT}`": lambda: default(image),
            **faster,
            TEACHER: lambda: teacher(image),
            "CSLWrapper, eq. 2": lambda: CSLWrapper(teacher, eq2, adapter)(image),
            WRAPPED: lambda: CSLWrapper(teacher, default, adapter)(image),
            **regions_of(image),
        },
        rounds,
    )
    pairs = zip(found[WRAPPED], found[TEACHER], strict=True)
    return {**found, "CSLWrapper's own share, the default": [whole - alone for whole, alone in pairs]}


def shares(image: Tensor, rounds: int) -> dict[str, list[float]]:
    """Seconds of the parts of `CSLWrapper(teacher)` with the default regions, by part."""
    segment = CSLWrapper(small_teacher(), adapter=OutputAdapter("logits"))
    found: dict[str, list[float]] = {name: [] for _, _, name in PARTS} | {REST: []}
    for turn in range(rounds + 1):
        with clocked() as taken, torch.inference_mode():
            began = time.perf_counter()
            segment(image)
            whole = time.perf_counter() - began
        if turn:
            for _, _, name in PARTS:
                found[name].append(taken[name])
            found[REST].append(whole - sum(taken.values()))
    return found


@contextmanager
def clocked() -> Iterator[dict[str, float]]:
    """Seconds of each of `PARTS` within the block, by its name on the page."""
    taken, running = {name: 0.0 for _, _, name in PARTS}, list[str]()
    before = [getattr(owner, attribute) for owner, attribute, _ in PARTS]

    def timing(call: Callable[..., Any], name: str) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            if running:
                return call(*args, **kwargs)
            running.append(name)
            began = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                taken[name] += time.perf_counter() - began
                running.clear()

        return timed

    try:
        for (owner, attribute, name), call in zip(PARTS, before, strict=True):
            setattr(owner, attribute, timing(call, name))
        yield taken
    finally:
        for (owner, attribute, _), call in zip(PARTS, before, strict=True):
            setattr(owner, attribute, call)


def training(recipe: Recipe, data: Path, steps: int) -> dict[str, list[float]]:
    """Seconds of the parts of training steps, with data loading in this process."""
    settings = recipe.settings
    drawn = batches(recipe.mixture(data), settings.batch_size, stop=steps + 1)
    network = CSLNetwork(recipe.network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate)
    draw = torch.Generator().manual_seed(0)
    found: dict[str, list[float]] = {
        name: [] for name in ("data", "forward", "matching and losses", "backward and update")
    }
    for step in range(steps + 1):
        marks = [time.perf_counter()]
        batch = next(drawn)
        points = torch.rand(len(batch.images), settings.points, 2, generator=draw)
        marks.append(time.perf_counter())
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
            output = network(batch.images, points=points if recipe.network.points else None)
        marks.append(time.perf_counter())
        total = torch.stack(list(losses(output, batch.regions, points, generator=draw).values())).sum()
        marks.append(time.perf_counter())
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
        optimizer.step()
        marks.append(time.perf_counter())
        if step:
            for name, began, ended in zip(found, marks, marks[1:], strict=False):
                found[name].append(ended - began)
    return found


def call_rows(calls: dict[str, list[float]]) -> list[list[str]]:
    """Frames per second, milliseconds, and how many times the teacher's in the same round, by call."""
    return [
        [
            name,
            spread([1 / value for value in values], 2),
            spread([1000 * value for value in values], 0),
            spread([value / alone for value, alone in zip(values, calls[TEACHER], strict=True)], 2),
        ]
        for name, values in calls.items()
    ]


def share_rows(parts: dict[str, list[float]]) -> list[list[str]]:
    """Milliseconds and share of the sum of medians, by part."""
    medians = {name: quartiles(values)[1] for name, values in parts.items()}
    whole = sum(medians.values())
    return [
        [name, spread([1000 * value for value in values], 1), f"{100 * medians[name] / whole:.0f} %"]
        for name, values in parts.items()
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = page_parser(__doc__, rounds=15, steps=12)
    parser.add_argument("--large-rounds", type=int, default=7, help="rounds at 1024 x 2048 (%(default)s)")
    options = parser.parse_args(arguments)
    one_thread()
    before = machine.load()
    lines: list[str] = []
    for size in SIZES:
        rounds = options.rounds if size[0] * size[1] < _LARGE else options.large_rounds
        image = street(options.data / "camvid" / "images" / "val", size)
        heading = ["", "frames per second", "ms", "times the teacher"]
        lines += [f"## {size[0]} x {size[1]}", "", *markdown(heading, call_rows(inference(image, rounds)))]
        lines += ["Where `CSLWrapper(teacher)` spends its time:", ""]
        lines += markdown(["part", "ms", "share"], share_rows(shares(image, rounds)))
    recipe = Recipe.read(recipe_of())
    parts = training(recipe, options.data, options.steps)
    rates = [recipe.settings.batch_size / sum(step) for step in zip(*parts.values(), strict=True)]
    crop = " x ".join(map(str, recipe.settings.crop))
    lines += [
        "## Training",
        "",
        f"The recipe of `csl-tiny`: {spread(rates, 1)} images per second, batches of"
        f" {recipe.settings.batch_size} crops of {crop}, bfloat16, over {options.steps} steps, data loading"
        " in the same process. A second process for it (`--workers 1`) removes the first row.",
        "",
        *markdown(["part of a step", "ms", "share"], share_rows(parts)),
    ]
    facts = machine.describe() | {"load average": f"{before:.2f} before, {machine.load():.2f} after"}
    head = _HEAD.format(
        facts="\n".join(f"| {name} | {value} |" for name, value in facts.items()),
        rounds=options.rounds,
        large=options.large_rounds,
        classes=len(CLASSES),
        default=f"`{DEFAULT}`",
    )
    publish([head, *lines], options.out, "speed-network.md")


if __name__ == "__main__":
    main()

"""Two pictures of the effect of each rule on a score: docs/images/fusion-helps.png and fusion-hurts.png.

    python -m benchmarks.guide.pictures --out docs/images

The photographs are scikit-image's and in the public domain (CC0). The objects to be found are known, and the
score is computed from them with noise, so that each rule has an AP.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from csl_plugin import RegionMap, fuse, load_proposer
from csl_plugin.arrays import resize_nearest
from csl_plugin.io import image_batch, write_png
from csl_plugin.metrics import PooledAnomaly
from csl_plugin.viz.colors import Picture, draw_edges, heat_colors, region_colors
from csl_plugin.viz.scaling import fit, resize
from csl_plugin.viz.sheet import Panel, sheet

_BOX = (400, 540)
_LINE = (86, 220, 255)  # a color that neither photograph has
_ENLARGED = 4  # discs are drawn so much larger and averaged
Map = NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """A photograph and the objects to be found on it.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        truth: (H, W) in [0, 1]: the share of each pixel that the objects cover.
        noise: Standard deviation of the logit of the score; the objects are 3 above the rest.
        credit: The author of the photograph.
    """

    image: Picture
    truth: Map
    noise: float
    credit: str


def helps() -> Case:
    """A cup and its saucer, which have clear outlines, and a score with much noise."""
    import skimage.data

    image: Picture = skimage.data.coffee()  # type: ignore[no-untyped-call]
    truth = np.zeros(image.shape[:2], np.float32)
    for center, axes in (((278, 222), (406, 326)), ((290, 109), (236, 184))):
        cv2.ellipse(truth, (center, axes, 0.0), 1.0, -1, cv2.LINE_AA)
    return Case(image, truth, 2.0, "Rachel Michetti, CC0")


def hurts() -> Case:
    """Faint balloons in the sky, much smaller than their region, and a score with little noise."""
    import skimage.data

    image: Picture = skimage.data.rocket()  # type: ignore[no-untyped-call]
    places = [(180, 60, 9), (222, 128, 7), (402, 92, 8), (420, 215, 7), (262, 205, 8), (470, 50, 7)]
    truth = discs(image.shape[:2], places)
    painted = image + 14 * truth[..., None]
    return Case(np.rint(painted.clip(0, 255)).astype(np.uint8), truth, 0.5, "SpaceX, CC0")


def noisy_score(case: Case, seed: int = 0) -> Map:
    """A score in [0, 1] with the noise of a network: blobs of several sizes, smooth between pixels."""
    height, width = case.truth.shape
    draw, noise = np.random.default_rng(seed), np.zeros((height, width), np.float32)
    for stride in (6, 12, 24):
        coarse = draw.normal(size=(-(-height // stride), -(-width // stride))).astype(np.float32)
        noise += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    seen = cv2.GaussianBlur(case.truth, (0, 0), 2.0)
    logits = 3.0 * seen + case.noise * noise / noise.std() - 2.0
    score: Map = 1 / (1 + np.exp(-logits))
    return score


def fused_scores(score: Map, several: tuple[RegionMap, ...]) -> dict[str, Map]:
    """The score after each rule; eq. 3 and the mean use the first partition."""
    return {
        "Eq. 3": fuse(score, several[0], rule="geometric", split=False),
        "Region mean": fuse(score, several[0], rule="mean", split=False),
        'Rule "adaptive"': fuse(score, several, split=False),
    }


def draw(case: Case) -> Picture:
    """Photograph, regions and score above; eq. 3, region mean and the rule "adaptive" below."""
    several = regions_of(case)
    labels, count = several[0].labels[0].numpy(), len(several)
    size = fit(case.image.shape[:2], _BOX)
    photograph, ids = resize(case.image, size), resize_nearest(labels, size)
    partition = draw_edges(region_colors(photograph, ids), ids)

    def heat(title: str, values: Map, note: str) -> Panel:
        words = f"AP {100 * average_precision(values, case.truth):.0f} %, {note}"
        return Panel(heat_colors(resize(values, size), 0.0, 1.0), title, words, (0.0, 1.0))

    score = noisy_score(case)
    notes = ["square root, one partition", "one partition", f"{count} partitions"]
    fused = zip(fused_scores(score, several).items(), notes, strict=True)
    above = [
        Panel(
            _outlined(photograph, resize(case.truth, size)),
            "Photograph, what is sought outlined",
            case.credit,
        ),
        Panel(partition, "Regions", f"first of {count} partitions"),
        heat("Score", score, "noisy"),
    ]
    below = [heat(title, values, note) for (title, values), note in fused]
    # The three lowest bits cannot be seen and are a third of the file.
    drawn: Picture = sheet([above, below], text=16.0) | np.uint8(7)
    return drawn


def regions_of(case: Case) -> tuple[RegionMap, ...]:
    """The partitions of the default proposer."""
    several: Any = load_proposer()(image_batch(case.image))
    return tuple(several)


def average_precision(score: Map, truth: Map) -> float:
    """AP; pixels more than half covered by the objects are positive."""
    metric = PooledAnomaly()
    metric.update(score, (truth > 0.5).astype(np.uint8))
    return metric.compute().ap


def discs(size: tuple[int, int], places: Sequence[tuple[int, int, int]]) -> Map:
    """Discs of (x, y, radius) with soft edges."""
    large = np.zeros((size[0] * _ENLARGED, size[1] * _ENLARGED), np.float32)
    for x, y, radius in places:
        cv2.circle(large, (x * _ENLARGED, y * _ENLARGED), radius * _ENLARGED, 1.0, -1)
    return np.asarray(cv2.resize(large, (size[1], size[0]), interpolation=cv2.INTER_AREA))


def _outlined(photograph: Picture, truth: Map) -> Picture:
    """The photograph with a line around the objects, one pixel away from them."""
    grown = cv2.dilate((truth > 0.5).astype(np.uint8), _round(9))
    drawn = np.array(photograph)
    drawn[(grown > 0) & (cv2.erode(grown, _round(7)) == 0)] = _LINE
    return drawn


def _round(width: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width)), dtype=np.uint8)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    for name, case in (("helps", helps()), ("hurts", hurts())):
        path = options.out / f"fusion-{name}.png"
        write_png(path, draw(case))
        print(path)


if __name__ == "__main__":
    main()

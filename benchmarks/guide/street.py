"""Measure the demonstration's streets before and after fusion, and write docs/results/street.md.

    python -m benchmarks.guide.street

The scores of every street are kept in the folder of --values, from which a stopped run goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from csl_plugin import fuse, load_proposer
from csl_plugin.demo import demonstrate_street, draw_street, load_teacher
from csl_plugin.demo.street.scoring import street_threshold, teacher_score
from csl_plugin.io import atomic_path, write_png
from csl_plugin.metrics import ObjectMetric, PooledAnomaly
from csl_plugin.metrics.components import OBSTACLE_TRACK, ComponentMetric
from csl_plugin.objects import Objects, find_objects
from csl_plugin.proposers.on_files import propose_regions

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "results" / "street.md"
WORST = DOCS / "images" / "street-worst.png"
PROPOSERS = ("csl-tiny:auto,5", "superpixels")
_VISIBLE = 0.01
_SIZES = ((0.0, 0.005), (0.005, 0.01), (0.01, 0.02), (0.02, 1.0))


@dataclass(frozen=True)
class Measured:
    """A street's maps and metrics; the maps in the order base, default, superpixels.

    Attributes:
        seed: Of the street.
        thing: The kind of the unseen thing.
        truth: (H, W) uint8, 1 where it is.
        maps: (3, H, W) float32.
        objects: Of the default, at the threshold.
        ap: Of each map.
        fpr95: Of each map.
    """

    seed: int
    thing: str
    truth: NDArray[np.uint8]
    maps: NDArray[np.float32]
    objects: Objects
    ap: tuple[float, ...]
    fpr95: tuple[float, ...]

    @property
    def share(self) -> float:
        """Of the pixels that the thing has."""
        return float(self.truth.mean())

    @property
    def gain(self) -> float:
        """AP of the default less that of the base."""
        return self.ap[1] - self.ap[0]


def measured(seed: int, values: Path) -> Measured:
    """The maps of a street, computed if they are not in the folder of values."""
    path = values / f"{seed}.npz"
    if not path.is_file():
        street = draw_street(seed)
        score = teacher_score(load_teacher(), street.image)
        several = [propose_regions(load_proposer(name), street.image, "") for name in PROPOSERS]
        maps = np.stack([score, *(fuse(score, regions) for regions in several)])
        (objects,) = find_objects(maps[1], street_threshold(), several[0])
        truth, thing = street.unseen.astype(np.uint8), np.array(street.thing)
        with atomic_path(path) as temporary, Path(temporary).open("wb") as file:
            np.savez(
                file, maps=maps, truth=truth, thing=thing, objects=objects.label_map(), scores=objects.scores
            )
    with np.load(path) as held:
        maps, truth, thing = held["maps"], held["truth"], held["thing"]
        masks = held["objects"] == np.arange(1, len(held["scores"]) + 1)[:, None, None]
        objects = Objects.from_masks(masks, held["scores"])
    found = [pooled([(each, truth)]).compute() for each in maps]
    ap, fpr95 = (tuple(getattr(each, key) for each in found) for key in ("ap", "fpr95"))
    return Measured(seed, str(thing), truth, maps, objects, ap, fpr95)


def pooled(frames: Sequence[tuple[NDArray[np.float32], NDArray[np.uint8]]]) -> PooledAnomaly:
    """The metric over frames of (score, truth)."""
    metric = PooledAnomaly()
    for score, truth in frames:
        metric.update(score, truth)
    return metric


def hero(streets: Sequence[Measured]) -> Measured:
    """The street that the demonstration shows: an ordinary one, by AP before and after.

    Of those whose thing has at least 1 % of the pixels, it is nearest to the medians of both.
    """
    visible = [street for street in streets if street.share >= _VISIBLE]
    medians = np.median([street.ap[:2] for street in visible], axis=0)
    return min(visible, key=lambda street: float(np.linalg.norm(street.ap[:2] - medians)))


def page(streets: Sequence[Measured]) -> str:
    """The page as Markdown."""
    names = enumerate(("base", "default", "superpixels"))
    kinds = sorted({street.thing for street in streets})
    sizes = [f"{100 * low:g} to {100 * high:g} %" for low, high in _SIZES]
    of_kind = [[street for street in streets if street.thing == kind] for kind in kinds]
    of_size = [[street for street in streets if low <= street.share < high] for low, high in _SIZES]
    blocks = [
        "# Drawn streets with things the teacher never saw",
        "Written by `python -m benchmarks.guide.street`; do not edit.",
        _paragraph(
            f"{len(streets)} streets of `csl_plugin.demo.draw_street`, seeds {streets[0].seed} to "
            f"{streets[-1].seed}, 384 x 640 pixels, each with one thing on the road or at its edge. The "
            "teacher, the model whose scores per pixel are fused, is a segmenter with half a million "
            "parameters, trained by `examples/train_street_teacher.py` on other streets, without such "
            "things, at last with blobs of one color on which it is to be unsure (outlier exposure); without "
            "them it calls most things a car. Its training was decided on seeds 0 to 99, so the streets here "
            "are others. Its score is the entropy of its eight classes, which lies in [0, 1] and needs no "
            "calibration; it was chosen for that, before any values. Drawn streets are no photographs: the "
            "values show what fusion does to a score, and not what a method reaches on real roads, which "
            "is in [anomaly.md](anomaly.md)."
        ),
        "## All streets",
        _paragraph(
            "AP and FPR95 over the pixels of all streets together, and F1 of components (mean over the "
            "levels of SegmentMeIfYouCan's ObstacleTrack, at the threshold of the best pixel F1), in per "
            "cent. Then of each street by itself: median (first to third quartile), and in how many it is "
            "better than the base."
        ),
        table(
            "score, AP, FPR95, component F1, AP of a street, better, FPR95 of a street, better",
            [_row(name, number, streets) for number, name in names],
        ),
        "## By thing",
        "Medians over the streets, per cent, base to default.",
        table(
            "thing, streets, share of the pixels, AP, FPR95, AP falls in",
            [_group(kind, group) for kind, group in zip(kinds, of_kind, strict=True)],
        ),
        "## By size",
        table(
            "share of the pixels, streets, median share, AP, FPR95, AP falls in",
            [_group(size, group) for size, group in zip(sizes, of_size, strict=True) if group],
        ),
        "## Objects",
        _objects(streets),
        "## The street of the demonstration",
        _choice(streets),
        "## Where fusion hurts",
        *_harm(streets),
    ]
    return "\n\n".join(blocks) + "\n"


def _choice(streets: Sequence[Measured]) -> str:
    visible, shown = [street for street in streets if street.share >= _VISIBLE], hero(streets)
    medians = _change([street.ap for street in visible])
    return _paragraph(
        f"The rule was made before the values: of the {len(visible)} streets whose thing has at least "
        f"{100 * _VISIBLE:g} % of the pixels, so that it is seen at the width of a page, the one whose AP "
        f"before and after is nearest to the medians of both, {medians}. It is seed {shown.seed} "
        f"({shown.thing}, {_change([shown.ap])})."
    )


def _harm(streets: Sequence[Measured]) -> list[str]:
    worse = sorted((street for street in streets if street.gain < 0), key=lambda street: street.gain)
    rises = sum(street.fpr95[1] > street.fpr95[0] for street in streets)
    worst = min(streets, key=lambda street: street.gain)
    rows = [
        [
            str(one.seed),
            one.thing,
            f"{100 * one.share:.2f}",
            _change([one.ap]),
            _change([one.fpr95]),
        ]
        for one in worse[:10]
    ]
    return [
        f"AP falls in {len(worse)} of {len(streets)} streets, FPR95 rises in {rises}."
        + (" Where AP falls most:" if rows else ""),
        *([table("seed, thing, share of the pixels, AP, FPR95", rows)] if rows else []),
        f"The street with the least gain, seed {worst.seed}:",
        f"![A street, its score, its regions, and the fused score](../images/{WORST.name})",
    ]


def _row(name: str, number: int, streets: Sequence[Measured]) -> list[str]:
    frames = [(street.maps[number], street.truth) for street in streets]
    values = pooled(frames).compute()
    metric = ComponentMetric(OBSTACLE_TRACK, values.best_f1_threshold)
    for score, truth in frames:
        metric.update(score, truth)
    ap, fpr95 = ([getattr(street, key) for street in streets] for key in ("ap", "fpr95"))
    better = [
        "" if number == 0 else str(sum(sign * (of[number] - of[0]) > 0 for of in values_of))
        for sign, values_of in ((1, ap), (-1, fpr95))
    ]
    return [
        name,
        f"{100 * values.ap:.1f}",
        f"{100 * values.fpr95:.1f}",
        f"{100 * metric.compute().mean_f1:.1f}",
        _spread([of[number] for of in ap]),
        better[0],
        _spread([of[number] for of in fpr95]),
        better[1],
    ]


def _group(name: str, group: Sequence[Measured]) -> list[str]:
    return [
        name,
        str(len(group)),
        f"{100 * np.median([street.share for street in group]):.1f}",
        _change([street.ap for street in group]),
        _change([street.fpr95 for street in group]),
        str(sum(street.gain < 0 for street in group)),
    ]


def _objects(streets: Sequence[Measured]) -> str:
    metric, threshold = ObjectMetric(OBSTACLE_TRACK), street_threshold()
    for street in streets:
        metric.update(street.objects, street.truth)
    counts = metric.compute().counts
    return _paragraph(
        f"The threshold was fitted to the fused score of {threshold.images} other streets without things, "
        f"at most one false object in four. At it the default finds {counts.found} of "
        f"{counts.found + counts.missed} things (sIoU of at least 0.5), with {counts.false} false objects "
        f"in {len(streets)} streets."
    )


def _paragraph(text: str) -> str:
    return fill(text, 139, break_long_words=False, break_on_hyphens=False)


def _spread(values: Sequence[float]) -> str:
    low, middle, high = 100 * np.quantile(values, (0.25, 0.5, 0.75))
    return f"{middle:.1f} ({low:.1f} to {high:.1f})"


def _change(values: Sequence[tuple[float, ...]]) -> str:
    before, after = 100 * np.median(np.array(values)[:, :2], axis=0)
    return f"{before:.1f} to {after:.1f}"


def table(head: str, rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; the names of its columns are separated by commas."""
    names = head.split(", ")
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """Measure what is not measured yet, and write the page and its picture."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--streets", type=int, default=100, help="(%(default)s)")
    parser.add_argument("--first", type=int, default=100, help="seed of the first street (%(default)s)")
    parser.add_argument("--values", type=Path, default=Path("street_values"))
    options = parser.parse_args()
    options.values.mkdir(parents=True, exist_ok=True)
    seeds = tqdm(
        range(options.first, options.first + options.streets), desc="streets", unit="street", disable=None
    )
    streets = [measured(seed, options.values) for seed in seeds]
    worst = draw_street(min(streets, key=lambda street: street.gain).seed)
    regions = propose_regions(load_proposer(), worst.image, "")
    write_png(WORST, demonstrate_street(worst, regions).picture)
    with atomic_path(PAGE) as partial:
        Path(partial).write_text(page(streets), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()

"""Frames with true regions, and the agreement of partitions with them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from benchmarks.effect.page.measured import Measured
from csl_plugin import RegionMap
from csl_plugin.datasets import Dataset, open_dataset
from csl_plugin.io import image_batch
from csl_plugin.metrics import RegionQuality
from csl_plugin.training import SegmentFolder, mask_split

SEEN = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car")
CLASSES = (*SEEN, "pedestrian", "bicyclist")
UNSEEN = (9, 10)
VOID = 255
QUALITY = ("bsds500", "seen", "unseen")
"""What `add_street` and `add_photographs` measure."""
_MIN_AREA = 60

Partitions = Callable[[Tensor], Mapping[str, RegionMap]]
"""From an image (1, 3, H, W) to a partition (1, H, W) of each method."""


@dataclass(frozen=True)
class Photograph:
    """A picture with the segments that people drew: image (1, 3, H, W), truth (annotators, H, W)."""

    image: Tensor
    truth: NDArray[np.int32]


def camvid_val(data: Path) -> Dataset:
    """The validation frames of CamVid, their labels as indices of `CLASSES`."""
    table = {"names": CLASSES, "void": [len(CLASSES)], "unseen": UNSEEN}
    with tempfile.TemporaryDirectory() as folder:
        classes = Path(folder) / "classes.json"
        classes.write_text(json.dumps(table), encoding="utf-8")
        return open_dataset("folder", data / "camvid", subset="val", classes=classes)


def photographs(data: Path, part: slice) -> Iterator[Photograph]:
    """The validation pictures of BSDS500 with the segments of all annotators, sorted by name."""
    folder = SegmentFolder(data / "bsds500/images/val", data / "bsds500/labels/val", memory=0)
    for index in tqdm(range(len(folder))[part], desc="bsds500", unit="frame", disable=None):
        maps = [folder.labels(index, annotator) for annotator in range(folder.annotations(index))]
        yield Photograph(image_batch(folder.image(index)), np.stack(maps))


def true_components(label: NDArray[np.uint8], classes: Sequence[int]) -> NDArray[np.int32]:
    """8-connected components of some classes, of at least 60 pixels; -1 elsewhere."""
    chosen = np.where(np.isin(label, classes), label.astype(np.int32), -1)
    return mask_split(chosen, min_area=_MIN_AREA)


def add_street(measured: Measured, maps: Mapping[str, RegionMap], label: NDArray[np.uint8]) -> None:
    """Measure partitions on one CamVid frame as "seen" and "unseen", void excluded.

    Args:
        measured: Takes the states.
        maps: The partition of each method.
        label: (H, W) indices of `CLASSES`, 255 for void.
    """
    for name, classes in (("seen", range(len(SEEN))), ("unseen", UNSEEN)):
        truth = true_components(label, tuple(classes))
        for method, regions in maps.items():
            metric = RegionQuality()
            metric.update(regions.labels[0], truth, valid=label != VOID)
            measured.add(name, method, metric.state())


def add_photographs(measured: Measured, partitions: Partitions, data: Path, part: slice) -> None:
    """Measure partitions on photographs of BSDS500 as "bsds500", with the segments of all annotators."""
    for photograph in photographs(data, part):
        for method, regions in partitions(photograph.image).items():
            metric = RegionQuality()
            metric.update(regions.labels[0], photograph.truth)
            measured.add("bsds500", method, metric.state())

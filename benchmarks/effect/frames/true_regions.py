"""Frames with true regions, and how far a partition of each agrees with them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from csl_plugin import RegionMap
from csl_plugin.datasets import Dataset, open_dataset
from csl_plugin.metrics import RegionQuality
from csl_plugin.metrics.metric import State
from csl_plugin.training import SegmentFolder, mask_split

SEEN = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car")
CLASSES = (*SEEN, "pedestrian", "bicyclist")
UNSEEN = (9, 10)
VOID = 255
_SMALLEST = 60


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
    """The validation pictures of BSDS500 with all annotators' segments, in the order of their names."""
    folder = SegmentFolder(data / "bsds500/images/val", data / "bsds500/labels/val", memory=0)
    for index in tqdm(range(len(folder))[part], desc="bsds500", unit="frame", disable=None):
        maps = [folder.labels(index, annotator) for annotator in range(folder.annotations(index))]
        yield Photograph(as_image(folder.image(index)), np.stack(maps))


def as_image(picture: NDArray[np.uint8]) -> Tensor:
    """(H, W, 3) uint8 to (1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(picture.transpose(2, 0, 1)[None].copy()).float() / 255


def true_components(label: NDArray[np.uint8], classes: Sequence[int]) -> NDArray[np.int32]:
    """8-connected components of some classes, of at least 60 pixels; -1 elsewhere."""
    chosen = np.where(np.isin(label, classes), label.astype(np.int32), -1)
    return mask_split(chosen, min_area=_SMALLEST)


def street_states(regions: RegionMap, label: NDArray[np.uint8]) -> dict[str, State]:
    """Agreement with the components of seen and of unseen classes in one frame, void taken out.

    Args:
        regions: A partition (1, H, W).
        label: (H, W) indices of `CLASSES`, 255 for void.
    """
    found: dict[str, State] = {}
    for name, classes in (("seen", range(len(SEEN))), ("unseen", UNSEEN)):
        metric = RegionQuality()
        metric.update(regions.labels[0], true_components(label, tuple(classes)), valid=label != VOID)
        found[name] = metric.state()
    return found


def photograph_state(regions: RegionMap, photograph: Photograph) -> State:
    """Agreement with the segments of all annotators."""
    metric = RegionQuality()
    metric.update(regions.labels[0], photograph.truth)
    return metric.state()

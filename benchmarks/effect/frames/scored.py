"""Frames with unseen objects, the scores of a teacher, and the true regions."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from csl_plugin import RegionMap, split_components
from csl_plugin.datasets import Dataset, open_dataset
from csl_plugin.io import image_batch

TITLES = {
    "pasted": "Objects pasted into street frames",
    "camvid_val": "CamVid val, people and cyclists unseen",
}
_UNSEEN = {"anomaly": [9, 10], "void": [11]}


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes:
        image: (1, 3, H, W) in [0, 1].
        label: (H, W): 0 normal, 1 anomaly, 255 void, or classes.
        scores: (H, W) each, by name.
    """

    image: Tensor
    label: NDArray[np.uint8]
    scores: dict[str, NDArray[np.float32]]


def open_sets(data: Path) -> dict[str, Dataset]:
    """The two data sets, by name."""
    with tempfile.TemporaryDirectory() as folder:
        unseen = Path(folder) / "camvid_unseen.json"
        unseen.write_text(json.dumps(_UNSEEN), encoding="utf-8")
        return {
            "pasted": open_dataset("folder", data / "pasted"),
            "camvid_val": open_dataset("folder", data / "camvid", subset="val", classes=unseen),
        }


def read_frames(dataset: Dataset, logits: Path, scores: Mapping[str, Any], part: slice) -> Iterator[Frame]:
    """The frames of a data set, with scores of the teacher's logits at the image's size.

    Args:
        dataset: Gives images and labels.
        logits: Folder with NAME.npz of each frame.
        scores: Functions of logits (C, H, W), by name.
        part: Which frames.
    """
    for frame in tqdm(dataset.frames[part], desc=dataset.output_name, unit="frame", disable=None):
        image = image_batch(dataset.read_image(frame))
        low = torch.from_numpy(np.load(logits / f"{frame.name}.npz", allow_pickle=False)["logits"]).float()
        full = F.interpolate(low[None], image.shape[2:], mode="bilinear", align_corners=False)[0]
        found = {name: score(full).numpy() for name, score in scores.items()}
        yield Frame(image, dataset.read_label(frame), found)


def true_regions(label: NDArray[np.uint8], predicted: NDArray[np.int64]) -> RegionMap:
    """Connected components of the labels crossed with the class that the teacher predicts, both (H, W)."""
    crossed = (predicted * 256 + label).astype(np.int32)
    return split_components(RegionMap(torch.from_numpy(crossed)[None]))

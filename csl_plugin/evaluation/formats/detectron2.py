"""detectron2's `sem_seg_predictions.json`: each class of each frame as a COCO mask."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from csl_plugin.io import atomic_path
from csl_plugin.io.coco_rle import encode_rle

FILE_NAME = "sem_seg_predictions.json"


def write_predictions(
    path: Path, frames: Iterable[tuple[str, NDArray[np.uint8]]], category_ids: Sequence[int]
) -> None:
    """Write the predictions of a data set atomically, with one frame in memory at a time.

    Args:
        path: The file.
        frames: Image file name and class indices (H, W), 255 for none, of each frame.
        category_ids: The data set's own id of each class index.

    Raises:
        FileError: The path cannot be written.
    """
    with atomic_path(path) as temporary, temporary.open("w", encoding="ascii") as file:
        file.write("[")
        first = True
        for name, classes in frames:
            for index in np.unique(classes):
                if index == 255:
                    continue
                entry = {
                    "file_name": name,
                    "category_id": int(category_ids[index]),
                    "segmentation": encode_rle(classes == index),
                }
                file.write(("" if first else ",") + "\n" + json.dumps(entry))
                first = False
        file.write("\n]\n")

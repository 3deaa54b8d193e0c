"""Synscapes: rendered street scenes with labels in Cityscapes label ids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from csl_plugin.arrays import resize_nearest
from csl_plugin.datasets.cityscapes import class_names, ids_of_label_ids
from csl_plugin.datasets.dataset import Dataset, DatasetInfo, Frame
from csl_plugin.datasets.layout import find_root, frames_of, listed
from csl_plugin.io.labels import png_size


def open_synscapes(path: Path, subset: str, *, resolution: str | None = None) -> Dataset:
    """Open Synscapes, with frames in the order of their numbers.

    Args:
        path: The folder with img/rgb/ or img/rgb-2k/, and img/class/.
        subset: "all"; there is no official subset.
        resolution: "rgb" (1440 x 720) or "rgb-2k" (2048 x 1024), for which the labels are resized by
            nearest neighbor. None for the first of the two that exists.

    Raises:
        FileError: Images or labels are missing.
    """
    folders = ("Synscapes", "synscapes")
    if resolution is None:
        tops = (path, *(path / folder for folder in folders))
        large = any((top / "img/rgb-2k").is_dir() for top in tops)
        resolution = "rgb-2k" if large and not any((top / "img/rgb").is_dir() for top in tops) else "rgb"
    root = find_root(INFO, path, (f"img/{resolution}", "img/class"), folders)
    images = listed(root / "img" / resolution, (".png",))
    numbered = {name: images[name] for name in sorted(filter(_is_number, images), key=int)}
    return ResizedLabels(
        name="synscapes",
        task="semantic",
        subset=subset,
        frames=frames_of(INFO, root, numbered, listed(root / "img/class", (".png",))),
        ids=ids_of_label_ids(),
        output_name="Synscapes",
        classes=class_names(),
        num_published=INFO.num_published["all"],
    )


class ResizedLabels(Dataset):
    """A data set whose labels may be of another size than its PNG images."""

    def read_label(self, frame: Frame) -> NDArray[np.uint8]:
        """The labels at the image's size by nearest neighbor; errors as in the base class."""
        labels = super().read_label(frame)
        size = png_size(frame.image)
        return labels if labels.shape == size else resize_nearest(labels, size)


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


INFO = DatasetInfo(
    title="Synscapes",
    where="synscapes.on.liu.se, on request",
    license="research terms, agreed on request",
    layout="img/rgb/<number>.png (or img/rgb-2k/) and img/class/<number>.png",
    subsets=("all",),
    default_subset="all",
    table="6",
    open=open_synscapes,
    options={"resolution": "rgb, rgb-2k"},
    num_published={"all": 25000},
    measured="classes",
)

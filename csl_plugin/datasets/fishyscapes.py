"""Fishyscapes validation sets: LostAndFound, and Static, which is stored as differences to Cityscapes."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.datasets import cityscapes, lost_and_found
from csl_plugin.datasets.dataset import Dataset, DatasetInfo, Frame
from csl_plugin.datasets.ids import ANOMALY_IDS, VOID, IdTable
from csl_plugin.datasets.layout import find_root, first_few, frames_of, incomplete, listed
from csl_plugin.errors import DTypeError, FileError, OptionError, ShapeError
from csl_plugin.io.images import read_image
from csl_plugin.io.numpy_files import read_npz

_NUMBERED = re.compile(r"\d{4}_(.+)")
_SUFFIXES = (".png", ".webp", ".jpg")


def open_fishyscapes_lost_and_found(
    path: Path, subset: str, *, images: str | os.PathLike[str] | None = None
) -> Dataset:
    """Open Fishyscapes LostAndFound: new labels for frames of LostAndFound.

    Args:
        path: The unpacked archive, `<number>_<frame>_labels.png`; the tree of the SegmentMeIfYouCan tool,
            labels/val/`<frame>`_fishy-labels.png; or a flat copy with the images, original/ and labels/.
        subset: "val".
        images: The LostAndFound folder (leftImg8bit/); not needed for a flat copy.

    Raises:
        FileError: Labels or images are missing.
        OptionError: `images` is missing.
    """
    root = find_root(LOST_AND_FOUND, path, (), ())
    ids = ANOMALY_IDS
    if (root / "original").is_dir():
        pictures = listed(root / "original", _SUFFIXES)
        labels = listed(find_root(LOST_AND_FOUND, root, ("labels",)) / "labels", (".png",))
        ids = IdTable({0: 0, 1: 1}, rest=VOID)  # copies use different values for void
    else:
        folder = next((root / name for name in _UNPACKED if (root / name).is_dir()), root)
        labels = listed(folder, ("_labels.png",))
        sources = {name: _source_of(name) for name in labels}
        if not labels:
            labels = listed(root / "labels" / "val", ("_fishy-labels.png",))
            sources = {name: name for name in labels}
        if not labels:
            raise incomplete(LOST_AND_FOUND, root, "no file <number>_<frame>_labels.png")
        pictures = _lost_and_found_images(_folder(images, "LostAndFound"), sources)
    return Dataset(
        name="fishyscapes-lostandfound",
        task="anomaly",
        subset=subset,
        frames=frames_of(LOST_AND_FOUND, root, pictures, labels),
        ids=ids,
        output_name="FishyscapesLAF-val",
        num_published=LOST_AND_FOUND.num_published["val"],
    )


def open_fishyscapes_static(
    path: Path, subset: str, *, images: str | os.PathLike[str] | None = None
) -> Dataset:
    """Open Fishyscapes Static: objects blended into Cityscapes validation images.

    Args:
        path: The unpacked archive: `<number>_<frame>_rgb.npz` and `<number>_<frame>_labels.png`.
        subset: "val".
        images: The Cityscapes folder (leftImg8bit/val/).

    Raises:
        FileError: Differences, labels or images are missing.
        OptionError: `images` is missing.
    """
    root = find_root(STATIC, path, (), ())
    folder = next((root / name for name in _UNPACKED if (root / name).is_dir()), root)
    differences = listed(folder, ("_rgb.npz",))
    if not differences:
        raise incomplete(STATIC, folder, "no file <number>_<frame>_rgb.npz")
    frames = frames_of(STATIC, folder, differences, listed(folder, ("_labels.png",)))
    top = find_root(cityscapes.INFO, _folder(images, "Cityscapes"), ("leftImg8bit/val",))
    originals = {}
    for frame in frames:
        source = _source_of(frame.name).removesuffix("_leftImg8bit")
        originals[frame.name] = top / "leftImg8bit/val" / source.split("_")[0] / f"{source}_leftImg8bit.png"
    missing = [file.name for file in originals.values() if not file.is_file()]
    if missing:
        raise incomplete(
            cityscapes.INFO, top, f"no {first_few(missing)}, {len(missing)} of {len(frames)} images"
        )
    return DifferencesToImages(
        name="fishyscapes-static",
        task="anomaly",
        subset=subset,
        frames=frames,
        ids=ANOMALY_IDS,
        output_name="FishyscapesStatic-val",
        num_published=STATIC.num_published["val"],
        originals=originals,
    )


@dataclass(frozen=True)
class DifferencesToImages(Dataset):
    """A data set whose image files hold differences to other images.

    Attributes:
        originals: The other image of each frame, by frame name.
    """

    originals: Mapping[str, Path] = field(default_factory=dict)

    def read_image(self, frame: Frame) -> NDArray[np.uint8]:
        """The original plus the signed difference, clipped to 0 to 255; errors as in the base class."""
        original = read_image(self.originals[frame.name])

        def check(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
            if shape != original.shape:
                hint = "Check that the differences were made from these images."
                raise ShapeError(str(frame.image), f"shape {shape}", f"{original.shape}", hint)
            if dtype.kind not in "if" or dtype.itemsize > 8:
                raise DTypeError(str(frame.image), f"{dtype}", "signed integers", "Download the file again.")

        difference, _ = read_npz(frame.image, check, preferred="rgb")
        if np.isnan(difference).any():
            raise FileError(str(frame.image), "nan", "differences of pixels", "Download the file again.")
        signed = original + np.clip(difference, -255, 255).astype(np.int16)
        return np.asarray(np.clip(signed, 0, 255), np.uint8)


def _source_of(name: str) -> str:
    match = _NUMBERED.fullmatch(name)
    return match[1] if match else name


def _folder(images: str | os.PathLike[str] | None, title: str) -> Path:
    if images is None:
        hint = f"Pass images= (--images on the command line): the {title} folder that holds leftImg8bit/."
        raise OptionError("images", "nothing", f"the {title} folder: the archive has no images", hint)
    return Path(images)


def _lost_and_found_images(path: Path, sources: Mapping[str, str]) -> dict[str, Path]:
    root = find_root(lost_and_found.INFO, path, ("leftImg8bit",), ("dataset_LostAndFound",))
    found, missing = {}, []
    for name, source in sources.items():
        scene = source.rsplit("_", 2)[0]
        places = [
            root / "leftImg8bit" / part / scene / f"{source}{ending}"
            for part in ("train", "test")
            for ending in lost_and_found.IMAGE_ENDINGS
        ]
        image = next((place for place in places if place.is_file()), None)
        if image is None:
            missing.append(source)
        else:
            found[name] = image
    if missing:
        got = f"no image of {first_few(missing)}, {len(missing)} of {len(sources)} frames"
        raise incomplete(lost_and_found.INFO, root, got)
    return found


_UNPACKED = ("fishyscapes_lostandfound", "fs_val_v3", "fs_val_v2", "fs_val_v1")
_TERMS = "masks: cite Fishyscapes; images: the terms of "

LOST_AND_FOUND = DatasetInfo(
    title="Fishyscapes LostAndFound (fishyscapes_lostandfound.zip)",
    where="robotics.ethz.ch/~asl-datasets/Fishyscapes/fishyscapes_lostandfound.zip",
    license=_TERMS + "LostAndFound",
    layout="<number>_<frame>_labels.png, and the LostAndFound images as `images`; or original/ and labels/",
    subsets=("val",),
    default_subset="val",
    table="",
    open=open_fishyscapes_lost_and_found,
    options={"images": "the LostAndFound folder"},
    num_published={"val": 100},
)
STATIC = DatasetInfo(
    title="Fishyscapes Static (fs_val_v3.zip)",
    where="robotics.ethz.ch/~asl-datasets/Fishyscapes/fs_val_v3.zip",
    license=_TERMS + "Cityscapes",
    layout="<number>_<frame>_rgb.npz and <number>_<frame>_labels.png, and Cityscapes val as `images`",
    subsets=("val",),
    default_subset="val",
    table="",
    open=open_fishyscapes_static,
    options={"images": "the Cityscapes folder"},
    num_published={"val": 30},
)

"""Labeled pictures in folders: semantic classes, or segments by one or several annotators."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from csl_plugin.errors import FileError, OptionError
from csl_plugin.io import files_by_stem, list_images, read_image, stem_key
from csl_plugin.io.labels import read_label_png
from csl_plugin.io.orientation import check_orientation
from csl_plugin.training.data.augmentation import Cropping
from csl_plugin.training.data.saved_teacher import SavedTeacher, output_size
from csl_plugin.training.data.scene import Labels, Picture, Scene

MEMORY = 2 << 30
"""Bytes of decoded pictures and labels that a folder caches; the rest is read again each time."""

_VALUES = 65536


class _Annotated:
    """Pictures, each with one or more label maps of its size, cached up to a limit in bytes."""

    def __init__(
        self,
        pairs: dict[Path, list[Path]],
        ignore: Collection[int],
        cropping: Cropping,
        memory: int,
        teacher: SavedTeacher | None,
    ) -> None:
        if any(not 0 <= value < _VALUES for value in ignore):
            hint = "Pass values as they are stored in the label files."
            raise OptionError("ignore", str(sorted(ignore)), f"values from 0 to {_VALUES - 1}", hint)
        if teacher is not None:
            teacher.require([stem_key(path.stem) for path in pairs])
        self._pairs, self._cropping, self._teacher = list(pairs.items()), cropping, teacher
        self._table = np.arange(_VALUES, dtype=np.int32)
        self._table[list(ignore)] = -1
        self._cached: list[tuple[Picture, list[NDArray[np.integer]]]] = []
        for index in range(len(self._pairs)):
            self._cached.append(self._read(index))
            memory -= self._cached[-1][0].nbytes + sum(labels.nbytes for labels in self._cached[-1][1])
            if memory < 0:
                break

    def __len__(self) -> int:
        return len(self._pairs)

    def stem(self, index: int) -> str:
        """The name of a picture without its suffix."""
        return stem_key(self._pairs[index][0].stem)

    def image_file(self, index: int) -> Path:
        """The file of a picture."""
        return self._pairs[index][0]

    def annotations(self, index: int) -> int:
        """Number of label maps of a picture."""
        return len(self._pairs[index][1])

    def image(self, index: int) -> Picture:
        """A picture, (H, W, 3) uint8 RGB."""
        return self._cached[index][0] if index < len(self._cached) else read_image(self._pairs[index][0])

    def labels(self, index: int, annotation: int = 0) -> Labels:
        """A label map (H, W) int32; -1 for ignored pixels."""
        return self._mask_ignored(self._stored(index, annotation, self.image(index)))

    def _cropped(self, rng: np.random.Generator, size: tuple[int, int]) -> Scene:
        """A random crop with the labels of the file, and -1 for all classes."""
        index = int(rng.integers(len(self)))
        image = self.image(index)
        stored = self._stored(index, int(rng.integers(self.annotations(index))), image)
        extent = stored.shape[0], stored.shape[1]
        window = self._cropping.draw(rng, extent, size)
        labels = self._mask_ignored(window.cut_labels(stored, size))
        cut, no_classes = window.cut_image(image, size), np.full(size, -1, np.int32)
        if self._teacher is None:
            return Scene(cut, labels, no_classes)
        given = self._teacher.read(self.stem(index))
        argument = f"the teacher's scores of {self.stem(index)}"
        check_orientation(argument, given.shape, self._pairs[index][0], extent, scaled=True)
        scores = window.cut_scores(given, extent, output_size(size))
        return Scene(cut, labels, no_classes, scores, np.ones(size, bool))

    def _mask_ignored(self, stored: NDArray[np.integer]) -> Labels:
        return np.asarray(self._table.take(stored))

    def _stored(self, index: int, annotation: int, image: Picture) -> NDArray[np.integer]:
        if index < len(self._cached):
            return self._cached[index][1][annotation]
        path, labels = self._pairs[index]
        return _read_labels(labels[annotation], path, image.shape[:2])

    def _read(self, index: int) -> tuple[Picture, list[NDArray[np.integer]]]:
        path, labels = self._pairs[index]
        image = read_image(path)
        return image, [_read_labels(file, path, image.shape[:2]) for file in labels]


class LabeledFolder(_Annotated):
    """Pictures with semantic label maps of the same stem.

    Args:
        images: Folder of pictures.
        labels: Folder of PNG label maps, `<stem>.png`: the stored values are the class ids.
        ignore: Values that are no class: void, borders.
        unseen: Classes to exclude from training. Their pixels are -1 in labels and classes.
        cropping: How crops are drawn.
        memory: Bytes of decoded pictures and labels to cache.
        teacher: A teacher's distributions for these pictures, cropped with them.

    Raises:
        FileError: A folder or a partner is missing, a file is damaged, or sizes differ.
        OptionError: `ignore` or `unseen` holds what no label file can hold.
    """

    def __init__(
        self,
        images: str | os.PathLike[str],
        labels: str | os.PathLike[str],
        *,
        ignore: Collection[int] = (),
        unseen: Collection[int] = (),
        cropping: Cropping | None = None,
        memory: int = MEMORY,
        teacher: SavedTeacher | None = None,
    ) -> None:
        pairs = labeled_pairs(images, labels)
        super().__init__(pairs, {*ignore, *unseen}, cropping or Cropping(), memory, teacher)

    def draw(self, rng: np.random.Generator, size: tuple[int, int]) -> Scene:
        """A random crop (h, w) of a random picture."""
        scene = self._cropped(rng, size)
        return replace(scene, classes=scene.labels)


class SegmentFolder(_Annotated):
    """Pictures with segments or instances, by one or several annotators.

    Args:
        images: Folder of pictures.
        labels: Folder of PNG label maps: `<stem>.png`, or `<stem>_<k>.png` of annotator k, 8- or 16-bit.
        ignore: Values that are no segment.
        cropping: How crops are drawn; each crop has the labels of one annotator, drawn at random.
        memory: Bytes of decoded pictures and labels to cache.
        teacher: As for `LabeledFolder`.

    Raises:
        FileError: A folder or a picture's labels are missing, a file is damaged, or sizes differ.
        OptionError: `ignore` holds a value that no label file can hold.
    """

    def __init__(
        self,
        images: str | os.PathLike[str],
        labels: str | os.PathLike[str],
        *,
        ignore: Collection[int] = (),
        cropping: Cropping | None = None,
        memory: int = MEMORY,
        teacher: SavedTeacher | None = None,
    ) -> None:
        pairs = segment_pairs(images, labels)
        super().__init__(pairs, ignore, cropping or Cropping(), memory, teacher)

    def draw(self, rng: np.random.Generator, size: tuple[int, int]) -> Scene:
        """A random crop (h, w) of a random picture, with the labels of a random annotator."""
        return self._cropped(rng, size)


def labeled_pairs(images: str | os.PathLike[str], labels: str | os.PathLike[str]) -> dict[Path, list[Path]]:
    """Every picture of a `LabeledFolder` with its label map.

    Raises:
        FileError: A folder or a partner is missing.
    """
    found, maps = list_images(Path(images)), files_by_stem(Path(labels), (".png",))
    _check_partners(labels, sorted(set(found) - set(maps)), "<stem>.png")
    return {path: [maps[stem]] for stem, path in found.items()}


def segment_pairs(images: str | os.PathLike[str], labels: str | os.PathLike[str]) -> dict[Path, list[Path]]:
    """Every picture of a `SegmentFolder` with the label maps of its annotators.

    Raises:
        FileError: A folder or a picture's labels are missing.
    """
    found = list_images(Path(images))
    by_stem: dict[str, list[Path]] = {stem: [] for stem in found}
    for name, path in files_by_stem(Path(labels), (".png",)).items():
        numbered = re.fullmatch(r"(.+)_\d+", name)
        stem = name if name in found or not numbered else numbered[1]
        if stem in by_stem:
            by_stem[stem].append(path)
    missing = [stem for stem, maps in by_stem.items() if not maps]
    _check_partners(labels, missing, "<stem>.png or <stem>_<number>.png")
    return {path: by_stem[stem] for stem, path in found.items()}


def _check_partners(labels: str | os.PathLike[str], missing: list[str], expected: str) -> None:
    if missing:
        got = f"no labels for {len(missing)} of the images, the first {missing[0]!r}"
        hint = "Name labels by their images, or remove the images without labels from the folder."
        raise FileError(os.fspath(labels), got, f"{expected} for every image", hint)


def _read_labels(path: Path, image: Path, size: tuple[int, ...]) -> NDArray[np.integer]:
    labels = read_label_png(path)
    if labels.shape != size:
        check_orientation(str(path), labels.shape, image, size)
        hint = "Export the labels again at the image's size; do not resize either."
        raise FileError(str(path), f"labels of {labels.shape}", f"{size}, its image's size", hint)
    if labels.dtype != np.uint8 and int(labels.max()) < 256:
        labels = labels.astype(np.uint8)
    return np.asarray(labels)

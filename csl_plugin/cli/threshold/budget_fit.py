"""A threshold fitted by a budget of false objects, on the files of images without anomalies."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from csl_plugin.cli.fused.fused_maps import FusedMaps, settings_of_objects
from csl_plugin.cli.fused.score_fusion import ScoreFusion, single_class
from csl_plugin.cli.fused.valid_masks import ValidMasks
from csl_plugin.cli.streams import say
from csl_plugin.errors import FileError
from csl_plugin.io.atomic import as_write_error
from csl_plugin.objects import Threshold
from csl_plugin.places import Place
from csl_plugin.regions import RegionMap

PER_IMAGE = 0.1
"""False objects per image, unless another budget is asked for."""

_NAMED = 5

Source: TypeAlias = ScoreFusion | FusedMaps
Pairs: TypeAlias = Sequence[tuple[Place, Place]]
"""Images and their score maps."""


def fit_by_objects(source: Source, pairs: Pairs, per_image: float, min_area: int) -> Threshold:
    """The threshold of at most so many objects per image, with what it was made with.

    Args:
        source: Makes the fused maps.
        pairs: The images, without anomalies, and their score maps.
        per_image: As for `Threshold.fit_objects`.
        min_area: As for `csl_plugin.find_objects`.

    Raises:
        CSLError: A file cannot be used, or as for `Threshold.fit_objects`.
    """
    with as_write_error("the folder for temporary files"):
        kept = TemporaryDirectory(prefix="csl-plugin-")
    with kept as folder:
        maps = _KeptMaps(source, pairs, Path(folder))
        threshold = Threshold.fit_objects(maps, per_image, min_area=min_area, split=False)
    if 0 < per_image * len(pairs) < 1:
        say(
            f"warning: {per_image:g} objects an image on {len(pairs)} images are less than one, so none was "
            "allowed; more images, or a larger budget, give a lower threshold"
        )
    return replace(threshold, made_with=settings_of_objects(source, min_area))


class _KeptMaps:
    """Fused maps with their regions, made in the first reading and kept in a folder for the others.

    Args:
        source: Makes them.
        pairs: The images and their score maps.
        folder: Where they are kept.
    """

    def __init__(self, source: Source, pairs: Pairs, folder: Path) -> None:
        self._source, self._pairs, self._folder = source, pairs, folder

    def __iter__(self) -> Iterator[tuple[NDArray[Any], tuple[RegionMap, ...], NDArray[np.bool_] | None]]:
        files = [self._folder / f"{number}.npz" for number in range(len(self._pairs))]
        for file, (image, score) in zip(files, shown(self._pairs), strict=True):
            if not file.exists():
                made = self._source.fused_image(image, score)
                fused = single_class(score, made.fused, made.valid)
                masks = [] if made.valid is None else [made.valid]
                labels = [partition.labels.cpu().numpy() for partition in made.regions]
                with as_write_error(file), file.open("wb") as stream:
                    np.savez(stream, fused, *masks, *labels)
            with np.load(file, allow_pickle=False) as kept:
                fused, *labels = (kept[f"arr_{place}"] for place in range(len(kept.files)))
            valid = labels.pop(0) if self._source.valid else None
            yield fused, tuple(map(RegionMap, labels)), valid


def refuse_missing(place: Place, images: Mapping[str, Place], found: Mapping[str, Place], what: str) -> None:
    """Refuse images without a counterpart.

    Args:
        place: Where they should be.
        images: By stem.
        found: By stem.
        what: What each image needs, such as "score map".

    Raises:
        FileError: One has none.
    """
    missing = [image.name for stem, image in images.items() if stem not in found]
    if missing:
        hint = "Add the missing files, or remove the images: a threshold is fitted on all of them."
        raise FileError(str(place), f"no {what} for {_listed(missing)}", "one for every image", hint)


def refuse_maskless(masks: ValidMasks | None, images: Mapping[str, Place]) -> None:
    """Refuse images without a mask, where masks say which pixels count.

    Raises:
        FileError: One has none.
    """
    if masks is not None:
        found = {stem: file for stem in images if (file := masks.file(stem)) is not None}
        refuse_missing(masks.place, images, found, "mask")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if names[_NAMED:] else "")


def shown(pairs: Pairs) -> tqdm[tuple[Place, Place]]:
    """The pairs; a terminal shows the progress."""
    return tqdm(pairs, desc="threshold", unit="image", disable=None, file=sys.stderr)

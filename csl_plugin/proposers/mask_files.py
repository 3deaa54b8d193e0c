"""Files of masks and region maps: those of segment-anything, SA-1B, EntitySeg and this package."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.errors import DTypeError, ShapeError
from csl_plugin.io.json_files import read_large_json
from csl_plugin.io.limits import as_file_error, check_extent
from csl_plugin.io.numpy_files import npz_keys, open_npz, read_npz
from csl_plugin.io.region_maps import check_region_ids, read_region_map
from csl_plugin.places import local_path
from csl_plugin.proposers.masks import regions_from_masks
from csl_plugin.regions.region_map import check_size

MASK_SUFFIXES = (".json",)

_LARGEST_JSON = 64 << 20
_MAP, _MASKS = "mask_id", "masks"
_NO_ENTITY = 255


def read_regions(path: str | os.PathLike[str]) -> NDArray[np.int32]:
    """The regions of one image from a file; its suffix and its arrays decide which kind it is.

    Args:
        path: One of these.
            `.json`: records as `regions_from_masks` reads them, run lengths compressed or not; or an object
            with them as "annotations" (SA-1B, COCO of one image).
            `.npz` of EntitySeg: `mask_id`, (H, W) integers; no entity is 255 if they are uint8, else -1.
            `.npz` with `masks`, (N, H, W), and optionally their `scores`.
            Any region map (`read_region_map`).

    Returns:
        (H, W) int32, -1 where a pixel belongs to no region.

    Raises:
        FileError: Missing, damaged, too large, or of another format.
        DTypeError, ShapeError, ScoreRangeError: As for `regions_from_masks` and `read_region_map`.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/a.npz", mask_id=np.array([[0, 1, 255]], np.uint8), scores=np.ones(2))
        ...     read_regions(f"{folder}/a.npz")
        array([[ 0,  1, -1]], dtype=int32)
    """
    path = local_path(path, "path")
    suffix = path.suffix.lower()
    if suffix == ".json":
        return _of_json(path)
    if suffix == ".npz":
        held = _arrays(path)
        if _MAP in held:
            return _of_entities(path)
        if _MASKS in held:
            masks, _ = read_npz(path, _any, key=_MASKS)
            scores = read_npz(path, _any, key="scores")[0] if "scores" in held else None
            return _painted(masks if scores is None else {"masks": masks, "scores": scores})
    return read_region_map(path)


def _of_json(path: Path) -> NDArray[np.int32]:
    hint = "Write one file per image, with compressed run lengths."
    held = read_large_json(path, "the masks of one image as JSON", largest=_LARGEST_JSON, hint=hint)
    size = None
    if isinstance(held, dict) and isinstance(held.get("annotations"), list):
        image = held.get("image")
        if isinstance(image, dict) and "height" in image and "width" in image:
            size = (image["height"], image["width"])
        held = held["annotations"]
    if not isinstance(held, list) or not all(isinstance(record, dict) for record in held):
        got, hint = f"a {type(held).__name__}", "Write what the mask generator returns."
        raise DTypeError(str(path), got, "a list of records with 'segmentation'", hint)
    with as_file_error(path, "masks as JSON"):
        if size is not None:
            check_extent(path, check_size(size), itemsize=4)
            _check_image(path, held, size)
        return _painted(held, size)


def _check_image(path: Path, records: list[dict[str, Any]], size: tuple[int, int]) -> None:
    """Refuse masks of another size than the image that the file names: the map would have to be scaled."""
    for record in records:
        lengths = record.get("segmentation")
        own = lengths.get("size") if isinstance(lengths, dict) else None
        if isinstance(own, list) and own != list(size):
            hint = "Write the masks of one image, at its size."
            raise ShapeError(str(path), f"a mask of {own}", f"the image's size, {list(size)}", hint)


def _of_entities(path: Path) -> NDArray[np.int32]:
    def check(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        if dtype.kind not in "iu" or len(shape) != 2:
            hint = "Take the file that EntitySeg wrote."
            raise ShapeError(f"{path}, {_MAP}", f"{dtype} of shape {shape}", "integers (H, W)", hint)

    stored, _ = read_npz(path, check, key=_MAP)
    check_region_ids(f"{path}, {_MAP}", stored)
    labels = stored.astype(np.int32)
    if stored.dtype == np.uint8:
        labels[stored == _NO_ENTITY] = -1
    return labels


def _painted(masks: Any, size: tuple[int, int] | None = None) -> NDArray[np.int32]:
    labels: NDArray[np.int32] = regions_from_masks(masks, size).labels[0].numpy()
    return labels


def _arrays(path: Path) -> set[str]:
    with open_npz(path) as (archive, _):
        return set(npz_keys(archive))


def _any(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Accept any array; its size is checked already."""

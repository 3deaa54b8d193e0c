"""Plain JSON: the objects of one image with all that is known of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, SupportsFloat

from csl_plugin.errors import FileError
from csl_plugin.fusion.score_argument import LARGEST_SCORE
from csl_plugin.io.atomic import atomic_path
from csl_plugin.io.json_files import read_large_json
from csl_plugin.io.json_schema import Place, array, in_json, number
from csl_plugin.io.limits import check_extent
from csl_plugin.objects.formats.names import stored_name_or_none
from csl_plugin.objects.given_threshold import checked_threshold
from csl_plugin.objects.instances import Objects, check_objects
from csl_plugin.objects.stored_masks import objects_of_runs, read_mask, stored_masks
from csl_plugin.places import AnyPath, place_of

_FORMAT = "csl-plugin objects 1"
_LARGEST, _MOST = 64 << 20, 300_000
_HINT = "Write it again with write_objects, or csl-plugin objects."


def write_objects(
    path: AnyPath,
    objects: Objects,
    *,
    image: str = "",
    threshold: SupportsFloat | None = None,
) -> None:
    """Write the objects of one image as JSON, atomically.

    `image_score` is that of `Objects`. Under `objects`, sorted as they are: `box` [left, top, right, bottom],
    the last two beyond the last pixel; `score`, `area`, `border_share`, and `mask`, COCO's compressed run
    lengths.

    Args:
        path: The file.
        objects: Of one image.
        image: The name of the image, for the reader.
        threshold: That they were found at, for the reader: as `find_objects` takes it.

    Raises:
        OptionError: A name that no file can have, or a threshold that is no finite number.
        FileError: More objects, or longer masks, than `read_objects` takes, or the path cannot be written.

    Example:
        >>> import numpy as np
        >>> from tempfile import TemporaryDirectory
        >>> found = Objects.from_masks(np.array([[[0, 1, 1], [0, 1, 0]]], bool), np.array([0.9]))
        >>> with TemporaryDirectory() as folder:
        ...     write_objects(f"{folder}/a.json", found, image="a.jpg", threshold=0.5)
        ...     read_objects(f"{folder}/a.json")
        Objects(size=(2, 3), number=1, best_score=0.9)
    """
    check_objects(objects)
    level = None if threshold is None else checked_threshold(threshold)
    if len(objects) > _MOST:
        raise _too_large(path, objects)
    values = zip(
        objects.boxes.tolist(),
        objects.scores.tolist(),
        objects.areas.tolist(),
        objects.border_shares.tolist(),
        stored_masks(objects),
        strict=True,
    )
    names = ("box", "score", "area", "border_share", "mask")
    head = {
        "format": _FORMAT,
        "image": stored_name_or_none(image),
        "size": list(objects.size),
        "threshold": level,
        "image_score": objects.image_score,
    }
    lines = ",\n".join(json.dumps(dict(zip(names, each, strict=True))) for each in values)
    held = f'{json.dumps(head)[:-1]}, "objects": [\n{lines}\n]}}\n'
    if len(held) > _LARGEST:
        raise _too_large(path, objects)
    with atomic_path(path) as temporary:
        temporary.write_text(held, encoding="utf-8")


def read_objects(path: AnyPath) -> Objects:
    """Read what `write_objects` wrote.

    Boxes, areas and shares of the border are computed from the masks.

    Args:
        path: The file, of at most 64 MiB.

    Raises:
        FileError: Missing, damaged, too large or of another format; a mask of another size than the image.
    """
    path = place_of(path)
    held = read_large_json(path, "the objects of one image as JSON", largest=_LARGEST, hint=_HINT)
    place = Place(str(path))
    if not isinstance(held, Mapping) or held.get("format") != _FORMAT:
        raise place.error(in_json(held), f'an object with "format": "{_FORMAT}"', _HINT)
    size = held.get("size")
    if not isinstance(size, list) or len(size) != 2:
        raise place["size"].error(in_json(size), "[H, W]", _HINT)
    check_extent(path, size, itemsize=1)
    extent = (int(size[0]), int(size[1]))

    def read(value: Any, at: Place) -> tuple[Any, float]:
        if not isinstance(value, Mapping) or not {"mask", "score"} <= value.keys():
            raise at.error(in_json(value), "an object with mask and score", _HINT)
        own, runs = read_mask(value["mask"], at["mask"])
        if own != extent:
            raise at["mask"].error(f"size {own}", f"{extent}, the size of the image", _HINT)
        return runs, number(-LARGEST_SCORE, LARGEST_SCORE)(value["score"], at["score"])

    found = array(read)(held.get("objects"), place["objects"])
    return objects_of_runs(extent, [runs for runs, _ in found], [score for _, score in found])


def _too_large(path: AnyPath, objects: Objects) -> FileError:
    hint = "Raise the threshold or the least area."
    got, expected = f"{len(objects)} objects", f"at most {_MOST} in {_LARGEST} bytes"
    return FileError(str(path), got, expected, hint)

"""COCO results: one JSON file for a set of images, and beside it the file that names the images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from csl_plugin.arrays import shown
from csl_plugin.errors import DTypeError
from csl_plugin.fusion.score_argument import LARGEST_SCORE
from csl_plugin.io.atomic import atomic_path
from csl_plugin.io.json_files import read_large_json
from csl_plugin.io.json_schema import Place, array, in_json, integer, number, record
from csl_plugin.objects.formats.coco_images import LARGEST_ID, CocoImage, ImageSet, read_images
from csl_plugin.objects.formats.names import stored_names
from csl_plugin.objects.instances import Objects, check_objects_of_images
from csl_plugin.objects.run_lengths import RunLengths
from csl_plugin.objects.stored_masks import objects_of_runs, read_mask, stored_masks
from csl_plugin.places import AnyPath, RemotePath, place_of

_LARGEST = 256 << 20
_HINT = "Write the results again, with compressed run lengths."
_FIELDS = {
    "image_id": integer(0, LARGEST_ID),
    "segmentation": read_mask,
    "score": number(-LARGEST_SCORE, LARGEST_SCORE),
}


def images_path(path: AnyPath) -> Path | RemotePath:
    """The file beside COCO results that names their images: `coco-images.json` of `coco.json`."""
    path = place_of(path)
    return path.with_name(f"{path.stem}-images{path.suffix}")


def write_coco(path: AnyPath, objects: Mapping[str, Objects], images: ImageSet | None = None) -> None:
    """Write the objects of a set of images as COCO results, atomically, and the file that names the images.

    The results are the list that COCO's API, detectron2 and mmdet take: `image_id`, `category_id`,
    `segmentation` as compressed run lengths, `score` and `area`, in pixels. There is no `bbox`: with one,
    `COCO.loadRes` takes the area of the box for that of the mask, which moves objects between COCO's classes
    of size; without, it computes both from the mask. The other file (`images_path`) is an annotation file
    without annotations, so that `COCO(images_path(path)).loadRes(path)` works.

    COCO's API cannot load results without any object, an empty list; `read_coco` does.

    Args:
        path: The results, `.json`.
        objects: Of each image, by its file name.
        images: The ids of the images and the category, as `read_images` reads them from the annotation file
            of a ground truth. Default: ids 1, 2, ... in the order of `objects`, and category 1, "object".

    Raises:
        DTypeError: `images` or `objects` of another kind.
        OptionError: A name that no file can have; or an image that is not in `images`, or is there with
            another size.
        FileError: The path cannot be written.

    Example:
        >>> import numpy as np
        >>> from tempfile import TemporaryDirectory
        >>> found = Objects.from_masks(np.array([[[0, 1, 1], [0, 1, 0]]], bool), np.array([0.9]))
        >>> with TemporaryDirectory() as folder:
        ...     write_coco(f"{folder}/coco.json", {"a.jpg": found, "b.jpg": found.take([])})
        ...     json.loads(Path(folder, "coco.json").read_text())
        ...     {name: len(of_image) for name, of_image in read_coco(f"{folder}/coco.json").items()}
        [{'image_id': 1, 'category_id': 1, 'segmentation': {'size': [2, 3], 'counts': '231'},
          'score': 0.9, 'area': 3}]
        {'a.jpg': 1, 'b.jpg': 0}
    """
    check_objects_of_images(objects)
    if images is not None and not isinstance(images, ImageSet):
        hint = "Read it with read_images."
        raise DTypeError("images", shown(images), "the ImageSet of a ground truth", hint)
    sizes = {name: each.size for name, each in zip(stored_names(objects), objects.values(), strict=True)}
    named = (
        ImageSet(tuple(CocoImage(place, name, *size) for place, (name, size) in enumerate(sizes.items(), 1)))
        if images is None
        else images.of(sizes)
    )
    lines = []
    for image, found in zip(named.images, objects.values(), strict=True):
        masks = zip(stored_masks(found), found.scores.tolist(), found.areas.tolist(), strict=True)
        for mask, score, area in masks:
            one = {"image_id": image.id, "category_id": named.category, "segmentation": mask}
            lines.append(json.dumps({**one, "score": score, "area": area}))
    # Both are whole before one is renamed: results beside the images of others would be taken for theirs.
    with atomic_path(images_path(path)) as of_images, atomic_path(path) as results:
        of_images.write_text(json.dumps(named.as_json(), indent=1) + "\n", encoding="utf-8")
        results.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


def read_coco(path: AnyPath, images: AnyPath | None = None) -> dict[str, Objects]:
    """The objects of COCO results, of this package or another.

    Args:
        path: A JSON list of `image_id`, `segmentation` as run lengths, compressed or not, and `score`; other
            names, such as `bbox`, are ignored. At most 256 MiB.
        images: An annotation file whose `images` have `id`, `file_name`, `height` and `width`. Default: the
            one that `write_coco` writes beside the results.

    Returns:
        `Objects` by the file name of every image of `images`, in their order; those without a result are
        empty. Shares of the border are computed from the masks.

    Raises:
        FileError: Missing, damaged, too large or no such file; a result of an unknown image, of another size
            than its image, or without a pixel.
    """
    path = place_of(path)
    known = read_images(images_path(path) if images is None else images)
    of_id = {image.id: image for image in known.images}
    stored = read_large_json(path, "COCO results", largest=_LARGEST, hint=_HINT)
    results = array(partial(_result, of_id=of_id))(stored, Place(str(path)))
    runs: dict[int, list[RunLengths]] = {image: [] for image in of_id}
    scores: dict[int, list[float]] = {image: [] for image in of_id}
    for image, mask, score in results:
        runs[image].append(mask)
        scores[image].append(score)
    return {
        image.file_name: objects_of_runs(image.size, runs[image.id], scores[image.id])
        for image in known.images
    }


def _result(value: Any, place: Place, of_id: Mapping[int, CocoImage]) -> tuple[int, RunLengths, float]:
    """The id of the image, the mask and the score of one result."""
    if not isinstance(value, Mapping):
        raise place.error(in_json(value), "an object with image_id, segmentation and score", _HINT)
    given = {name: inner for name, inner in value.items() if name in _FIELDS}
    found: dict[str, Any] = record(dict, _FIELDS, *_FIELDS)(given, place)
    image = of_id.get(found["image_id"])
    if image is None:
        hint = "Name the annotation file of the images that the results are for."
        raise place["image_id"].error(str(found["image_id"]), f"one of {len(of_id)} images", hint)
    size, mask = found["segmentation"]
    if size != image.size:
        hint = "Compute the masks at the size of the image."
        raise place["segmentation"].error(f"size {size}", f"{image.size}, as {image.file_name}", hint)
    return image.id, mask, found["score"]

"""The images that COCO results are for: ids, file names and sizes, in an annotation file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from csl_plugin.errors import OptionError
from csl_plugin.io.json_files import read_large_json
from csl_plugin.io.json_schema import Place, array, in_json, integer, record, text
from csl_plugin.io.limits import MAX_PIXELS
from csl_plugin.io.listing import stem_key
from csl_plugin.io.orientation import TURNED_HINT
from csl_plugin.places import AnyPath, place_of

LARGEST_ID = 2**53
"""Of an image: larger integers are not exact everywhere."""

_LARGEST = 256 << 20
_HINT = "Pass a COCO annotation file, or one with its images alone."
_CATEGORY = "object"


class CocoImage(NamedTuple):
    """One image.

    Attributes:
        id: Of the image in results.
        file_name: Without a folder, or with one, as the annotation file has it.
        height: In pixels.
        width: In pixels.
    """

    id: int
    file_name: str
    height: int
    width: int

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.height, self.width


class ImageSet(NamedTuple):
    """The images of results and the category of all objects.

    Attributes:
        images: In their order; ids and file names differ.
        category: Its id. Objects are class-agnostic, so there is one.
        category_name: Its name.
    """

    images: tuple[CocoImage, ...]
    category: int = 1
    category_name: str = _CATEGORY

    def of(self, sizes: Mapping[str, tuple[int, int]]) -> ImageSet:
        """These images alone.

        Args:
            sizes: (H, W) by file name.

        Raises:
            OptionError: As for `named`, or one has another size here.
        """
        chosen = self.named(sizes)
        for image, (name, size) in zip(chosen.images, sizes.items(), strict=True):
            if image.size != size:
                got, hint = f"size {image.size} for {name}", "Pass the file of these images."
                if image.size == size[::-1]:
                    hint = TURNED_HINT
                raise OptionError("images", got, f"{size}, the size of its objects' masks", hint)
        return chosen

    def named(self, names: Iterable[str]) -> ImageSet:
        """These images alone, found by their file names, or else by their stems.

        Raises:
            OptionError: One is not there, or two are the same.
        """
        by_name = {image.file_name: image for image in self.images}
        by_stem: dict[str, list[CocoImage]] = {}
        for image in self.images:
            by_stem.setdefault(_stem(image.file_name), []).append(image)
        chosen: dict[int, CocoImage] = {}
        for name in names:
            found = [by_name[name]] if name in by_name else by_stem.get(_stem(name), [])
            if len(found) != 1:
                got = f"{len(found) or 'no'} images named like {name}"
                raise OptionError("images", got, "one for every image", "Pass the file of these images.")
            if found[0].id in chosen:
                hint = "Rename one of them: images are matched by stem."
                raise OptionError("images", f"two images named like {name}", "one", hint)
            chosen[found[0].id] = found[0]
        return self._replace(images=tuple(chosen.values()))

    def as_json(self) -> dict[str, Any]:
        """An annotation file without annotations."""
        return {
            "images": [image._asdict() for image in self.images],
            "categories": [{"id": self.category, "name": self.category_name}],
            "annotations": [],
        }


def read_images(path: AnyPath) -> ImageSet:
    """The images of a COCO annotation file; its annotations are ignored.

    Args:
        path: JSON with `images`, each with `id`, `file_name`, `height` and `width`. If it has exactly one
            category, results get its id, else 1. At most 256 MiB.

    Raises:
        FileError: Missing, damaged, too large, or no such file; an id or a file name twice.
    """
    path = place_of(path)
    held = read_large_json(path, "a COCO annotation file", largest=_LARGEST, hint=_HINT)
    place = Place(str(path))
    if not isinstance(held, Mapping) or "images" not in held:
        raise place.error(in_json(held), "an object with images", _HINT)
    images = array(_image)(held["images"], place["images"])
    for name in ("id", "file_name"):
        (value, count), *_ = Counter(getattr(image, name) for image in images).most_common(1) or [(None, 0)]
        if count > 1:
            raise place["images"].error(f"the {name} {value!r} {count} times", "each once", _HINT)
    categories = held.get("categories", [])
    if not isinstance(categories, list) or len(categories) != 1:
        return ImageSet(images)
    return ImageSet(images, *_category(categories[0], place["categories"][0]))


def _image(value: Any, place: Place) -> CocoImage:
    fields = {
        "id": integer(0, LARGEST_ID),
        "file_name": text,
        "height": integer(1, MAX_PIXELS),
        "width": integer(1, MAX_PIXELS),
    }
    image = record(CocoImage, fields, *fields)(_only(value, fields, place), place)
    if image.height * image.width > MAX_PIXELS:
        raise place.error(f"{image.height} x {image.width}", f"at most {MAX_PIXELS} pixels", _HINT)
    return image


def _category(value: Any, place: Place) -> tuple[int, str]:
    fields = {"id": integer(0, LARGEST_ID), "name": text}
    found: dict[str, Any] = record(dict, fields, "id")(_only(value, fields, place), place)
    return found["id"], found.get("name", _CATEGORY)


def _only(value: Any, names: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """The members of an object that are read; annotation files have many others."""
    if not isinstance(value, Mapping):
        raise place.error(in_json(value), "an object with " + ", ".join(names), _HINT)
    return {name: inner for name, inner in value.items() if name in names}


def _stem(file_name: str) -> str:
    return stem_key(PurePosixPath(file_name.replace("\\", "/")).stem)

"""The files of `csl-plugin objects` that hold the objects of all images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from csl_plugin.cli.batch import SetTask
from csl_plugin.cli.objects.finding import PLAIN, shown_name
from csl_plugin.io.atomic import as_write_error
from csl_plugin.io.file_states import file_states
from csl_plugin.objects import Objects
from csl_plugin.objects.formats import (
    brush_results,
    polygon_results,
    read_objects,
    write_boxes,
    write_coco,
    write_label_studio,
)
from csl_plugin.objects.formats.coco import images_path
from csl_plugin.objects.formats.coco_images import ImageSet
from csl_plugin.places import Place

COCO, CSV = "coco", "csv"
LABEL_STUDIO = {"label-studio": brush_results, "label-studio-polygons": polygon_results}
OF_ALL = (COCO, CSV, *LABEL_STUDIO)
"""The formats with one file for all images."""


class ObjectSet:
    """The objects of all images of a job, read from the plain JSON of each.

    Args:
        out: The output folder.
        images: The ids for COCO results, or None.
        prefix: As for `write_label_studio`.
    """

    def __init__(self, out: Place, images: ImageSet | None, prefix: str) -> None:
        self._out, self._images, self._prefix = out, images, prefix
        self._found: dict[Place, Objects] = {}

    def of(self, images: Sequence[Place]) -> dict[str, Objects]:
        """The objects of images whose plain JSON is there, by the names of the images.

        Raises:
            FileError: A file cannot be read.
        """
        for image in images:
            if image not in self._found:
                self._found[image] = read_objects(self._plain(image))
        return {shown_name(image): self._found[image] for image in images}

    def tasks(self, wanted: Sequence[str]) -> list[SetTask]:
        """The writing of each of `OF_ALL`."""
        coco, boxes = self._out / "coco.json", self._out / "boxes.csv"
        write = partial(write_coco, coco, images=self._images)
        tasks = [
            self._task(write, (coco, images_path(coco)), repr(self._images), COCO in wanted),
            self._task(partial(write_boxes, boxes), (boxes,), "", CSV in wanted),
        ]
        for name, results in LABEL_STUDIO.items():
            path = self._out / f"{name}.json"
            write_tasks = partial(write_label_studio, path, results=results, prefix=self._prefix)
            tasks.append(self._task(write_tasks, (path,), self._prefix, name in wanted))
        return tasks

    def _task(
        self,
        write: Callable[[Mapping[str, Objects]], None],
        outputs: tuple[Place, ...],
        by: str,
        wanted: bool,
    ) -> SetTask:
        option = hashlib.sha256(by.encode(errors="backslashreplace")).hexdigest()[:16]

        def source(images: Sequence[Place]) -> str:
            with as_write_error(self._out):
                states = file_states(map(self._plain, images))
            names = "\n".join(shown_name(image) for image in images)
            return f"{hashlib.sha256(f'{names}{states}'.encode()).hexdigest()[:32]} {option}"

        return SetTask(lambda images: write(self.of(images)), outputs, source, wanted)

    def _plain(self, image: Place) -> Place:
        return self._out / PLAIN / f"{image.stem}.json"

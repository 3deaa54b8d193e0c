"""The work of `csl-plugin objects` on one image, and the files that it writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from csl_plugin.io import write_png
from csl_plugin.io.json_values import as_stored
from csl_plugin.objects import find_objects, objects_picture
from csl_plugin.objects.formats import write_label_map, write_objects, write_polygons

if TYPE_CHECKING:
    from csl_plugin.cli.fused.fused_maps import FusedMaps
    from csl_plugin.cli.fused.score_fusion import ScoreFusion
    from csl_plugin.places import Place

PLAIN = "objects"
"""The folder of the plain JSON of every image, which the files of all images are made of."""


OF_IMAGE = {"labels": ".png", "polygons": ".json"}
"""The suffix of each format with a file for every image; the files are in a folder of its name."""


@dataclass(frozen=True)
class ObjectFinding:
    """How the objects of every image are found, and what is written of them.

    Args:
        source: Gives the fused map of an image.
        threshold: In its units.
        min_area: As for `csl_plugin.find_objects`.
    """

    source: ScoreFusion | FusedMaps
    threshold: float
    min_area: int

    def write_files(
        self, *, image: Place, score: Place, plain: Place, formats: Mapping[str, Place], picture: Place | None
    ) -> Sequence[str]:
        """Find the objects of one image and write them.

        Args:
            image: The image.
            score: Its score map or its fused map.
            plain: Where the plain JSON goes.
            formats: Where each of `OF_IMAGE` goes that was asked for.
            picture: Where the picture goes, if one was asked for.

        Returns:
            What the summary counts, as `ScoreFusion.fuse_file`.

        Raises:
            CSLError: A file is missing, unreadable or of another size, or a map cannot be used.
        """
        made = self.source.fused_image(image, score)
        (found,) = find_objects(
            made.fused,
            self.threshold,
            made.regions,
            min_area=self.min_area,
            split=False,
            valid=made.valid,
        )
        name = shown_name(image)
        if "labels" in formats:
            write_label_map(formats["labels"], found)
        if "polygons" in formats:
            write_polygons(formats["polygons"], found, image=name)
        if picture is not None:
            write_png(picture, objects_picture(made.pixels, found, self.threshold))
        write_objects(plain, found, image=name, threshold=self.threshold)
        return made.counted


def shown_name(image: Place) -> str:
    """The name of an image as files of text can hold it."""
    name: str = as_stored(image.name)
    return name

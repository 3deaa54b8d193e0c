"""Polygons as JSON: the outlines of the objects of one image, with their holes."""

from __future__ import annotations

import json

from csl_plugin.io.atomic import atomic_path
from csl_plugin.objects.formats.names import stored_name_or_none
from csl_plugin.objects.instances import Objects, check_objects
from csl_plugin.objects.polygons import polygons_of
from csl_plugin.places import AnyPath


def write_polygons(path: AnyPath, objects: Objects, *, image: str = "") -> None:
    """Write the outlines of the objects of one image as JSON, atomically.

    Under `objects`: `score`, `area`, `box` as in plain JSON, and `polygons`, the parts of the object, each
    with `outer`, a list of points [x, y], and `holes`, a list of such lists. Points are corners of pixels
    (`Polygon`), so nothing is lost: drawn with exact edges they give the mask again.

    Args:
        path: The file.
        objects: Of one image.
        image: The name of the image, for the reader.

    Raises:
        OptionError: A name that no file can have.
        FileError: The path cannot be written.
    """
    check_objects(objects)
    lines = []
    values = zip(objects.scores.tolist(), objects.areas.tolist(), objects.boxes.tolist(), strict=True)
    for (score, area, box), parts in zip(values, polygons_of(objects), strict=True):
        polygons = [
            {"outer": part.outer.tolist(), "holes": [hole.tolist() for hole in part.holes]} for part in parts
        ]
        lines.append(json.dumps({"score": score, "area": area, "box": box, "polygons": polygons}))
    head = {
        "format": "csl-plugin polygons 1",
        "image": stored_name_or_none(image),
        "size": list(objects.size),
    }
    body = ",\n".join(lines)
    with atomic_path(path) as temporary:
        temporary.write_text(f'{json.dumps(head)[:-1]}, "objects": [\n{body}\n]}}\n', encoding="utf-8")

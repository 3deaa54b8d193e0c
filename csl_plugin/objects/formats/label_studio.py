"""Label Studio: objects as predictions, which people correct there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from csl_plugin._opencv import opencv
from csl_plugin._version import __version__
from csl_plugin.arrays import shown
from csl_plugin.errors import OptionError
from csl_plugin.io.atomic import atomic_path
from csl_plugin.io.json_values import as_stored
from csl_plugin.objects.formats.brush_rle import brush_rle
from csl_plugin.objects.formats.names import stored_names
from csl_plugin.objects.instances import Objects, check_objects, check_objects_of_images
from csl_plugin.objects.polygons import polygons_of
from csl_plugin.places import AnyPath

LABEL = "object"
_TOLERANCE = 1.0  # pixels: what an outline may be moved by, so that people can edit its points
_FEWEST = 3

Results = Callable[[Objects], list[dict[str, Any]]]
"""The results of one image: `brush_results` or `polygon_results`."""


def write_label_studio(
    path: AnyPath,
    objects: Mapping[str, Objects],
    results: Results,
    *,
    prefix: str = "",
) -> None:
    """Write the objects of a set of images as tasks with predictions, the JSON that Label Studio imports.

    The project's labeling configuration needs `<Image name="image" value="$image"/>` and, named "label", the
    control of the results (see `brush_results`, `polygon_results`), with the label "object".

    Args:
        path: The file.
        objects: Of each image, by its name.
        results: `brush_results` or `polygon_results`.
        prefix: Put before each name; together they have to be the URL of the image for Label Studio, such as
            "/data/local-files/?d=images/".

    Raises:
        OptionError: A name that no file can have, or `results` or `prefix` of another kind.
        FileError: The path cannot be written.
    """
    check_objects_of_images(objects)
    if not callable(results):
        hint = "Exact masks: brush_results. Outlines that people edit: polygon_results."
        raise OptionError("results", shown(results), "brush_results or polygon_results", hint)
    if not isinstance(prefix, str):
        raise OptionError("prefix", shown(prefix), "a text", "Pass the beginning of the images' URL.")
    before = as_stored(prefix)
    version = f"csl-plugin {__version__}"
    lines = []
    for name, found in zip(stored_names(objects), objects.values(), strict=True):
        prediction: dict[str, Any] = {"model_version": version, "result": results(found)}
        if len(found):
            prediction["score"] = float(found.scores[0])
        lines.append(json.dumps({"data": {"image": before + name}, "predictions": [prediction]}))
    with atomic_path(path) as temporary:
        temporary.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


def brush_results(objects: Objects) -> list[dict[str, Any]]:
    """The objects as brush masks, exact; for `<BrushLabels name="label" toName="image">`.

    Example:
        >>> found = Objects.from_masks(np.array([[[0, 1, 1], [0, 1, 0]]], bool), np.array([0.9]))
        >>> result, = brush_results(found)
        >>> result["type"], result["value"]["format"], result["score"]
        ('brushlabels', 'rle', 0.9)
    """
    check_objects(objects)
    return [
        _result(
            objects,
            place,
            str(place + 1),
            "brushlabels",
            {"format": "rle", "rle": brush_rle(runs, objects.size)},
        )
        for place, runs in enumerate(objects.runs)
    ]


def polygon_results(objects: Objects) -> list[dict[str, Any]]:
    """The outlines of the objects, for `<PolygonLabels name="label" toName="image">`.

    Outlines are simplified by up to a pixel. Label Studio's polygons have no holes, so those are filled, and
    every part of an object is a result of its own; `brush_results` loses nothing.
    """
    check_objects(objects)
    cv2 = opencv()
    percent = 100 / np.array([objects.size[1], objects.size[0]])
    found = []
    for place, parts in enumerate(polygons_of(objects)):
        for number, part in enumerate(parts):
            simple = cv2.approxPolyDP(part.outer.astype(np.int32), _TOLERANCE, closed=True)[:, 0]
            points = (simple if len(simple) >= _FEWEST else part.outer) * percent
            name = str(place + 1) if len(parts) == 1 else f"{place + 1}-{number + 1}"
            value = {"points": points.round(6).tolist(), "closed": True}
            found.append(_result(objects, place, name, "polygonlabels", value))
    return found


def _result(objects: Objects, place: int, name: str, kind: str, value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": name,
        "from_name": "label",
        "to_name": "image",
        "type": kind,
        "original_width": objects.size[1],
        "original_height": objects.size[0],
        "image_rotation": 0,
        "score": float(objects.scores[place]),
        "value": {**value, kind: [LABEL]},
    }

"""Boxes as CSV: one line for each object of a set of images."""

from __future__ import annotations

import csv
from collections.abc import Mapping

from csl_plugin.io.atomic import atomic_path
from csl_plugin.objects.formats.names import stored_names
from csl_plugin.objects.instances import Objects, check_objects_of_images
from csl_plugin.places import AnyPath

_COLUMNS = ("image", "left", "top", "right", "bottom", "score", "area", "border_share")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_boxes(path: AnyPath, objects: Mapping[str, Objects]) -> None:
    """Write the boxes of a set of images as CSV in UTF-8, atomically.

    The first line names the columns. right and bottom are beyond the last pixel, so that right - left is the
    width. An image without objects has no line.

    A name that a spreadsheet would take for a formula, which begins with =, +, -, @, a tab or a line break,
    gets "./" before it, so that it is text and still the path of the same file.

    Args:
        path: The file.
        objects: Of each image, by its name.

    Raises:
        OptionError: A name that no file can have.
        FileError: The path cannot be written.
    """
    check_objects_of_images(objects)
    names = stored_names(objects)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        quoting = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(_COLUMNS)
        for name, found in zip(names, objects.values(), strict=True):
            row_writer = quoting if "\r" in name else writer  # which does not quote every line break
            shown = f"./{name}" if name.startswith(_FORMULA) else name
            values = zip(
                found.scores.tolist(), found.areas.tolist(), found.border_shares.tolist(), strict=True
            )
            for box, rest in zip(found.boxes.tolist(), values, strict=True):
                row_writer.writerow([shown, *box, *rest])

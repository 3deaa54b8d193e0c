"""Label maps as PNG: which object a pixel belongs to."""

from __future__ import annotations

import numpy as np

from csl_plugin.errors import FileError
from csl_plugin.io.images import write_png
from csl_plugin.objects.instances import Objects, check_objects
from csl_plugin.places import AnyPath

_MOST = int(np.iinfo(np.uint16).max)


def write_label_map(path: AnyPath, objects: Objects) -> None:
    """Write the label map of one image as 16-bit gray PNG, atomically.

    A pixel is 0 where there is no object, else 1 + the place of the object; 1 has the highest score, and wins
    a pixel of two. The map keeps no scores.

    Raises:
        FileError: More than 65535 objects, or the path cannot be written.
    """
    check_objects(objects)
    if len(objects) > _MOST:
        hint = "Write them as JSON or COCO results, or raise the threshold or the least area."
        raise FileError(str(path), f"{len(objects)} objects", f"at most {_MOST} in a 16-bit PNG", hint)
    write_png(path, objects.label_map().astype(np.uint16))

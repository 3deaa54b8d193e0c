"""Objects as `supervision.Detections`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from csl_plugin.errors import MissingExtraError, ShapeError, reason_of
from csl_plugin.io.limits import MAX_BYTES
from csl_plugin.objects.instances import Objects, check_objects

if TYPE_CHECKING:
    from supervision import Detections

_LARGEST = float(np.finfo(np.float32).max)


def to_supervision(objects: Objects) -> Detections:
    """The objects of one image as `supervision.Detections`, for its annotators, trackers and zones.

    `xyxy` are the boxes, `mask` the dense masks, (N, H, W), `confidence` the scores, on the scale of the
    fused map, and `class_id` 0; `data` has `area` and `border_share`. Without an object everything is empty.

    Raises:
        MissingExtraError: supervision is not installed: pip install 'csl-plugin[supervision]'.
        ShapeError: The dense masks would take more than 4 GiB.
    """
    check_objects(objects)
    try:
        import supervision
    except ImportError as error:
        got = (
            "no package supervision"
            if error.name == "supervision"
            else f"an import error ({reason_of(error)})"
        )
        hint = "Install it: pip install 'csl-plugin[supervision]'"
        raise MissingExtraError("supervision", got, "supervision", hint) from error
    taken = len(objects) * objects.size[0] * objects.size[1]
    if taken > MAX_BYTES:
        got, hint = f"{len(objects)} masks of {objects.size}", "Take fewer, as in objects.take(range(100))."
        raise ShapeError("objects", got, f"at most {MAX_BYTES} bytes of dense masks", hint)
    with np.errstate(under="ignore"):
        scores = objects.scores.clip(-_LARGEST, _LARGEST).astype(np.float32)
    return supervision.Detections(
        xyxy=objects.boxes.astype(np.float32),
        mask=objects.masks(),
        confidence=scores,
        class_id=np.zeros(len(objects), np.int64),
        data={"area": objects.areas, "border_share": objects.border_shares},
    )

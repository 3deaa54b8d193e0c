"""Images and values at the size of a panel."""

from __future__ import annotations

import numpy as np

from csl_plugin._opencv import opencv
from csl_plugin.viz.colors import Values


def fit(size: tuple[int, int], box: tuple[int, int]) -> tuple[int, int]:
    """The largest (h, w) inside `box`, (h, w) too, with the aspect ratio of `size`; at least (1, 1)."""
    scale = min(box[0] / size[0], box[1] / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def resize(values: Values, size: tuple[int, int]) -> Values:
    """Values at another size: averaged if smaller, bilinear if larger, nearest from three times the size on.

    Args:
        values: (H, W) or (H, W, 3), uint8, float32 or float64.
        size: (h, w).

    Returns:
        (h, w) or (h, w, 3) in the dtype of `values`.
    """
    cv2 = opencv()
    growth = size[0] / values.shape[0]
    way = cv2.INTER_AREA if growth < 1 else cv2.INTER_LINEAR if growth < 3 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(np.ascontiguousarray(values), (size[1], size[0]), interpolation=way))

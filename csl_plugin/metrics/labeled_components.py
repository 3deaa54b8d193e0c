"""The connected components of labeled pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from csl_plugin._opencv import opencv


def connected_ids(truth: NDArray[np.bool_]) -> NDArray[np.int32]:
    """(H, W): 0 where `truth` is False, else the number of the pixel's 8-connected component, from 1.

    Example:
        >>> connected_ids(np.array([[True, False, True], [False, True, False]])).tolist()
        [[1, 0, 1], [0, 1, 0]]
    """
    cv2 = opencv()
    pixels = np.ascontiguousarray(truth).view(np.uint8)
    return np.asarray(cv2.connectedComponents(pixels, connectivity=8, ltype=cv2.CV_32S)[1], np.int32)

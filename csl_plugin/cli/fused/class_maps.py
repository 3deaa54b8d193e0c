"""Class maps that are passed as scores: what of them can be told from their values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.cli.streams import say

CLASS_MAPS = "scores_like_classes"
"""The name under which such maps are counted."""

_MOST = 64  # classes
_VOID = 255


def looks_like_classes(values: NDArray[Any], dtype: np.dtype[Any]) -> bool:
    """Whether a map of one channel holds class indices, as far as its values say.

    Floating-point indices are whole numbers above 1. Stored in 8 bits, indices are few and small, and jump
    where they change, while scores that are as low change by single steps.

    Args:
        values: (H, W) or (C, H, W), as `read_scores` gives them.
        dtype: As the file stores them.

    Example:
        >>> indices = np.kron([[0, 11], [18, 3]], np.ones((8, 8)))
        >>> looks_like_classes(indices, np.dtype("float32")), looks_like_classes(indices / 18, indices.dtype)
        (True, False)
    """
    if values.ndim == 3 and values.shape[0] > 1:
        return False
    plane = values.reshape(values.shape[-2:])
    if dtype.kind == "u":
        plane = np.rint(plane * np.float32(np.iinfo(dtype).max))
    first = plane[0]
    if not (np.isfinite(first).all() and (first == np.rint(first)).all()):
        return False
    found = np.unique(plane)
    if found.size > _MOST or not np.isfinite(found).all() or (found != np.rint(found)).any():
        return False
    if dtype.kind != "u":
        return bool(found[0] >= 0 and 1 < found[-1] <= _VOID)
    indices = found[found != _VOID]
    if not 0 < indices.max(initial=0) < _MOST:
        return False
    jumps = np.abs(np.diff(plane, axis=1))
    changes = jumps[jumps > 0]
    return bool(changes.size and changes.size < 0.2 * jumps.size and changes.mean() > 2)


def warn_of_class_maps(counted: Mapping[str, int], done: int) -> dict[str, int]:
    """Say on stderr that maps look like classes, if any does.

    Args:
        counted: What the summary counts.
        done: The maps that were read.

    Returns:
        Their number by its name, for the summary.
    """
    number = counted[CLASS_MAPS]
    if number:
        say(
            f"warning: {number} of {done} score maps hold a few whole numbers, as class indices do; fusion "
            "takes scores: the probabilities of the classes, or their logits with --logits, not the arg max"
        )
    return {CLASS_MAPS: number}

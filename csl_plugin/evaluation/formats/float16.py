"""The monotone map between fused scores and float16 files; it keeps the order of the scores."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Scale: TypeAlias = Literal["probability", "unbounded"]
"""The range of a fused score: [0, 1], or all numbers from 0 on."""

_LARGEST = 30_000.0


def to_float16(fused: NDArray[Any], scale: Scale) -> NDArray[np.float16]:
    """Fused scores as float16, sinh(log(odds) / 2), where the odds are s / (1 - s), or s where unbounded.

    Half precision has the same number of steps in every octave, so its resolution is poor near 1:
    probabilities of 0.9996 and 0.9999 become one value. The hyperbolic sine grows like the square root of the
    odds toward 1, and like the root of their inverse toward 0. So neighboring values differ by 0.1 per cent
    of the odds everywhere between 1e-9 and 1e9. The map is the same for all frames and jobs, so the order
    between frames is kept. Values are clipped to 30,000 on both sides, so that evaluators stay finite.

    Args:
        fused: (H, W) finite, in [0, 1] or from 0 on.
        scale: The range of `fused`.

    Returns:
        (H, W) float16, monotonically increasing in `fused`.

    Example:
        >>> scores = np.array([[0.0, 1e-6, 0.5, 0.99990, 0.99991, 1.0]])
        >>> to_float16(scores, "probability").tolist()
        [[-30000.0, -500.0, 0.0, 50.0, 52.6875, 30000.0]]
    """
    values = np.asarray(fused, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        if scale == "probability":
            stored = (values - 0.5) / np.sqrt(values * (1.0 - values))
        else:
            stored = (values - 1.0) / (2.0 * np.sqrt(values))
    return np.clip(stored, -_LARGEST, _LARGEST).astype(np.float16)


def from_float16(stored: NDArray[Any], scale: Scale) -> NDArray[np.float32]:
    """The inverse of `to_float16`, to 0.1 per cent of the odds.

    Example:
        >>> from_float16(to_float16(np.array([[0.25, 0.75]]), "probability"), "probability").round(3).tolist()
        [[0.25, 0.75]]
    """
    values = np.asarray(stored, dtype=np.float64)
    if scale == "probability":
        return ((1.0 + values / np.sqrt(1.0 + values * values)) / 2.0).astype(np.float32)
    return np.exp(2.0 * np.arcsinh(values)).astype(np.float32)

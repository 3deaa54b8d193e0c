"""Where the pixels of an image lie between the samples of a smaller grid."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Axis(NamedTuple):
    """The pixels of one axis: the sample before each, the sample after it, the weight of the latter."""

    before: NDArray[np.int64]
    after: NDArray[np.int64]
    weight: NDArray[np.float32]


@lru_cache(maxsize=64)
def axis(length: int, samples: int) -> Axis:
    """`length` pixels over `samples` samples, centers aligned, clamped at the border.

    In float32 with one rounding for scale * (x + 1/2) - 1/2, as torch's kernels compute it.
    """
    scale = np.float64(np.float32(samples) / np.float32(length))
    position = np.maximum(scale * (np.arange(length) + 0.5) - 0.5, 0).astype(np.float32)
    before = np.minimum(position.astype(np.int64), samples - 1)
    weight = np.clip(position - before.astype(np.float32), 0, 1).astype(np.float32)
    return Axis(_constant(before), _constant(np.minimum(before + 1, samples - 1)), _constant(weight))


def _constant(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array

"""The state of one frame, for anomaly metrics pooled over frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.metrics import PooledAnomaly, State


def state_of(scores: NDArray[Any], label: NDArray[np.uint8]) -> State:
    """The state of one frame, exact."""
    metric = PooledAnomaly()
    metric.update(scores.astype(np.float32), label)
    return metric.state()

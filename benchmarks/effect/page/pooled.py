"""Anomaly metrics pooled over frames: the state of each frame, in memory or in files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.metrics import PooledAnomaly, State


class StoredStates(Sequence[State]):
    """States of frames in files: those of all scores and methods take some gigabytes.

    Args:
        folder: Where they are stored; created if missing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder, self._count = folder, 0

    def append(self, state: State) -> None:
        """Add one frame."""
        arrays: dict[str, Any] = dict(state)
        np.savez(self._folder / f"{self._count}.npz", **arrays)
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < self._count:
            raise IndexError(index)
        with np.load(self._folder / f"{index}.npz", allow_pickle=False) as stored:
            return dict(stored)


def state_of(scores: NDArray[Any], label: NDArray[np.uint8]) -> State:
    """The state of one frame."""
    metric = PooledAnomaly()
    metric.update(scores.astype(np.float32), label)
    return metric.state()


def pooled(states: Iterable[State]) -> PooledAnomaly:
    """The metric of several frames together."""
    metric = PooledAnomaly()
    for state in states:
        metric.add_state(state)
    return metric

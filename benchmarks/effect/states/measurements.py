"""The two measurements of a fused map: its pixels, and its components at the threshold of the best F1."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.effect.frames.sets import FrameSet
from benchmarks.effect.rows.anomaly import Row
from benchmarks.effect.rows.filters import ScoreMap
from benchmarks.effect.states.pixels import PixelCounts, values_over
from benchmarks.effect.states.store import Arrays, StateStore, Unit
from csl_plugin.metrics import ComponentMetric, State

Label = NDArray[np.uint8]
PIXELS, COMPONENTS = "pixels", "components"


@dataclass(frozen=True)
class Measurement:
    """What is kept of the maps of one set.

    Attributes:
        name: `PIXELS` or `COMPONENTS`.
        rows: Whose maps.
        settings: What it depends on beside the map, by network and row.
        state: From network, row, score's name, map and label to arrays.
    """

    name: str
    rows: tuple[Row, ...]
    settings: Callable[[str, Row], str]
    state: Callable[[str, Row, str, ScoreMap, Label], Arrays]


def pixels_of(frames: FrameSet, rows: Sequence[Row]) -> Measurement:
    """AP, FPR95 and AUROC."""

    def state(network: str, row: Row, score: str, values: ScoreMap, label: Label) -> Arrays:
        del network, row, score
        return PixelCounts.of(values, label, frames.step).arrays()

    def settings(network: str, row: Row) -> str:
        del network, row
        return "1"

    return Measurement(PIXELS, tuple(rows), settings, state)


def components_of(
    frames: FrameSet, rows: Sequence[Row], thresholds: Mapping[tuple[str, str, str], float]
) -> Measurement:
    """Components at full resolution.

    Args:
        frames: The set.
        rows: Those that have components are measured.
        thresholds: By network, row key and score.
    """

    def state(network: str, row: Row, score: str, values: ScoreMap, label: Label) -> Arrays:
        metric = ComponentMetric(frames.components, thresholds[network, row.key, score])
        metric.update(values, label)
        return metric.state()

    def settings(network: str, row: Row) -> str:
        used = {key: value for key, value in thresholds.items() if key[:2] == (network, row.key)}
        return f"1 {frames.components} {used}"

    return Measurement(COMPONENTS, tuple(row for row in rows if row.components), settings, state)


class SetStates:
    """The states of one set, read from the store.

    Args:
        store: Holds them.
        frames: The set.
    """

    def __init__(self, store: StateStore, frames: FrameSet) -> None:
        self._store, self._frames = store, frames

    def pixels(self, network: str, row: Row, score: str) -> list[PixelCounts]:
        """The counts of every frame."""
        return [
            PixelCounts.from_arrays(self._store.read(unit, score))
            for unit in self._units(PIXELS, network, row)
        ]

    def components(self, network: str, row: Row, score: str) -> list[State]:
        """The state of every frame, for `ComponentMetric`."""
        return [self._store.read(unit, score) for unit in self._units(COMPONENTS, network, row)]

    def threshold(self, network: str, row: Row, score: str) -> float:
        """The score of the best pixel F1 over the set; larger scores are predictions."""
        lowest = values_over(self.pixels(network, row, score)).best_f1_threshold
        return float(np.nextafter(np.float32(lowest), np.float32(-1)))

    def _units(self, measurement: str, network: str, row: Row) -> list[Unit]:
        return [
            Unit(measurement, self._frames.key, network, frame.name, row.key) for frame in self._frames.frames
        ]

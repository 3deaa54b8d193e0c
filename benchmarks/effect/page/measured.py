"""Metrics of several methods on the same frames, intervals of their changes, and tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from csl_plugin.metrics import (
    Interval,
    PooledAnomaly,
    RegionQuality,
    RegionVoteMetric,
    State,
    bootstrap_difference,
)

Metric: TypeAlias = PooledAnomaly | RegionQuality | RegionVoteMetric


class Measured:
    """The state of every frame, by measurement and method.

    Args:
        metrics: A function that makes a fresh metric, by the name of the measurement.
        draws: Of the bootstrap over frames.
    """

    def __init__(self, metrics: Mapping[str, Any], draws: int) -> None:
        self._metrics, self._draws = metrics, draws
        self._states: dict[tuple[str, str], list[State]] = defaultdict(list)

    def add(self, measurement: str, method: str, state: State) -> None:
        """Add one frame. All methods need the same frames in the same order."""
        self._states[measurement, method].append(state)

    def values(self, measurement: str, method: str) -> Any:
        """What the metric computes over all frames."""
        metric: Metric = self._metrics[measurement]()
        for state in self._states[measurement, method]:
            metric.add_state(state)
        return metric.compute()

    def text(self, measurement: str, method: str, *names: str) -> str:
        """Values in per cent, by the names of the metric's fields."""
        found = self.values(measurement, method)
        return " / ".join(f"{100 * getattr(found, name):.1f}" for name in names)

    def intervals(self, measurement: str, before: str, after: str) -> dict[str, Interval]:
        """The 95 % interval of the change of each field, as fractions."""
        states = self._states[measurement, before], self._states[measurement, after]
        return bootstrap_difference(self._metrics[measurement](), *states, draws=self._draws)

    def change(self, measurement: str, before: str, after: str, *names: str) -> str:
        """The intervals of the changes of some fields, in points."""
        found = self.intervals(measurement, before, after)
        return " / ".join(f"{100 * found[name].low:+.1f} to {100 * found[name].high:+.1f}" for name in names)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]

"""Figures of methods measured on the same frames, their changes with intervals, and tables of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from csl_plugin.metrics import (
    Interval,
    PooledAnomaly,
    RegionQuality,
    RegionVoteMetric,
    bootstrap_difference,
)
from csl_plugin.metrics.metric import State

Metric: TypeAlias = PooledAnomaly | RegionQuality | RegionVoteMetric


class Measured:
    """The states of every frame by figure and method.

    Args:
        metrics: A fresh metric's class and arguments by figure, as a function that makes one.
        draws: Of the bootstrap over frames.
    """

    def __init__(self, metrics: Mapping[str, Any], draws: int) -> None:
        self._metrics, self._draws = metrics, draws
        self._states: dict[tuple[str, str], list[State]] = defaultdict(list)

    def add(self, figure: str, method: str, state: State) -> None:
        """Take in one frame; every method has to see the same frames in the same order."""
        self._states[figure, method].append(state)

    def figures(self, figure: str, method: str) -> Any:
        """What the metric computes of all frames."""
        metric: Metric = self._metrics[figure]()
        for state in self._states[figure, method]:
            metric.add_state(state)
        return metric.compute()

    def text(self, figure: str, method: str, *names: str) -> str:
        """Figures in per cent."""
        found = self.figures(figure, method)
        return " / ".join(f"{100 * getattr(found, name):.1f}" for name in names)

    def spans(self, figure: str, before: str, after: str) -> dict[str, Interval]:
        """The 95 % interval of the change of each figure, as fractions."""
        states = self._states[figure, before], self._states[figure, after]
        return bootstrap_difference(self._metrics[figure](), *states, draws=self._draws)

    def change(self, figure: str, before: str, after: str, *names: str) -> str:
        """The intervals of some figures' changes, in points."""
        spans = self.spans(figure, before, after)
        return " / ".join(f"{100 * spans[name].low:+.1f} to {100 * spans[name].high:+.1f}" for name in names)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]

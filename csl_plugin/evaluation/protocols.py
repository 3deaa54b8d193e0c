"""Which metrics a benchmark takes, and the figures of many frames from the records of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from csl_plugin.datasets import Dataset
from csl_plugin.evaluation.records import Records, State, States
from csl_plugin.metrics import (
    COMPONENT_SETTINGS,
    ComponentMetric,
    PooledAnomaly,
    RegionVoteMetric,
    SemanticMetric,
    SmiycAnomaly,
    bootstrap_difference,
)

Task: TypeAlias = Literal["anomaly", "semantic", "regions"]
Figures: TypeAlias = dict[str, float]

SIDES = ("base", "csl")
PIXEL_FIGURES = ("ap", "auroc", "fpr95")
COMPONENT_FIGURES = ("siou_gt", "ppv", "mean_f1")
SEMANTIC_FIGURES = ("miou", "miou_seen", "miou_unseen", "hiou", "macc", "pacc", "fwiou")
_OWN = "frame"
LOWER_IS_BETTER = frozenset({"fpr95"})


@dataclass(frozen=True)
class Block:
    """Figures of one protocol side by side, as fractions.

    Args:
        protocol: "smiyc", "pooled", "components", "semantic" or "regions".
        base: Figures of the scores as they came; empty where there are none (regions).
        csl: Figures of the fused ones.
        intervals: (low, high) of the change, csl - base, by figure; bootstrap over frames.
    """

    protocol: str
    base: Figures
    csl: Figures
    intervals: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Measures:
    """The metrics of a benchmark.

    Args:
        task: What is measured.
        num_classes: Of semantic tasks, else 0.
        unseen: Class indices of the second group, of semantic tasks.
        components: Which track's component settings, if any.
    """

    task: Task
    num_classes: int = 0
    unseen: tuple[int, ...] = ()
    components: str | None = None

    @staticmethod
    def of(dataset: Dataset) -> Measures:
        """The metrics of a data set."""
        return Measures(dataset.task, len(dataset.classes), tuple(dataset.unseen), dataset.components)

    @property
    def sides(self) -> tuple[str, ...]:
        """What is measured side by side."""
        return ("csl",) if self.task == "regions" else SIDES

    @property
    def makers(self) -> dict[str, Callable[[], Any]]:
        """How a fresh metric of each protocol is made; the first is the data set's own protocol."""
        if self.task == "semantic":
            return {"semantic": lambda: SemanticMetric(self.num_classes, unseen=self.unseen)}
        if self.task == "regions":
            return {"regions": lambda: RegionVoteMetric(self.num_classes, unseen=self.unseen)}
        if self.components:
            return {"smiyc": SmiycAnomaly, "pooled": PooledAnomaly}
        return {"pooled": PooledAnomaly, "smiyc": SmiycAnomaly}

    @property
    def exact(self) -> str:
        """The protocol that single frames and the bootstrap are measured by."""
        return "pooled" if self.task == "anomaly" else next(iter(self.makers))

    def states(self, side: str, prediction: NDArray[Any], labels: NDArray[np.uint8]) -> dict[str, State]:
        """The state of each metric over one frame, by "side.protocol", and the frame's own figure."""
        held: dict[str, State] = {}
        for protocol, make in self.makers.items():
            metric = make()
            metric.update(prediction, labels)
            held[f"{side}.{protocol}"] = metric.state()
            if protocol == self.exact:
                figures = metric.compute()
                own = figures.ap if self.task == "anomaly" else figures.miou
                held[f"{side}.{_OWN}"] = {"figure": np.array([own], np.float64)}
        return held

    def component_states(
        self, side: str, prediction: NDArray[Any], labels: NDArray[np.uint8], threshold: float
    ) -> dict[str, State]:
        """The state of the component metric over one frame."""
        metric = self._component_metric(threshold)
        metric.update(prediction, labels)
        return {f"{side}.components": metric.state()}

    def summed(self, side: str, protocol: str, records: Records, frames: Sequence[str]) -> Any:
        """One metric over all frames."""
        metric = self.makers[protocol]()
        for state in States(records, f"{side}.{protocol}", frames):
            metric.add_state(state)
        return metric

    def summed_components(
        self, side: str, records: Records, frames: Sequence[str], threshold: float
    ) -> Figures:
        """The component figures over all frames."""
        metric = self._component_metric(threshold)
        for state in States(records, f"{side}.components", frames):
            metric.add_state(state)
        return picked(metric.compute(), COMPONENT_FIGURES)

    def difference(
        self, records: Records, frames: Sequence[str], draws: int
    ) -> dict[str, tuple[float, float]]:
        """Bootstrap intervals of csl - base over frames; none where one side is all there is."""
        if self.task == "regions":
            return {}
        before, after = (States(records, f"{side}.{self.exact}", frames) for side in SIDES)
        intervals = bootstrap_difference(self.makers[self.exact](), before, after, draws=draws)
        return {name: (float(found.low), float(found.high)) for name, found in intervals.items()}

    def frame_figure(self, side: str, records: Records, frame: str) -> float:
        """AP or mIoU of one frame by itself, nan where undefined."""
        return float(records.read(frame, f"{side}.{_OWN}")["figure"][0])

    def _component_metric(self, threshold: float) -> ComponentMetric:
        return ComponentMetric(COMPONENT_SETTINGS[str(self.components)], threshold)


def picked(figures: Any, names: Sequence[str]) -> Figures:
    """The named figures of a metric's result as plain floats."""
    values = asdict(figures)
    return {name: float(values[name]) for name in names}

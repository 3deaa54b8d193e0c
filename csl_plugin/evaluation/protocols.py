"""The protocols of a benchmark, its metrics by name, and their values over the records of many frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from csl_plugin.datasets import Dataset
from csl_plugin.evaluation.records import Records, States
from csl_plugin.metrics import (
    ANOMALY_METRICS,
    COMPONENT_SETTINGS,
    IMAGE_METRICS,
    REGION_OVERLAP_METRICS,
    SEMANTIC_METRICS,
    ComponentMetric,
    ComponentValues,
    ImageAnomaly,
    PooledAnomaly,
    RegionOverlap,
    RegionVoteMetric,
    SemanticMetric,
    SmiycAnomaly,
    State,
    bootstrap_difference,
)

Task: TypeAlias = Literal["anomaly", "semantic", "regions"]
Values: TypeAlias = dict[str, float]

SIDES = ("base", "csl")
LOWER_IS_BETTER = frozenset({"fpr95"})

_INSPECTION = ("overlap", "images")

# Names inside the records, which outlive a version of the package.
_FRAME, _VALUE = "frame", "figure"


@dataclass(frozen=True)
class Protocols:
    """The metrics of a benchmark.

    Args:
        task: What is measured.
        num_classes: Of semantic tasks, else 0.
        unseen: Class indices of the unseen group, of semantic tasks.
        components: The track whose component settings are used, if any.
        inspection: Whether labeled regions and images are measured too.
    """

    task: Task
    num_classes: int = 0
    unseen: tuple[int, ...] = ()
    components: str | None = None
    inspection: bool = False

    @staticmethod
    def of(dataset: Dataset) -> Protocols:
        """The metrics of a data set."""
        return Protocols(
            dataset.task,
            len(dataset.classes),
            tuple(dataset.unseen),
            dataset.components,
            dataset.inspection,
        )

    @property
    def sides(self) -> tuple[str, ...]:
        """The sides that are compared."""
        return ("csl",) if self.task == "regions" else SIDES

    @property
    def makers(self) -> dict[str, Callable[[], Any]]:
        """Constructors of a fresh metric by protocol; the first is the data set's own protocol."""
        if self.task == "semantic":
            return {"semantic": lambda: SemanticMetric(self.num_classes, unseen=self.unseen)}
        if self.task == "regions":
            return {"regions": lambda: RegionVoteMetric(self.num_classes, unseen=self.unseen)}
        if self.inspection:
            return {"pooled": PooledAnomaly, "overlap": RegionOverlap, "images": ImageAnomaly}
        if self.components:
            return {"smiyc": SmiycAnomaly, "pooled": PooledAnomaly}
        return {"pooled": PooledAnomaly, "smiyc": SmiycAnomaly}

    def metrics_of(self, protocol: str) -> tuple[str, ...]:
        """The values of a protocol that are reported."""
        if self.task != "anomaly":
            return SEMANTIC_METRICS
        return {"overlap": REGION_OVERLAP_METRICS, "images": IMAGE_METRICS}.get(protocol, ANOMALY_METRICS)

    @property
    def exact(self) -> str:
        """The protocol of single frames and of the bootstrap."""
        return "pooled" if self.task == "anomaly" else next(iter(self.makers))

    def states(self, side: str, prediction: NDArray[Any], labels: NDArray[np.uint8]) -> dict[str, State]:
        """The state of each metric after one frame, by "side.protocol", and the value of the frame itself."""
        held: dict[str, State] = {}
        for protocol, make in self.makers.items():
            metric = make()
            metric.update(prediction, labels)
            held[f"{side}.{protocol}"] = metric.state()
            if protocol == self.exact:
                values = metric.compute()
                own = values.where_defined().ap if self.task == "anomaly" else values.miou
                held[f"{side}.{_FRAME}"] = {_VALUE: np.array([own], np.float64)}
        return held

    def component_states(
        self, side: str, prediction: NDArray[Any], labels: NDArray[np.uint8], threshold: float
    ) -> dict[str, State]:
        """The state of the component metric after one frame."""
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
    ) -> ComponentValues:
        """The component metrics over all frames."""
        metric = self._component_metric(threshold)
        for state in States(records, f"{side}.components", frames):
            metric.add_state(state)
        return metric.compute().where_defined()

    def difference(
        self, records: Records, frames: Sequence[str], draws: int
    ) -> dict[str, tuple[float, float]]:
        """Bootstrap intervals of csl - base over frames; empty if there is only one side, or one frame."""
        if self.task == "regions" or len(frames) < 2:
            return {}
        spans: dict[str, tuple[float, float]] = {}
        for protocol in (self.exact, *(_INSPECTION if self.inspection else ())):
            before, after = (States(records, f"{side}.{protocol}", frames) for side in SIDES)
            intervals = bootstrap_difference(self.makers[protocol](), before, after, draws=draws)
            spans |= {name: (float(found.low), float(found.high)) for name, found in intervals.items()}
        return spans

    def frame_value(self, side: str, records: Records, frame: str) -> float:
        """AP or mIoU of a single frame, nan where undefined."""
        return float(records.read(frame, f"{side}.{_FRAME}")[_VALUE][0])

    def _component_metric(self, threshold: float) -> ComponentMetric:
        return ComponentMetric(COMPONENT_SETTINGS[str(self.components)], threshold)


def select(values: Any, names: Sequence[str]) -> Values:
    """The named values of a metric's result as plain floats."""
    found = asdict(values)
    return {name: float(found[name]) for name in names}

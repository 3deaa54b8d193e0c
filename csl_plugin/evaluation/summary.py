"""From the records of all frames to the result."""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from csl_plugin.datasets import Frame, dataset_info
from csl_plugin.evaluation.frames import ComponentPass, FusionPass
from csl_plugin.evaluation.protocols import SIDES, select
from csl_plugin.evaluation.published_results import published_rows_of
from csl_plugin.evaluation.records import COMPONENTS, Records
from csl_plugin.evaluation.reliability import reliability_curves
from csl_plugin.evaluation.report import result_files
from csl_plugin.evaluation.result import Curve, FrameChange, ProtocolValues, Result, with_names
from csl_plugin.evaluation.undefined import NO_PROBABILITIES, check_labels, warnings_of
from csl_plugin.metrics import (
    COMPONENT_METRICS,
    AnomalyValues,
    ComponentValues,
)

_CURVE_POINTS = 400
_UNIT = "result"


@dataclass(frozen=True)
class Summary:
    """Sums up a finished first pass.

    Args:
        first: The first pass; the records of all its frames exist.
        settings: What it was made with.
        draws: Bootstrap draws.
    """

    first: FusionPass
    settings: Mapping[str, Any]
    draws: int

    @cached_property
    def measured(self) -> tuple[Frame, ...]:
        """The frames with labels."""
        return tuple(frame for frame in self.first.dataset.frames if frame.is_labeled)

    @property
    def files(self) -> list[Path]:
        """Every file that the benchmark may write."""
        first, frames = self.first, self.first.dataset.frames
        components = Records(first.records.out, COMPONENTS)
        records = [components.path(frame.name) for frame in frames] if first.protocols.components else []
        return [*self.files_of(frames), *records, *self._own_files]

    def files_of(self, frames: Sequence[Frame]) -> list[Path]:
        """The files that the first pass writes for frames."""
        return [path for frame in frames for path in self.first.files(frame)]

    def discard_outdated(self) -> None:
        """Remove the result of an earlier run if one of its frames has to be measured again.

        Raises:
            FileError: A file cannot be removed.
        """
        out = self.first.records.out
        from tqdm import tqdm

        if not out.is_done(self._own_files, self._source):
            for changed in out.changed(self._own_files):
                reason = "was changed since it was written; it is made again"
                tqdm.write(f"warning: {changed} {reason}", file=sys.stderr)
            self.discard()

    def discard(self) -> None:
        """Remove the result of an earlier run, because a frame is measured again.

        Raises:
            FileError: A file cannot be removed.
        """
        self.first.records.out.discard(_UNIT)

    def writing(self) -> AbstractContextManager[None]:
        """Write the result and the files that cover all frames in this block."""
        return self.first.records.out.writing(_UNIT, self._own_files, self._source)

    @property
    def _own_files(self) -> list[Path]:
        first = self.first
        return [*result_files(first.records.out.path), *first.predictions.of_all(first.dataset.frames)]

    @cached_property
    def _source(self) -> str:
        """The state of the files of all frames."""
        states = hashlib.sha256()
        for frame in self.first.dataset.frames:
            with suppress(OSError):  # the first pass reports it
                states.update(self.first.sources(frame).encode())
        return states.hexdigest()

    @cached_property
    def metrics(self) -> dict[str, dict[str, Any]]:
        """Each protocol's metric over all frames, by protocol and side."""
        protocols, names = self.first.protocols, self._names
        return {
            protocol: {
                side: protocols.summed(side, protocol, self.first.records, names) for side in protocols.sides
            }
            for protocol in protocols.makers
        }

    @cached_property
    def values(self) -> dict[str, dict[str, Any]]:
        """Each protocol's values, by protocol and side."""
        return {
            protocol: {side: metric.compute() for side, metric in by_side.items()}
            for protocol, by_side in self.metrics.items()
        }

    def thresholds(self) -> tuple[float, float]:
        """The official best-F1 threshold of base and csl; nan where nothing is anomalous."""
        found = self.values["smiyc"]
        if not found["csl"].num_positive:
            return math.nan, math.nan
        return tuple(float(found[side].best_f1_threshold) for side in SIDES)  # type: ignore[return-value]

    def result(self, components: ComponentPass | None) -> Result:
        """The result of the benchmark.

        Args:
            components: The second pass, if there was one.

        Raises:
            FileError: No metric can be defined over the labels.
        """
        first, dataset = self.first, self.first.dataset
        if self.measured:
            values = next(iter(self.values.values()))["csl"]
            check_labels(self.measured, first.protocols.task, values)
        found = self._components(components)
        protocols = self._protocols(found) if self.measured else ()
        curves = self._curves() if self.measured else {}
        benchmark = first.predictions.benchmark
        title = dataset_info(dataset.name).title.partition(" (")[0]
        if dataset.name == "folder":
            title = dataset.output_name
        if first.protocols.task == "regions":
            title = f"Regions on {title}"
        method = first.predictions.method
        return Result(
            benchmark=benchmark,
            title=title,
            task=first.protocols.task,
            subset=dataset.subset,
            method=method,
            num_frames=len(dataset.frames),
            num_measured=len(self.measured),
            num_published=dataset.num_published,
            protocols=protocols,
            classes=tuple(dataset.classes),
            per_class=self._per_class() if self.measured else {},
            curves=curves,
            changes=self._changes(),
            published_rows=published_rows_of(benchmark, dataset.subset, method),
            settings=with_names(self.settings),
            outputs=first.predictions.finish(dataset.frames),
            warnings=(
                *dataset.notes,
                *warnings_of(first.protocols, protocols, self.measured),
                *((NO_PROBABILITIES,) if curves and first.fusion.scale != "probability" else ()),
            ),
            reliability=reliability_curves(self.metrics["pooled"], first.fusion) if curves else {},
            objects={side: values.counts for side, values in found.items()},
        )

    @property
    def _names(self) -> list[str]:
        return [frame.name for frame in self.measured]

    def _components(self, components: ComponentPass | None) -> dict[str, ComponentValues]:
        """The component metrics by side, if there was a second pass."""
        if components is None:
            return {}
        return {
            side: self.first.protocols.summed_components(
                side, components.records, self._names, components.thresholds[side]
            )
            for side in SIDES
        }

    def _protocols(self, components: Mapping[str, ComponentValues]) -> tuple[ProtocolValues, ...]:
        protocols, names = self.first.protocols, self._names
        intervals = protocols.difference(self.first.records, names, self.draws)
        found = []
        for protocol, by_side in self.values.items():
            shown = protocols.metrics_of(protocol)
            known = {name: span for name, span in intervals.items() if name in shown}
            sides = {side: select(_defined(values), shown) for side, values in by_side.items()}
            found.append(ProtocolValues(protocol, sides.get("base", {}), sides["csl"], known))
        if components:
            base, csl = (select(components[side], COMPONENT_METRICS) for side in SIDES)
            found.append(ProtocolValues("components", base, csl, {}))
        return tuple(found)

    def _per_class(self) -> dict[str, tuple[float, ...]]:
        if self.first.protocols.task == "anomaly":
            return {}
        by_side = next(iter(self.values.values()))
        return {side: tuple(float(value) for value in found.per_class) for side, found in by_side.items()}

    def _curves(self) -> dict[str, Curve]:
        if self.first.protocols.task != "anomaly":
            return {}
        protocol, by_side = next(iter(self.metrics.items()))
        if math.isnan(_defined(self.values[protocol]["csl"]).ap):
            return {}
        curves = {}
        for side, metric in by_side.items():
            found = metric.curve(_CURVE_POINTS)
            points = (tuple(float(value) for value in axis) for axis in (found.recall, found.precision))
            curves[side] = Curve(*points)
        return curves

    def _changes(self) -> tuple[FrameChange, ...]:
        protocols, records = self.first.protocols, self.first.records
        changes = []
        for name in self._names:
            after = protocols.frame_value("csl", records, name)
            before = protocols.frame_value("base", records, name) if "base" in protocols.sides else 0.0
            if math.isfinite(after) and math.isfinite(before):
                changes.append(FrameChange(name, before, after))
        return tuple(sorted(changes, key=lambda found: (-found.change, found.name)))


def _defined(values: Any) -> Any:
    return values.where_defined() if isinstance(values, AnomalyValues) else values

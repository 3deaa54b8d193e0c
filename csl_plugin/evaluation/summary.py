"""From the records of all frames to the result."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from csl_plugin.datasets import DATASETS, Frame
from csl_plugin.evaluation.frames.passes import ComponentWork, FrameWork
from csl_plugin.evaluation.protocols import PIXEL_FIGURES, SEMANTIC_FIGURES, SIDES, Block, picked
from csl_plugin.evaluation.published_results import printed_for
from csl_plugin.evaluation.result import Curve, FrameChange, Result

_CURVE_POINTS = 400


@dataclass(frozen=True)
class Summary:
    """Sums up a first pass whose records are all there.

    Args:
        work: The first pass.
        settings: What it was made with.
        draws: Bootstrap draws.
    """

    work: FrameWork
    settings: Mapping[str, Any]
    draws: int

    @cached_property
    def measured(self) -> tuple[Frame, ...]:
        """The frames with labels."""
        return tuple(frame for frame in self.work.dataset.frames if frame.label)

    @cached_property
    def metrics(self) -> dict[str, dict[str, Any]]:
        """Each protocol's metric over all frames, by protocol and side."""
        measures, names = self.work.measures, self._names
        return {
            protocol: {
                side: measures.summed(side, protocol, self.work.records, names) for side in measures.sides
            }
            for protocol in measures.makers
        }

    @cached_property
    def figures(self) -> dict[str, dict[str, Any]]:
        """Each protocol's figures, by protocol and side."""
        return {
            protocol: {side: metric.compute() for side, metric in by_side.items()}
            for protocol, by_side in self.metrics.items()
        }

    def thresholds(self) -> tuple[float, float]:
        """The official best-F1 threshold of base and csl."""
        found = self.figures["smiyc"]
        return tuple(float(found[side].best_f1_threshold) for side in SIDES)  # type: ignore[return-value]

    def result(self, components: ComponentWork | None) -> Result:
        """Everything a run found.

        Args:
            components: The second pass, where there was one.
        """
        work, dataset = self.work, self.work.dataset
        benchmark = work.outputs.benchmark
        title = DATASETS[dataset.name].title.partition(" (")[0]
        if dataset.name == "folder":
            title = dataset.output_name
        if work.measures.task == "regions":
            title = f"Regions on {title}"
        return Result(
            benchmark=benchmark,
            title=title,
            task=work.measures.task,
            split=dataset.split,
            method=work.outputs.method,
            num_frames=len(dataset.frames),
            num_measured=len(self.measured),
            num_published=dataset.published,
            blocks=self._blocks(components) if self.measured else (),
            classes=tuple(dataset.classes),
            per_class=self._per_class() if self.measured else {},
            curves=self._curves() if self.measured else {},
            changes=self._changes(),
            printed=printed_for(benchmark, dataset.split, work.outputs.method),
            settings=self.settings,
            outputs=work.outputs.finish(dataset.frames),
        )

    @property
    def _names(self) -> list[str]:
        return [frame.name for frame in self.measured]

    def _blocks(self, components: ComponentWork | None) -> tuple[Block, ...]:
        measures, names = self.work.measures, self._names
        shown = PIXEL_FIGURES if measures.task == "anomaly" else SEMANTIC_FIGURES
        intervals = measures.difference(self.work.records, names, self.draws)
        blocks = []
        for protocol, by_side in self.figures.items():
            sides = {side: picked(figures, shown) for side, figures in by_side.items()}
            known = {name: span for name, span in intervals.items() if name in shown}
            blocks.append(Block(protocol, sides.get("base", {}), sides["csl"], known))
        if components is not None:
            found = {
                side: measures.summed_components(side, components.records, names, components.thresholds[side])
                for side in SIDES
            }
            blocks.append(Block("components", found["base"], found["csl"], {}))
        return tuple(blocks)

    def _per_class(self) -> dict[str, tuple[float, ...]]:
        if self.work.measures.task == "anomaly":
            return {}
        by_side = next(iter(self.figures.values()))
        return {side: tuple(float(value) for value in found.per_class) for side, found in by_side.items()}

    def _curves(self) -> dict[str, Curve]:
        if self.work.measures.task != "anomaly":
            return {}
        curves = {}
        for side, metric in next(iter(self.metrics.values())).items():
            found = metric.curve(_CURVE_POINTS)
            points = (tuple(float(value) for value in axis) for axis in (found.recall, found.precision))
            curves[side] = Curve(*points)
        return curves

    def _changes(self) -> tuple[FrameChange, ...]:
        measures, records = self.work.measures, self.work.records
        changes = []
        for name in self._names:
            after = measures.frame_figure("csl", records, name)
            before = measures.frame_figure("base", records, name) if "base" in measures.sides else 0.0
            if math.isfinite(after) and math.isfinite(before):
                changes.append(FrameChange(name, before, after))
        return tuple(sorted(changes, key=lambda found: (-found.change, found.name)))

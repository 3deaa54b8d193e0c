"""One builder of cases for each stage."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.speed.contestants import Case, Spec
from benchmarks.speed.stages import assign, components, evaluation, fusion, lowres, means, objects, whole

STAGES: dict[str, Callable[[Spec], Case]] = {
    "assign": assign.build,
    "components": components.build,
    "means": means.build,
    "apply": fusion.build_apply,
    "labels": fusion.build_labels,
    "whole": whole.build,
    "scaling": whole.build_scaling,
    "lowres": lowres.build,
    "large": lowres.build_large,
    "objects": objects.build,
    "pixel metrics": evaluation.build_pixels,
    "component metrics": evaluation.build_components,
}


def build(spec: Spec) -> Case:
    """The case of a spec."""
    return STAGES[spec.stage](spec)

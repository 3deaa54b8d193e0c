"""A preset: everything there is to know of one method's output, as a value."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from csl_plugin.adapters.inputs import ImageInput
from csl_plugin.adapters.output import OutputAdapter
from csl_plugin.adapters.output_path import Container, Items, Path
from csl_plugin.adapters.presets.class_statistics import ClassStatistics
from csl_plugin.adapters.score_kinds import Kind
from csl_plugin.calibration import Calibration
from csl_plugin.errors import OptionError

Task: TypeAlias = Literal["out-of-distribution", "zero-shot", "domain adaptation", "framework"]
Tested: TypeAlias = Literal["run with random weights", "fabricated output", "saved files"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
OUTPUT = Items()
RGB = ImageInput()
IMAGENET = ImageInput(IMAGENET_MEAN, IMAGENET_STD)
BYTES = ImageInput(peak=255.0)
BGR_BYTES = ImageInput(order="BGR", peak=255.0)


@dataclass(frozen=True)
class Preset:
    """What one method returns, as its own code has it.

    Args:
        name: What `preset` finds it by.
        title: The method's name.
        task: What the method is for.
        call: The call whose arguments and output the preset is for.
        kind: What the scores are, with direction, channels, calibration and the step after fusion.
        container: Where they lie.
        images: How images go in.
        resolution: The scores' resolution, in words.
        align_corners: As for `OutputAdapter`.
        max_batch: How many images the method takes in one call; None for any number.
        note: What else a user must know.
        tested: What the tests run it against.
    """

    name: str
    title: str
    task: Task
    call: str
    kind: Kind
    container: Container = OUTPUT
    images: ImageInput = RGB
    resolution: str = "input"
    align_corners: bool | None = None
    max_batch: int | None = None
    note: str = ""
    tested: Tested = "fabricated output"

    @property
    def calibration(self) -> str:
        """Whether the map onto [0, 1] is part of the method, "fixed", or must be fitted, "fit one"."""
        return "fit one" if "calibration" in self.kind.options else "fixed"

    def adapter(
        self,
        *,
        calibration: Calibration | None = None,
        item: int | str | Path | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        unseen: Sequence[int] | None = None,
        statistics: ClassStatistics | None = None,
    ) -> OutputAdapter:
        """The adapter, with what the preset leaves open; see `preset`."""
        given: dict[str, Any] = {"calibration": calibration, "statistics": statistics}
        given["unseen"] = None if unseen is None else tuple(unseen)
        given = {name: value for name, value in given.items() if value is not None}
        for name in given:
            if name not in self.kind.options:
                raise OptionError(name, "a value", f"none for the preset {self.name!r}", "Omit it.")
        kind = dataclasses.replace(self.kind, **given)  # type: ignore[type-var]
        container: Any = self.container
        if item is not None:
            if not isinstance(container, Items) or len(container.paths) != 1:
                raise OptionError("item", repr(item), f"none for the preset {self.name!r}", "Omit it.")
            container = dataclasses.replace(container, paths=(item if isinstance(item, tuple) else (item,),))
        own = self.images
        return OutputAdapter(
            kind,
            container,
            mean=own.mean if mean is None else mean,
            std=own.std if std is None else std,
            order=own.order,
            peak=own.peak,
            align_corners=self.align_corners,
            max_batch=self.max_batch,
        )

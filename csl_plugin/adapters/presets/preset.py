"""A preset: the input and output of one method, as a value."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from csl_plugin.adapters.inputs import ImageInput
from csl_plugin.adapters.output import OutputAdapter
from csl_plugin.adapters.output_path import Items, OutputPath, Steps
from csl_plugin.adapters.presets.class_statistics import ClassStatistics
from csl_plugin.adapters.score_kinds import ScoreKind
from csl_plugin.arrays import shown
from csl_plugin.calibration import Calibration
from csl_plugin.errors import OptionError
from csl_plugin.io.constants import IMAGENET_MEAN, IMAGENET_STD

Task: TypeAlias = Literal[
    "out-of-distribution", "zero-shot", "domain adaptation", "framework", "industrial inspection"
]
Tested: TypeAlias = Literal["run with random weights", "fabricated output", "saved files"]

OUTPUT = Items()
RGB = ImageInput()
IMAGENET = ImageInput(IMAGENET_MEAN, IMAGENET_STD)
BYTES = ImageInput(peak=255.0)
BGR_BYTES = ImageInput(order="BGR", peak=255.0)


class PresetAdapter(OutputAdapter):
    """The adapter of a preset, which shows as it.

    Args:
        made: The name of the preset, and the options that it was made with.
        args: Of `OutputAdapter`.
        kwargs: Likewise.
    """

    def __init__(self, made: tuple[str, dict[str, Any]], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.preset, self.preset_options = made

    @property
    def made_by(self) -> str | None:
        """The name of the preset, where it was made without options."""
        return None if self.preset_options else self.preset

    def __repr__(self) -> str:
        options = "".join(f", {name}={shown(value)}" for name, value in self.preset_options.items())
        return f"preset({self.preset!r}{options})"


@dataclass(frozen=True)
class Preset:
    """The input and output of one method, as in the method's own code.

    Args:
        name: The name for `preset`.
        title: The method's name.
        task: What the method is for.
        call: The call whose arguments and output the preset reads.
        score_kind: What the scores are, with direction, channels, calibration and the step after fusion.
        output_path: Where the scores are in the output.
        images: The preprocessing of the images.
        resolution: The scores' resolution, in words.
        align_corners: As for `OutputAdapter`.
        max_batch: The largest batch that the method takes; None for any.
        note: What else a user must know.
        tested: What the tests check it against.
    """

    name: str
    title: str
    task: Task
    call: str
    score_kind: ScoreKind
    output_path: OutputPath = OUTPUT
    images: ImageInput = RGB
    resolution: str = "input"
    align_corners: bool | None = None
    max_batch: int | None = None
    note: str = ""
    tested: Tested = "fabricated output"

    @property
    def calibration(self) -> str:
        """Whether the score has a fixed zero, "fixed", or "optional" beside it, or needs one, "fit one"."""
        if self.score_kind.needs_calibration:
            return "fit one"
        return "optional" if "calibration" in self.score_kind.options else "fixed"

    def adapter(
        self,
        *,
        calibration: Calibration | None = None,
        item: int | str | Steps | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        unseen: Sequence[int] | None = None,
        statistics: ClassStatistics | None = None,
    ) -> OutputAdapter:
        """The adapter with the options that the preset leaves open; see `preset`."""
        given: dict[str, Any] = {"calibration": calibration, "statistics": statistics}
        given["unseen"] = None if unseen is None else tuple(unseen)
        given = {name: value for name, value in given.items() if value is not None}
        for name in given:
            if name not in self.score_kind.options:
                raise OptionError(name, "a value", f"none for the preset {self.name!r}", "Omit it.")
        score_kind = dataclasses.replace(self.score_kind, **given)  # type: ignore[type-var]
        path: Any = self.output_path
        if item is not None:
            if not isinstance(path, Items) or len(path.paths) != 1:
                raise OptionError("item", shown(item), f"none for the preset {self.name!r}", "Omit it.")
            path = dataclasses.replace(path, paths=(item if isinstance(item, tuple) else (item,),))
        own = self.images
        made = {"item": item, "mean": mean, "std": std, **given}
        return PresetAdapter(
            (self.name, {name: value for name, value in made.items() if value is not None}),
            score_kind,
            path,
            mean=own.mean if mean is None else mean,
            std=own.std if std is None else std,
            order=own.order,
            peak=own.peak,
            align_corners=self.align_corners,
            max_batch=self.max_batch,
        )

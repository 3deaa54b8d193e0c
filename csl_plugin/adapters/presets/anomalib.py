"""anomalib's predictions: their output path, and the kind of score that an anomaly map is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from csl_plugin.adapters.output_path import contents
from csl_plugin.adapters.presets.preset import IMAGENET, Preset, Task
from csl_plugin.adapters.score_kinds import ScoreKind, calibrated, maps, wrong_shape
from csl_plugin.arrays import as_tensor, describe
from csl_plugin.calibration import Calibration
from csl_plugin.errors import OutputError, ScoreRangeError, ShapeError

_FIELDS = ("pred_score", "pred_label", "anomaly_map", "pred_mask")
_INSPECTION: Task = "industrial inspection"
_NOTE = "`pred_score` becomes the largest value of the fused map, `pred_label` and `pred_mask` None."


@dataclass(frozen=True)
class AnomalyMap(ScoreKind):
    """The distance of each pixel from what is normal, (B, 1, h, w), (B, h, w) or (h, w), from 0 on.

    Args:
        calibration: Its map onto [0, 1]; None to take the distance itself, raw or normalized by the model.
    """

    calibration: Calibration | None = None
    name: str = "anomaly map"

    def read(self, *tensors: Tensor) -> Tensor:
        """The map, calibrated if there is a calibration.

        Raises:
            ScoreRangeError: It has negative values and no calibration.
        """
        raw = self.raw(*tensors)
        if self.calibration is not None:
            return calibrated(raw, self.calibration)
        if torch.compiler.is_compiling() or raw.is_meta or not raw.numel():
            return raw
        if (least := float(raw.detach().amin())) < 0:
            raise ScoreRangeError(
                "model output",
                f"an anomaly map with values from {least:.3g} on",
                "distances from 0 on, where there is no calibration",
                "Fit a Calibration to adapter.raw(model(image)) over images without defects, and pass "
                "preset(name, calibration=fitted).",
            )
        return raw

    def raw(self, *tensors: Tensor) -> Tensor:
        """The map as the model gives it.

        Raises:
            ShapeError: Other axes, or several channels.
        """
        raw = maps(tensors[0], self.name)
        if raw.shape[1] != 1:
            raise wrong_shape(tensors[0], self.name, "one channel: (B, 1, h, w), (B, h, w) or (h, w)")
        return raw

    @property
    def options(self) -> tuple[str, ...]:
        """The calibration, which it can do without."""
        return ("calibration",)

    @property
    def needs_calibration(self) -> bool:
        """False: a distance has a fixed zero."""
        return False


@dataclass(frozen=True)
class Predictions:
    """The anomaly map of anomalib's predictions, and of what depends on it, what the fused map still says.

    The output is an `InferenceBatch`, which is a tuple of the four predictions, or a batch or an item of a
    data set, such as `ImageBatch`, which has them beside the images; torch's or numpy's. Its class decides,
    by all four fields. In the copy with the fused map, `pred_score` is the map's largest value, as anomalib's
    own `PostProcessor` has it where a model gives none; `pred_label` and `pred_mask` are None, because their
    thresholds are not those of the fused map. All other fields are kept.
    """

    paths: ClassVar[tuple[tuple[str, ...], ...]] = (("anomaly_map",),)

    def take(self, output: Any) -> tuple[Tensor, ...]:
        """The anomaly map.

        Raises:
            OutputError: Other predictions, or without an anomaly map.
            DTypeError: The map is no dense tensor or array of numbers.
        """
        if not is_prediction(output):
            expected = "predictions of anomalib 2: " + ", ".join(_FIELDS)
            hint = "Call the model in eval mode, as nothing but features comes out of it in training."
            raise OutputError("model output", contents(output), expected, hint)
        held = output.anomaly_map
        if held is None:
            hint = "This model scores whole images: there is nothing to fuse with regions."
            raise OutputError("model output", "predictions without an anomaly map", "an anomaly map", hint)
        # A subclass of Tensor, as a batch has, would be the type of every result.
        return (as_tensor("anomaly_map", held.as_subclass(Tensor) if isinstance(held, Tensor) else held),)

    def put(self, output: Any, tensors: Sequence[Tensor]) -> Any:
        """A copy of the predictions with the fused map.

        Raises:
            DTypeError: The score of the images is neither a tensor nor an array.
            ShapeError: It is not one value for each image.
        """
        (fused,) = tensors
        changes: dict[str, Any] = {"pred_label": None, "pred_mask": None}
        changes["anomaly_map"] = _like(fused, output.anomaly_map)
        if output.pred_score is not None:
            changes["pred_score"] = _largest(fused, output.pred_score)
        if isinstance(output, tuple):
            return output._replace(**changes)  # type: ignore[attr-defined]
        return replace(output, **changes)


def is_prediction(output: Any) -> bool:
    """Whether an output is anomalib's, by the class and all of its fields."""
    if isinstance(output, tuple):
        return getattr(output, "_fields", None) == _FIELDS
    if not is_dataclass(output) or isinstance(output, type):
        return False
    own = type(output).__module__.split(".", 1)[0] == "anomalib"
    return own and set(_FIELDS) <= {field.name for field in fields(output)}


def _largest(fused: Tensor, old: Any) -> Any:
    """The largest value of each map, in the form of the score of the images."""
    is_number = isinstance(old, (float, np.floating))  # of one image
    held = as_tensor("pred_score", np.asarray(old) if is_number else old)
    largest = fused.amax((-2, -1)).to(held.dtype)
    if held.numel() != largest.numel():
        got, hint = describe(old), "A model gives one score for each image, or None."
        raise ShapeError("pred_score", got, f"one value for each of {largest.numel()} maps", hint)
    return type(old)(float(largest)) if is_number else _like(largest.reshape(held.shape), old)


def _like(value: Tensor, old: Any) -> Any:
    return value.detach().cpu().numpy() if isinstance(old, np.ndarray) else value


PRESETS = (
    Preset(
        "anomalib", "anomalib models, with their pre-processor", _INSPECTION, "Patchcore(...)(x)",
        AnomalyMap(),
        Predictions(), resolution="the model's input", tested="run with random weights", note=_NOTE,
    ),
    Preset(
        "anomalib_torch", "anomalib torch models, and batches of Engine.predict", _INSPECTION,
        "Patchcore(...).model(x)", AnomalyMap(), Predictions(), IMAGENET, tested="run with random weights",
        note=_NOTE,
    ),
)  # fmt: skip

"""Settings of a training: length, batch size, optimizer."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from csl_plugin.errors import OptionError

_POSITIVE = ("steps", "batch_size", "learning_rate", "clip", "save_every")


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of a training, besides the network and the data.

    Args:
        steps: Optimizer steps in total.
        batch_size: Images per step, over all processes.
        crop: Height and width of the crops, multiples of 32.
        learning_rate: Peak learning rate of AdamW.
        backbone_factor: Factor on the backbone's learning rate.
        warm_up: Steps of linear warm-up to the peak; then a half cosine to zero.
        weight_decay: Of matrices and kernels; norms and biases have none.
        clip: Norm to which larger gradients are clipped.
        average: Decay of the exponential moving average of the weights, which is the result.
        points: Points per image, where the network has point queries.
        bfloat16: Whether the network computes in bfloat16.
        seed: Of all random draws.
        save_every: Steps between checkpoints.

    Raises:
        OptionError: A value is out of bounds.
    """

    steps: int
    batch_size: int = 8
    crop: tuple[int, int] = (192, 256)
    learning_rate: float = 1e-3
    backbone_factor: float = 1.0
    warm_up: int = 200
    weight_decay: float = 0.02
    clip: float = 10.0
    average: float = 0.998
    points: int = 12
    bfloat16: bool = True
    seed: int = 0
    save_every: int = 250

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            if not getattr(self, name) > 0:
                raise OptionError(name, repr(getattr(self, name)), "more than 0", "Choose another value.")
        if not 0 <= self.average < 1:
            raise OptionError("average", repr(self.average), "in [0, 1)", "Use 0.998 for thousands of steps.")
        if any(side <= 0 or side % 32 for side in self.crop):
            hint = "Use the nearest multiples."
            raise OptionError("crop", repr(self.crop), "positive multiples of 32", hint)

    @staticmethod
    def from_json(values: object) -> TrainingSettings:
        """Inverse of `to_json`; missing names get their defaults.

        Raises:
            OptionError: Not an object, an unknown name, or a value out of bounds.
        """
        known = {field.name for field in fields(TrainingSettings)}
        if not isinstance(values, dict) or not {"steps"} <= values.keys() <= known:
            got = ", ".join(map(str, values)) if isinstance(values, dict) else type(values).__name__
            hint = "Only steps is required."
            raise OptionError("settings", got, "some of " + ", ".join(sorted(known)), hint)
        given = dict(values)
        if "crop" in given:
            given["crop"] = tuple(given["crop"])
        return TrainingSettings(**given)

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return {**asdict(self), "crop": list(self.crop)}

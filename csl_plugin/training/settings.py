"""Settings of a training: length, batch size, optimizer."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from csl_plugin.errors import OptionError
from csl_plugin.io.json_schema import Place, Reader, array, boolean, check_fields, integer, number, record
from csl_plugin.io.limits import MAX_PIXELS

_MOST_STEPS, _LARGEST_FACTOR = 10**9, 1e6
_MOST_SEEDS = 1 << 42  # a step's draws have the seed 1000003 x seed + step, which has to fit 64 bits

_FIELDS: dict[str, Reader[Any]] = {
    "steps": integer(1, _MOST_STEPS),
    "batch_size": integer(1, 1 << 16),
    "crop": array(integer(32, 1 << 14), 2, 2),
    "learning_rate": number(0, _LARGEST_FACTOR, above_low=True),
    "backbone_factor": number(0, _LARGEST_FACTOR),
    "warm_up": integer(0, _MOST_STEPS),
    "weight_decay": number(0, _LARGEST_FACTOR),
    "clip": number(0, 1e30, above_low=True),
    "average": number(0, 1, below_high=True),
    "points": integer(0, 1 << 12),
    "bfloat16": boolean,
    "seed": integer(0, _MOST_SEEDS - 1),
    "save_every": integer(1, _MOST_STEPS),
}


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
        seed: Of all random draws, 0 or more and below 2^42.
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
        check_fields(self, _FIELDS)
        if any(side % 32 for side in self.crop) or math.prod(self.crop) > MAX_PIXELS:
            expected = f"multiples of 32, of at most {MAX_PIXELS} pixels together"
            raise OptionError("crop", str(self.crop), expected, "Use the nearest multiples.")

    @staticmethod
    def from_json(values: object) -> TrainingSettings:
        """Inverse of `to_json`; missing names get their defaults.

        Raises:
            OptionError: Not an object, an unknown name, or a value out of bounds.
        """
        return read_settings(values, Place(path="settings"))

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return {**asdict(self), "crop": list(self.crop)}


read_settings = record(TrainingSettings, _FIELDS, "steps")
"""Reads what `TrainingSettings.to_json` gives, from a file or not."""

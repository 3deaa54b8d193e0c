"""How unsure the teacher is at every pixel: the score that is fused."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from csl_plugin.adapters import preset
from csl_plugin.io import image_batch
from csl_plugin.objects import Threshold

THRESHOLD = Path(__file__).resolve().parent / "threshold.json"
"""Fitted by `examples/train_street_teacher.py` to streets without unseen things."""


def teacher_score(teacher: nn.Module, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The entropy of the teacher's classes, as the preset "entropy" computes it.

    Of the usual scores, entropy and one minus the maximal softmax are in [0, 1] as they come; the maximal
    logit and the energy would have to be calibrated before they are fused. Of these two, entropy depends on
    all classes: a pixel between two of them scores lower than a pixel between all of them.

    Args:
        teacher: As `load_teacher` returns it.
        image: (H, W, 3) uint8 RGB.

    Returns:
        (H, W) in [0, 1], higher where the teacher is less sure.
    """
    with torch.inference_mode():
        entropy = preset("entropy", item="out").read(teacher(image_batch(image)))
    score: NDArray[np.float32] = entropy[0, 0].numpy()
    return score


@cache
def street_threshold() -> Threshold:
    """The threshold of the fused score that gives at most one false object in four streets.

    Raises:
        FileError: The file in the package is missing or damaged.
    """
    return Threshold.load(THRESHOLD)

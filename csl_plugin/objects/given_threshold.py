"""A threshold as a caller gives it: a number of any type, or a `Threshold`."""

from __future__ import annotations

import math
from typing import SupportsFloat

import numpy as np
import torch

from csl_plugin.arrays import shown
from csl_plugin.errors import OptionError


def checked_threshold(threshold: SupportsFloat) -> float:
    """The value of a threshold.

    Raises:
        OptionError: No finite number.
    """
    try:
        flag = getattr(threshold, "dtype", None) in (np.bool_, torch.bool)
        level = math.nan if flag or isinstance(threshold, (str, bytes, bool)) else float(threshold)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        level = math.nan
    if not math.isfinite(level):
        hint = "Fit one with Threshold.fit_objects(maps), or choose it on the scale of the fused map."
        raise OptionError("threshold", shown(threshold), "a finite number, or a Threshold", hint)
    return level

"""Values as JSON can hold them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def null_for_nan(value: Any) -> Any:
    """JSON values in which nan and infinities are null, at any depth.

    Example:
        >>> null_for_nan({"ap": 0.5, "per_class": (1.0, float("nan"))})
        {'ap': 0.5, 'per_class': [1.0, None]}
    """
    if isinstance(value, Mapping):
        return {name: null_for_nan(inner) for name, inner in value.items()}
    if isinstance(value, (tuple, list)):
        return [null_for_nan(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

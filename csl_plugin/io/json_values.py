"""Values as JSON can hold them, and what differs between two."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
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


def as_stored(value: Any) -> Any:
    r"""A value as a strict JSON file gives it back, so that it can be compared with one.

    Tuples become lists, and names texts. nan and infinities become texts, and so do bytes of a file's name
    that are no UTF-8.

    Example:
        >>> as_stored({"scales": (5.0, float("inf")), "data": "caf\udce9"})
        {'scales': [5.0, 'inf'], 'data': 'caf\\udce9'}
    """
    if isinstance(value, Mapping):
        return {as_stored(str(name)): as_stored(inner) for name, inner in value.items()}
    if isinstance(value, (tuple, list)):
        return [as_stored(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


def differences(before: Any, now: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Name, earlier and present value of all that differs between two values, None for what is not there.

    Example:
        >>> list(differences({"crop": [192, 256], "seed": 3}, {"crop": [192, 320]}))
        [('crop[1]', 256, 320), ('seed', 3, None)]
    """
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in {**before, **now}:
            yield from differences(before.get(key), now.get(key), f"{name}.{key}" if name else str(key))
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for index, pair in enumerate(zip(before, now, strict=True)):
            yield from differences(*pair, f"{name}[{index}]")
    elif before != now or isinstance(before, bool) != isinstance(now, bool):
        yield name, before, now

"""The known name that is nearest to an unknown one, for the errors of everything that is given by name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

_LONGEST = 60


def did_you_mean(value: Any, names: Iterable[str], hint: str = "") -> str:
    """The hint of an error, after the known name that is nearest to an unknown one, if one is near.

    Example:
        >>> did_you_mean("Segformer", ("segformer", "upernet"), "See the list.")
        "Did you mean 'segformer'? See the list."
        >>> did_you_mean("resnet", ("segformer", "dpt"), "See the list.")
        'See the list.'
    """
    near = nearest(value, names)
    return hint if near is None else f"Did you mean {near!r}? {hint}".rstrip()


def nearest(value: Any, names: Iterable[str]) -> str | None:
    """The known name that is nearest to an unknown one; None if none is near, or it is no text."""
    if not isinstance(value, str):
        return None
    spelled = {_plain(name): name for name in names}
    near = difflib.get_close_matches(_plain(value[:_LONGEST]), spelled, n=1)
    return spelled[near[0]] if near else None


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(" ", "-")

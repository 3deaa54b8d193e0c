"""The known name that is nearest to a misspelled one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

_NEAR = 0.65  # of difflib's ratio
_LONGEST = 60


def did_you_mean(value: Any, names: Iterable[str], hint: str = "") -> str:
    """The hint of an error, after the known name that is nearest to an unknown one, if one is near.

    Example:
        >>> did_you_mean("Segformer", ("segformer", "upernet"), "See the list.")
        "Did you mean 'segformer'? See the list."
        >>> did_you_mean("resnet", ("segformer", "dpt"), "See the list.")
        'See the list.'
    """
    if not isinstance(value, str):
        return hint
    spelled = {_plain(name): name for name in names}
    near = difflib.get_close_matches(_plain(value[:_LONGEST]), spelled, n=1, cutoff=_NEAR)
    return f"Did you mean {spelled[near[0]]!r}? {hint}".rstrip() if near else hint


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(" ", "-")

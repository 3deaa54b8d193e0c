"""Options of public calls: integers, numbers and names, checked whatever kind of value comes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

from csl_plugin._nearest import did_you_mean
from csl_plugin.arrays import shown
from csl_plugin.errors import OptionError


def checked_integer(argument: str, value: Any, least: int, most: int | None, hint: str) -> int:
    """An integer of any type within bounds, as an int.

    Raises:
        OptionError: It is anything else; a bool is none.
    """
    is_one = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_one or value < least or (most is not None and value > most):
        expected = f"an integer of at least {least}" if most is None else f"an integer from {least} to {most}"
        raise OptionError(argument, shown(value), expected, hint)
    return int(value)


def as_float(value: Any) -> float:
    """A real number of any type as a float; nan where it is none, or too large for one."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan


def check_choice(argument: str, value: Any, names: Sequence[str], hint: str) -> None:
    """Refuse what is none of the names.

    Raises:
        OptionError: It is anything else.
    """
    if not isinstance(value, str) or value not in names:
        expected = " or ".join(f'"{name}"' for name in names)
        raise OptionError(argument, shown(value), expected, did_you_mean(value, names, hint))

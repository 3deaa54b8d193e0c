"""The rule argument of fusion."""

from __future__ import annotations

from typing import get_args

from csl_plugin._nearest import did_you_mean
from csl_plugin.arrays import shown
from csl_plugin.errors import OptionError
from csl_plugin.ops.rules import Rule

__all__ = ["Rule", "read_rule"]


def read_rule(rule: Rule) -> Rule:
    """The rule, if there is one of this name.

    Raises:
        OptionError: There is none.
    """
    names = get_args(Rule)
    if not isinstance(rule, str) or rule not in names:
        expected = ", ".join(f'"{name}"' for name in names[:-1]) + f' or "{names[-1]}"'
        hint = did_you_mean(rule, names, 'Equation 3 of the paper is "product".')
        raise OptionError("rule", shown(rule), expected, hint)
    return rule

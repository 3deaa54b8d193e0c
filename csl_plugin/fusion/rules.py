"""The rule argument of fusion: which rules there are, and which is taken where none is named."""

from __future__ import annotations

from typing import Literal, TypeAlias

from csl_plugin.errors import OptionError
from csl_plugin.fusion._regions import Regions
from csl_plugin.ops.rules import PlainRule, Trust

__all__ = ["Rule", "Trust", "default_rule", "read_rule"]

Rule: TypeAlias = "Literal['product', 'geometric', 'mean', 'trust'] | Trust"
"""How a pixel's score and its regions' means are combined: see `csl_plugin.fuse`."""

_NAMES = ("product", "geometric", "mean", "trust")


def default_rule(regions: Regions) -> Literal["product", "trust"]:
    """The rule for regions where none is named: eq. 3 for one partition, "trust" for several."""
    return "trust" if isinstance(regions, (list, tuple)) and len(regions) > 1 else "product"


def read_rule(rule: Rule | None, regions: Regions) -> PlainRule | Trust:
    """The rule as the engine takes it.

    Raises:
        OptionError: No such rule.
    """
    rule = default_rule(regions) if rule is None else rule
    if not isinstance(rule, Trust) and not (isinstance(rule, str) and rule in _NAMES):
        expected = '"product", "geometric", "mean", "trust" or a Trust'
        raise OptionError("rule", repr(rule)[:80], expected, 'Equation 3 of the paper is "product".')
    return Trust() if rule == "trust" else rule

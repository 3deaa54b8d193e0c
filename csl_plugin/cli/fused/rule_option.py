"""The option that chooses the rule of fusion of a command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from csl_plugin.fusion import Rule

DEFAULT_RULE: Rule = "adaptive"

_HELP = (
    "how a pixel and its regions combine. adaptive: on the scale of the scores; product: region mean x "
    "score, eq. 3 of the paper; geometric: its square root; mean: the region mean alone "
    f"(default: {DEFAULT_RULE})"
)


def add_rule_option(parser: Any) -> None:
    """Add --rule.

    Args:
        parser: Of a command.
    """
    choices = ("adaptive", "product", "geometric", "mean")
    parser.add_argument("--rule", choices=choices, default=DEFAULT_RULE, help=_HELP)

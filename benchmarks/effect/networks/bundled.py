"""The networks that the package ships: their weights and recipes."""

from __future__ import annotations

from pathlib import Path

import csl_plugin
from csl_plugin.models import CSLNetwork

WEIGHTS = Path(csl_plugin.__file__).parent / "weights"
BUNDLED = ("csl-tiny", "csl-tiny-strict", "csl-tiny-open")
"""The first is the network of the default proposer."""


def bundled_network(name: str = BUNDLED[0]) -> CSLNetwork:
    """A bundled network in evaluation mode."""
    return CSLNetwork.from_pretrained(WEIGHTS / name)


def recipe_of(name: str = BUNDLED[0]) -> Path:
    """The recipe that a bundled network was trained by."""
    return WEIGHTS / name / "recipe.json"

"""What a visitor has chosen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from csl_plugin.app.photographs import EXAMPLES, OWN
from csl_plugin.app.region_sources import SOURCES, STEPS
from csl_plugin.app.scores import OWN_MAP, SCORES
from csl_plugin.errors import OptionError
from csl_plugin.fusion import Rule


@dataclass(frozen=True)
class Settings:
    """The controls of the page.

    Args:
        photograph: A name of `EXAMPLES`, or `OWN`.
        own_photograph: The file of a visitor's own.
        score: A name of `SCORES`, or `OWN_MAP`.
        own_map: The file of a visitor's own.
        regions: A name of `SOURCES`.
        fineness: Step of the fine partition, from 1 on.
        rule: Of fusion.
        threshold: From which on a fused score belongs to an object; None for the one that is suggested.
        min_area: The least pixels of an object.

    Raises:
        OptionError: A choice that the page does not offer.
    """

    photograph: str
    own_photograph: Path | None
    score: str
    own_map: Path | None
    regions: str
    fineness: int
    rule: Rule
    threshold: float | None
    min_area: int

    def __post_init__(self) -> None:
        offered = {
            "photograph": (*EXAMPLES, OWN),
            "score": (*SCORES, OWN_MAP),
            "regions": tuple(SOURCES),
            "rule": get_args(Rule),
            "fineness": tuple(range(1, STEPS + 1)),
        }
        for name, values in offered.items():
            if getattr(self, name) not in values:
                got, expected = repr(getattr(self, name)), ", ".join(map(str, values))
                raise OptionError(name, got, expected, "Choose one of these.")

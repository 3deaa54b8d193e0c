"""The names of the fusion rules."""

from __future__ import annotations

from typing import Literal, TypeAlias

PlainRule: TypeAlias = Literal["product", "geometric", "mean"]
"""Rules of a pixel's score and the average of its region means."""

Rule: TypeAlias = Literal["adaptive", "product", "geometric", "mean"]
"""How a pixel's score and its regions' means are combined: see `csl_plugin.fuse`."""

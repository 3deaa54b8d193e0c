"""The names of the built-in proposers."""

from __future__ import annotations

BUILT_IN = ("csl-tiny", "csl-tiny-strict", "csl-tiny-open", "superpixels")
"""The names of proposers that need no download."""

DEFAULT = "csl-tiny:auto,10+superpixels:40"
"""The partitions that `load_proposer()` gives: the best known ones for the rule "trust"."""

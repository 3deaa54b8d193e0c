"""The names of the built-in proposers."""

from __future__ import annotations

BUILT_IN = ("csl-tiny", "csl-tiny-strict", "csl-tiny-open", "superpixels")
"""The names of proposers that need no download."""

DEFAULT = "csl-tiny:auto,5"
"""What `load_proposer()` gives: two partitions of one tree, by eq. 2 along boundaries, then a fine scale."""

FIRST = "csl-tiny"
"""The first of these two, where a single partition is wanted."""

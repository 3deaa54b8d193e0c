"""The names of the built-in proposers."""

from __future__ import annotations

from typing import Any

BUILT_IN = ("csl-tiny", "csl-tiny-strict", "csl-tiny-open", "superpixels")
"""The names of proposers that need no download."""

DEFAULT = "csl-tiny:auto,5"
"""What `load_proposer()` gives: two partitions of one tree, by eq. 2 along boundaries, then a fine scale."""

FIRST = "csl-tiny"
"""The first of these two, where a single partition is wanted."""


def source_of(proposer: Any) -> str | None:
    """What `load_proposer` takes to give this proposer; None if it was made in another way, or elsewhere.

    Example:
        >>> from csl_plugin import load_proposer
        >>> source_of(load_proposer()), source_of(load_proposer("superpixels"))
        ('csl-tiny:auto,5', 'superpixels')
    """
    own = type(proposer).__module__.startswith("csl_plugin.")
    source = getattr(proposer, "source", None) if own else None
    return source if isinstance(source, str) else None


def loading_call(proposer: Any) -> str | None:
    """The call of `load_proposer` that gives this proposer; None if there is none."""
    source = source_of(proposer)
    return None if source is None else f"load_proposer({source!r})"

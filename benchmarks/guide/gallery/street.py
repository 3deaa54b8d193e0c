"""The picture of `csl-plugin demo`, smaller."""

from __future__ import annotations

from csl_plugin.viz.colors import Picture


def street() -> Picture:
    """A street with a thing that the teacher was never trained on."""
    raise NotImplementedError

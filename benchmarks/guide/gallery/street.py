"""The picture of `csl-plugin demo`, smaller."""

from __future__ import annotations

from benchmarks.guide.gallery.scene import partitions
from csl_plugin.demo import STREET_SEED, demonstrate_street, draw_street
from csl_plugin.viz.colors import Picture
from csl_plugin.viz.scaling import fit, resize

_BOX = (1140, 1140)


def street() -> Picture:
    """A street with a thing that the teacher was never trained on."""
    drawn = draw_street(STREET_SEED)
    picture = demonstrate_street(drawn, partitions(drawn.image)).picture
    return resize(picture, fit(picture.shape[:2], _BOX))

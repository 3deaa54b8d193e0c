"""What regions are: from coarse to fine, and from superpixels or a network."""

from __future__ import annotations

import numpy as np
import skimage.data

from benchmarks.guide.gallery.panels import Easel, Map, counted, quality
from benchmarks.guide.gallery.scene import fused, partitions, scene
from benchmarks.guide.pictures import Case, discs, helps, noisy_score
from csl_plugin.viz.colors import Picture
from csl_plugin.viz.sheet import Panel, sheet

_SEED = 5
# Of the small things: x, y and radius in pixels.
_PLACES = ((470, 330, 9), (545, 250, 7), (60, 330, 8), (520, 110, 7), (40, 150, 8), (560, 360, 9))
_PALE = (238, 228, 205)


def coarse_to_fine() -> Picture:
    """Three partitions of a photograph with a large and six small things, and what each does to a score."""
    cup = helps()
    specks = discs(cup.image.shape[:2], _PLACES)
    share = 0.9 * specks[..., None]
    image = np.rint(cup.image * (1 - share) + share * np.array(_PALE)).clip(0, 255).astype(np.uint8)
    case = Case(image, np.maximum(cup.truth, specks), 3.0, cup.credit)
    score, several = noisy_score(case), partitions(image, "csl-tiny:100,20,4")
    easel, on_cup = Easel(image, 350), cup.truth > 0.5

    def heat(title: str, values: Map) -> Panel:
        cups = 100 * quality(np.where(specks > 0.5, 0, values), cup.truth).ap
        small = 100 * quality(np.where(on_cup, 0, values), specks).ap
        return easel.heat(title, f"AP {cups:.0f} %, small {small:.0f} %", values)

    return sheet(
        [
            [
                easel.picture("Cup and specks, outlined", case.credit, case.truth),
                easel.regions("Coarse", f"{counted(several[0])} regions", several[0]),
                easel.regions("Middle", f"{counted(several[1])} regions", several[1]),
                easel.regions("Fine", f"{counted(several[2])} regions", several[2]),
            ],
            [
                heat("Noisy score", score),
                heat("With the coarse one", fused(score, several[0])),
                heat("With the fine one", fused(score, several[2])),
                heat("With all three", fused(score, several)),
            ],
        ],
        text=15.0,
    )


def sources() -> Picture:
    """Superpixels beside the regions of the network."""
    rows = []
    for name, credit, image in (
        ("Cat", "Stefan van der Walt, CC0", skimage.data.chelsea()),  # type: ignore[no-untyped-call]
        ("Street", "drawn", scene(_SEED).street.image),
    ):
        easel = Easel(image, 460)
        pixels, learned = partitions(image, "superpixels")[-1], partitions(image)[0]
        rows.append(
            [
                easel.picture(name, credit),
                easel.regions("Superpixels", f"{counted(pixels)} regions, by color and texture", pixels),
                easel.regions("Network", f"{counted(learned)} regions, by learned outlines", learned),
            ]
        )
    return sheet(rows, text=15.0)

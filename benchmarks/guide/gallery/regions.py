"""What regions are: from coarse to fine, and from superpixels or a network."""

from __future__ import annotations

import skimage.data

from benchmarks.guide.gallery.panels import Easel, ap_of, counted
from benchmarks.guide.gallery.scene import fused, partitions, scene
from benchmarks.guide.pictures import helps, noisy_score
from csl_plugin.viz.colors import Picture
from csl_plugin.viz.sheet import sheet


def coarse_to_fine() -> Picture:
    """Three partitions of a photograph, and a score fused with one of them and with all."""
    case = helps()
    score = noisy_score(case)
    several = partitions(case.image, "csl-tiny:40,12,4")
    easel = Easel(case.image, 350)
    words = [f"{counted(regions)} regions" for regions in several]
    maps = [fused(score, several[0]), fused(score, several[-1]), fused(score, several)]
    return sheet(
        [
            [
                easel.picture("What is sought, outlined", case.credit, case.truth),
                easel.regions("Coarse", words[0], several[0]),
                easel.regions("Middle", words[1], several[1]),
                easel.regions("Fine", words[2], several[2]),
            ],
            [
                easel.heat("Noisy score", ap_of(score, case.truth), score),
                easel.heat("Coarse alone", ap_of(maps[0], case.truth), maps[0]),
                easel.heat("Fine alone", ap_of(maps[1], case.truth), maps[1]),
                easel.heat("All three", ap_of(maps[2], case.truth), maps[2]),
            ],
        ],
        text=15.0,
    )


def sources() -> Picture:
    """Superpixels beside the regions of the network."""
    rows = []
    for name, credit, image in (
        ("Cat", "Stefan van der Walt, CC0", skimage.data.chelsea()),  # type: ignore[no-untyped-call]
        ("Street", "drawn", scene(SEED).street.image),
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


SEED = 1003

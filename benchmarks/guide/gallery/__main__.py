"""The pictures of docs/gallery.md, or one of them by name.

    python -m benchmarks.guide.gallery --out docs/images/gallery
    python -m benchmarks.guide.gallery --out docs/images/gallery --only embeddings

The photographs are scikit-image's; streets and parts are drawn. The same bytes come from the same versions of
the packages.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from benchmarks.guide.gallery import found, paper, regions, scores, street
from benchmarks.guide.gallery.palette import write_palette_png
from csl_plugin.viz.colors import Picture

PICTURES: dict[str, Callable[[], Picture]] = {
    "street": street.street,
    "scores-and-masks": paper.scores_and_masks,
    "assignment": paper.assignment,
    "embeddings": paper.embeddings,
    "coarse-to-fine": regions.coarse_to_fine,
    "sources": regions.sources,
    "rules": scores.rules,
    "calibration": scores.calibration,
    "objects": found.objects,
    "classes": found.classes,
    "inspection": found.inspection,
    "structure-hurts": scores.structure_hurts,
}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", choices=PICTURES, action="append", help="may be repeated")
    options = parser.parse_args()
    for name in options.only or PICTURES:
        path = options.out / f"{name}.png"
        write_palette_png(path, PICTURES[name]())
        print(path)


if __name__ == "__main__":
    main()

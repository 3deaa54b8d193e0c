"""`csl-plugin demo`: the effect of fusion on one photograph, as one picture."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csl_plugin.cli.answer import SUCCESS, Answer
from csl_plugin.cli.arguments import path

if TYPE_CHECKING:
    from csl_plugin.demo import Demonstration
    from csl_plugin.viz.colors import Picture

_PHOTOGRAPH = Path(__file__).resolve().parents[1] / "demo" / "chelsea.jpg"
_CREDIT = "Stefan van der Walt, CC0"
_LONGEST_SIDE = 1024


def add_parser(subparsers: Any) -> None:
    """Add the command and its arguments."""
    parser = subparsers.add_parser(
        "demo",
        help="one picture of the effect of fusion on a photograph",
        description="Score every pixel of a photograph by how unusual it is in its image (the Reed-Xiaoli "
        "anomaly detector, which needs no training), fuse the score with the image's regions, find objects "
        "in it, and write DIR/demo.png: photograph, regions, both scores, the pixels that stand out and the "
        "objects. A demo.png of another program is not replaced.",
    )
    parser.add_argument("image", metavar="IMAGE", nargs="?", type=path, help="a photograph (default: a cat)")
    parser.add_argument("--out", metavar="DIR", type=path, default=Path("demo_out"), help="(%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> Answer:
    """Run the command.

    Args:
        arguments: With `image`, a path or None for the built-in photograph, and `out`, a folder.

    Raises:
        FileError: The image cannot be read, the picture cannot be written, or DIR/demo.png is a file that
            this command did not write.
    """
    from csl_plugin import load_proposer
    from csl_plugin.demo import demonstrate
    from csl_plugin.demo.signed_picture import check_replaceable, write_signed
    from csl_plugin.io import read_image
    from csl_plugin.proposers.on_files import propose_regions

    start = time.perf_counter()
    given: Path | None = arguments.image
    target: Path = arguments.out / "demo.png"
    check_replaceable(target, given)
    image = _shrink(read_image(_PHOTOGRAPH if given is None else given))
    size = f"{image.shape[1]} x {image.shape[0]} pixels"
    regions = propose_regions(load_proposer(), image, "")
    shown = demonstrate(image, regions, _CREDIT if given is None else size)
    write_signed(target, shown.picture)
    seconds = time.perf_counter() - start
    facts = {
        "command": "demo",
        "picture": str(target),
        "partitions": len(regions),
        "regions": shown.num_regions,
        "pieces": list(shown.pieces),
        "objects": len(shown.objects),
        "seconds": round(seconds, 3),
    }
    lines = [
        str(target),
        f"Scored {size} with the Reed-Xiaoli anomaly detector (color and texture, no training) and fused "
        f"the score with {len(regions)} partitions, up to {shown.num_regions} regions each, in "
        f"{seconds:.1f} s.",
        _summary(shown),
    ]
    return Answer(SUCCESS, facts, lines)


def _shrink(image: Picture) -> Picture:
    import numpy as np

    from csl_plugin.viz.scaling import fit, resize

    if max(image.shape[:2]) <= _LONGEST_SIDE:
        return image
    size = fit((image.shape[0], image.shape[1]), (_LONGEST_SIDE, _LONGEST_SIDE))
    return np.asarray(resize(image, size), dtype=np.uint8)


def _summary(shown: Demonstration) -> str:
    from csl_plugin.demo.picture import TOP

    before, after = shown.pieces
    if 0 in (before, after):
        return "No pixel stands out, so a mask is empty and there is little to see."
    if after < before / 3:
        verdict = "whole regions replace specks"
    elif after < before:
        verdict = "fewer specks, but on this image not whole objects"
    else:
        verdict = "on this image the regions do not clean up the mask"
    found = len(shown.objects)
    return (
        f"The top {TOP:.0%} of the pixels are {before} separate pieces before fusion and {after} after: "
        f"{verdict}. Along the regions they are {found} object{'s' * (found != 1)}. Without ground truth "
        "this shows the effect of fusion, not the quality of detection."
    )

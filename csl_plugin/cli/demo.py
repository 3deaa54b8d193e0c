"""`csl-plugin demo`: the effect of fusion on a drawn street or on one photograph, as one picture."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csl_plugin.cli.answer import SUCCESS, Answer
from csl_plugin.cli.arguments import path
from csl_plugin.errors import FileError

if TYPE_CHECKING:
    from csl_plugin.demo import Demonstration
    from csl_plugin.viz.colors import Picture

_LONGEST_SIDE = 1024
_STREET_PICTURES = ("demo.png", "street.png", "truth.png")
_SCORE = "score.npy"


def add_parser(subparsers: Any) -> None:
    """Add the command and its arguments."""
    parser = subparsers.add_parser(
        "demo",
        help="one picture of fusion, on a drawn street or a photograph",
        description="Without IMAGE: draw a street with a thing on it that no training street has, score each "
        "pixel by the entropy of a small segmenter of such streets, fuse the score with the image's regions, "
        "and write DIR/demo.png with average precision and false positives before and after; beside it its "
        "inputs, street.png, score.npy and truth.png. With IMAGE: score the photograph by how unusual each "
        "pixel is in it (the Reed-Xiaoli anomaly detector, which needs no training), fuse the score, find "
        "objects in it, and write DIR/NAME.png, named as the photograph. Files of another program are not "
        "replaced.",
        examples=["csl-plugin demo", "csl-plugin demo photo.jpg --out pictures"],
    )
    parser.add_argument(
        "image", metavar="IMAGE", nargs="?", type=path, help="a photograph (default: a street)"
    )
    parser.add_argument("--out", metavar="DIR", type=path, default=Path("demo_out"), help="(%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> Answer:
    """Run the command.

    Args:
        arguments: With `image`, a path or None for the drawn street, and `out`, a folder.

    Raises:
        FileError: The image cannot be read, a file cannot be written, or one is there that this command did
            not write.
    """
    start = time.perf_counter()
    facts, lines = (
        _of_street(arguments.out)
        if arguments.image is None
        else _of_photograph(arguments.image, arguments.out)
    )
    seconds = time.perf_counter() - start
    return Answer(
        SUCCESS,
        {"command": "demo", **facts, "seconds": round(seconds, 3)},
        [*lines[:-1], f"{lines[-1]} It took {seconds:.1f} s."],
    )


def _of_street(out: Path) -> tuple[dict[str, Any], list[str]]:
    from csl_plugin import load_proposer
    from csl_plugin.demo import STREET_SEED, demonstrate_street, draw_street
    from csl_plugin.demo.signed_files import check_replaceable, check_score_replaceable, write_signed
    from csl_plugin.io import write_scores
    from csl_plugin.proposers.on_files import propose_regions

    picture, image, truth = (out / name for name in _STREET_PICTURES)
    score = out / _SCORE
    for target in (picture, image, truth):
        check_replaceable(target, None)
    street = draw_street(STREET_SEED)
    regions = propose_regions(load_proposer(), street.image, "")
    shown = demonstrate_street(street, regions)
    check_score_replaceable(score, picture, shown.score)
    write_signed(image, street.image)
    write_scores(score, shown.score)
    write_signed(truth, street.unseen.astype("uint8"))
    write_signed(picture, shown.picture, score)
    before, after = shown.before, shown.after
    facts = {
        "picture": str(picture),
        "image": str(image),
        "score": str(score),
        "truth": str(truth),
        "seed": STREET_SEED,
        "thing": street.thing,
        "partitions": len(regions),
        "regions": shown.num_regions,
        "ap": [before.ap, after.ap],
        "fpr95": [before.fpr95, after.fpr95],
        "objects": len(shown.objects),
    }
    lines = [
        str(picture),
        f"A drawn street with a {street.thing}, which the segmenter was never trained on. With regions the "
        f"average precision of its score goes from {100 * before.ap:.1f} to {100 * after.ap:.1f} %, the "
        f"false positives at 95 % recall from {100 * before.fpr95:.1f} to {100 * after.fpr95:.1f} %.",
        f"The inputs are beside it: csl-plugin fuse {image} {score} {out / 'fused'} --overlays "
        f"fuses them again, and {truth.name} is 1 where the {street.thing} is.",
    ]
    return facts, lines


def _of_photograph(given: Path, out: Path) -> tuple[dict[str, Any], list[str]]:
    from csl_plugin import load_proposer
    from csl_plugin.demo import demonstrate
    from csl_plugin.demo.signed_files import check_replaceable, write_signed
    from csl_plugin.io import read_image
    from csl_plugin.proposers.on_files import propose_regions

    target = out / f"{given.stem}.png"
    if target.name in _STREET_PICTURES and target.exists() and (out / _SCORE).exists():
        hint = "Name another folder with --out."
        raise FileError(str(target), "a file of the drawn street", "nothing there, or its own picture", hint)
    check_replaceable(target, given)
    image = _shrink(read_image(given))
    size = f"{image.shape[1]} x {image.shape[0]} pixels"
    regions = propose_regions(load_proposer(), image, "")
    shown = demonstrate(image, regions, size)
    write_signed(target, shown.picture)
    facts = {
        "picture": str(target),
        "partitions": len(regions),
        "regions": shown.num_regions,
        "pieces": list(shown.pieces),
        "objects": len(shown.objects),
    }
    lines = [
        str(target),
        f"Scored {size} with the Reed-Xiaoli anomaly detector (color and texture, no training) and fused "
        f"the score with {len(regions)} partitions, up to {shown.num_regions} regions each.",
        _summary(shown),
    ]
    return facts, lines


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

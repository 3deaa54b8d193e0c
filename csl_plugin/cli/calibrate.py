"""`csl-plugin calibrate`: the map of raw scores onto [0, 1] that `csl-plugin fuse --calibration` takes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csl_plugin.cli.answer import SUCCESS, Answer
from csl_plugin.cli.arguments import path
from csl_plugin.errors import FileError, ScoreRangeError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def add_parser(subparsers: Any) -> None:
    """Add the command and its arguments."""
    parser = subparsers.add_parser(
        "calibrate",
        help="fit the map of raw scores onto [0, 1] that fuse takes",
        description="Fit a monotone map onto [0, 1] to the raw score maps of images without anomalies, and "
        "write it to FILE as JSON for fuse --calibration. Energies, log-likelihoods and maximal logits need "
        "one; probabilities do not, and logits of classes are for fuse --logits. An earlier calibration at "
        "FILE is replaced, another file is not.",
        examples=[
            "csl-plugin calibrate normal/energies calibration.json",
            "csl-plugin calibrate normal/maxlogits calibration.json --lower-is-anomalous",
        ],
    )
    parser.add_argument(
        "scores",
        metavar="SCORES",
        type=path,
        help="raw score maps of images without anomalies, .npy, .npz, .hdf5 or gray .png: a folder, or one",
    )
    parser.add_argument("file", metavar="FILE", type=path, help="the JSON file to write")
    parser.add_argument(
        "--kind",
        choices=("sigmoid", "quantile"),
        default="sigmoid",
        help="sigmoid: of the scores' mean and deviation; quantile: their cumulative distribution (default: "
        "%(default)s)",
    )
    parser.add_argument(
        "--lower-is-anomalous",
        action="store_true",
        help="the scores are high for normal pixels, as maximal logits are: their order is reversed",
    )
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> Answer:
    """Run the command.

    Raises:
        CSLError: No score map, one that cannot be read or used, or FILE is a file of another kind.
    """
    import json

    from csl_plugin.calibration import Calibration
    from csl_plugin.cli.fused.fused_maps import refuse_fused
    from csl_plugin.cli.result_file import check_replaceable
    from csl_plugin.io import SCORE_SUFFIXES, files_by_stem, holding, other_suffixes

    file: Path = arguments.file
    check_replaceable(file, Calibration.load, "a calibration")
    refuse_fused(arguments.scores, "Pass the raw scores that these maps were made from.")
    scores = list(files_by_stem(arguments.scores, SCORE_SUFFIXES).values())
    if not scores:
        got = holding(arguments.scores, SCORE_SUFFIXES, "a score map")
        hint = "Pass the folder that holds the raw score maps themselves."
        raise FileError(str(arguments.scores), got, ", ".join(SCORE_SUFFIXES), hint)
    fit = Calibration.fit_sigmoid if arguments.kind == "sigmoid" else Calibration.fit_quantile
    calibration = fit(_maps(scores), lower_is_anomalous=arguments.lower_is_anomalous)
    calibration.save(file)
    made = json.loads(calibration.to_json())
    skipped = other_suffixes(arguments.scores, SCORE_SUFFIXES)
    facts = {
        "command": "calibrate",
        "file": str(file),
        "maps": len(scores),
        "lower_is_anomalous": arguments.lower_is_anomalous,
        "skipped_scores": skipped,
        "calibration": made,
    }
    anomalous = "lower" if arguments.lower_is_anomalous else "higher"
    said = (
        f"sigmoid, center {made['center']:.6g}, scale {made['scale']:.6g}"
        if arguments.kind == "sigmoid"
        else f"quantile, {len(made['knots'])} levels from {made['knots'][0]:.6g} to {made['knots'][-1]:.6g}"
    )
    maps = f"{len(scores)} score map{'s' if len(scores) > 1 else ''}"
    lines = [
        f"{file}: {said}; {anomalous} is more anomalous, from {maps}",
        f"  use it: csl-plugin fuse IMAGES SCORES OUT --calibration {file}",
    ]
    if skipped:
        suffixes = ", ".join(f"{count} {suffix}" for suffix, count in skipped.items())
        lines.append(f"  skipped files: {sum(skipped.values())} ({suffixes})")
    return Answer(SUCCESS, facts, lines)


def _maps(scores: Sequence[Path]) -> Iterator[NDArray[Any]]:
    """The maps one at a time; a terminal shows the progress."""
    import numpy as np
    from tqdm import tqdm

    from csl_plugin.io import read_scores

    for file in tqdm(scores, desc="calibrate", unit="map", disable=None, file=sys.stderr):
        values = read_scores(file)
        if not np.isfinite(values).all():
            got = f"nan or infinity in {int((~np.isfinite(values)).sum())} of {values.size} values"
            raise ScoreRangeError(file.name, got, "finite raw scores", "Find out what produced them.")
        yield values

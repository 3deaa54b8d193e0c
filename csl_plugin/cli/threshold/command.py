"""`csl-plugin threshold`: a threshold of fused maps, fitted over a data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from csl_plugin.cli.anomaly_labels import add_anomalous_option
from csl_plugin.cli.arguments import path
from csl_plugin.cli.fused.options import add_fused_option, add_fusion_options

if TYPE_CHECKING:
    import argparse

    from csl_plugin.cli.answer import Answer


def add_parser(subparsers: Any) -> None:
    """Add the command and its arguments."""
    parser = subparsers.add_parser(
        "threshold",
        help="fit the threshold that objects takes",
        description="A threshold of fused maps, the same one for every image.",
        examples=["csl-plugin threshold fit normal/images normal/scores threshold.json"],
    )
    tasks = parser.add_subparsers(title="tasks", metavar="TASK", dest="task", required=True)
    fit = tasks.add_parser(
        "fit",
        usage="%(prog)s IMAGES SCORES FILE [options]",
        help="fit a threshold on images without anomalies, or on labeled ones",
        description="Fuse the score map of every image as `csl-plugin fuse` does, fit one threshold to all, "
        "and write it to FILE as JSON, with what it lets expect. --objects and --pixels take images without "
        "anomalies; --f1 and --recall need --labels. An earlier threshold at FILE is replaced, another file "
        "is not.",
        examples=[
            "csl-plugin threshold fit normal/images normal/scores threshold.json",
            "csl-plugin threshold fit images scores threshold.json --f1 --labels labels",
        ],
    )
    fit.add_argument("images", metavar="IMAGES", type=path, help="a folder of images, or one image")
    fit.add_argument("scores", metavar="SCORES", type=path, help="a folder of score maps, or one")
    fit.add_argument("file", metavar="FILE", type=path, help="the JSON file to write")
    ways = fit.add_mutually_exclusive_group()
    ways.add_argument(
        "--objects",
        metavar="N",
        type=float,
        help="false objects per image, at most on average (default: 0.1)",
    )
    ways.add_argument(
        "--pixels", metavar="SHARE", type=float, help="share of the pixels at or above it, at most"
    )
    ways.add_argument("--f1", action="store_true", help="the best F1 of the pixels")
    ways.add_argument(
        "--recall", metavar="R", type=float, help="the share R of the anomalous pixels at or above it"
    )
    fit.add_argument(
        "--labels",
        metavar="DIR",
        type=path,
        help="for --f1 and --recall: labels of the same stems, .png of 0 normal, 1 anomalous, else void",
    )
    add_anomalous_option(fit)
    fit.add_argument(
        "--min-area",
        metavar="PIXELS",
        type=int,
        help="for --objects: the least pixels of an object (default: 64)",
    )
    add_fused_option(fit)
    fit.add_argument("--json", action="store_true", help="print the summary as one JSON object")
    add_fusion_options(fit)
    fit.set_defaults(run=_run_fit)


def _run_fit(arguments: argparse.Namespace) -> Answer:
    from csl_plugin.cli.threshold.fit import run

    return run(arguments)

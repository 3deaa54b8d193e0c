"""`csl-plugin eval`: the metrics of predictions in a folder against labels in another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from csl_plugin.cli.anomaly_labels import add_anomalous_option
from csl_plugin.cli.arguments import place

if TYPE_CHECKING:
    import argparse

    from csl_plugin.cli.answer import Answer


def add_parser(subparsers: Any) -> None:
    """Add the command and its arguments."""
    parser = subparsers.add_parser(
        "eval",
        help="measure predictions against labels",
        description="Measure the predictions in a folder against the labels of the same stems in another, "
        "under the official protocols. What is not defined, such as FPR95 where nothing is anomalous, is "
        "printed so, and null in JSON.",
        examples=["csl-plugin eval anomaly fused labels", "csl-plugin eval objects found/coco.json labels"],
    )
    kinds = parser.add_subparsers(title="tasks", metavar="TASK", dest="task", required=True)
    _add_anomaly(kinds)
    _add_objects(kinds)
    semantic = kinds.add_parser(
        "semantic",
        help="IoU of class maps",
        description="IoU of class maps. Labels and predictions hold class indices from 0. 255 is void in "
        "labels; 255 or -1 is no class in predictions.",
        examples=["csl-plugin eval semantic predictions labels --classes 19 --unseen 15,16"],
    )
    semantic.add_argument("predictions", metavar="PRED", type=place, help="class maps: .png, or .npy of ids")
    _add_classes(semantic, _run_semantic)
    regions = kinds.add_parser(
        "regions",
        help="IoU of regions that take their most frequent label",
        description="IoU of regions: every region takes its most frequent label (Table 7 of the paper).",
        examples=["csl-plugin eval regions regions labels --classes 19"],
    )
    regions.add_argument("predictions", metavar="REGIONS", type=place, help="region maps: .png or .npz")
    regions.add_argument(
        "--unassigned",
        choices=("miss", "exclude"),
        default="miss",
        help="how pixels count that are in no region, or in a region without label (default: miss)",
    )
    regions.add_argument(
        "--vote-per",
        choices=("region", "component"),
        default="region",
        help="what votes: the region, or each of its connected components (default: region)",
    )
    regions.add_argument("--void-votes", action="store_true", help="void pixels vote too")
    _add_classes(regions, _run_regions)


def _add_anomaly(kinds: Any) -> None:
    parser = kinds.add_parser(
        "anomaly",
        help="AP, AUROC, FPR95 and calibration error of anomaly scores",
        description="AP, AUROC and FPR95 of anomaly scores, and their expected calibration error (ece) where "
        "they are in [0, 1]. Labels hold 0 for normal and 1 for anomalous pixels; every other value is void.",
        examples=[
            "csl-plugin eval anomaly fused labels --components obstacle",
            "csl-plugin eval anomaly scores masks --anomalous 255",
        ],
    )
    parser.add_argument(
        "predictions",
        metavar="SCORES",
        type=place,
        help="score maps, higher for more anomalous: .npy, .npz, .hdf5 or gray .png",
    )
    parser.add_argument("labels", metavar="LABELS", type=place, help="labels of the same stems: .png")
    parser.add_argument(
        "--protocol",
        choices=("smiyc", "pooled", "per-image", "inspection"),
        default="smiyc",
        help="smiyc: the official binning of SegmentMeIfYouCan; pooled: exact, over all pixels together; "
        "per-image: exact, averaged over images; inspection: pooled, with AUPRO and metrics of images "
        "(default: smiyc)",
    )
    parser.add_argument(
        "--fpr-rule",
        choices=("first", "linear", "nearest"),
        help="where FPR95 is read: at the first point of 95 %% recall, interpolated, or at the nearest "
        "(default: first, the only one of smiyc)",
    )
    parser.add_argument(
        "--components",
        choices=("anomaly", "obstacle"),
        help="also component metrics, with the sizes of AnomalyTrack or ObstacleTrack, at the best pixel F1",
    )
    add_anomalous_option(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object of fractions")
    parser.set_defaults(run=_run_anomaly)


def _add_objects(kinds: Any) -> None:
    parser = kinds.add_parser(
        "objects",
        help="instance AP, and found, missed and false objects",
        description="Instance AP, and found, missed and false objects. Labels hold 0 for normal and 1 for "
        "anomalous pixels; every other value is void. The labeled objects are the connected components of "
        "the anomalous pixels.",
        examples=["csl-plugin eval objects found/coco.json labels"],
    )
    parser.add_argument(
        "predictions",
        metavar="PRED",
        type=place,
        help="COCO results, as csl-plugin objects writes OUT/coco.json and, beside it, coco-images.json",
    )
    parser.add_argument("labels", metavar="LABELS", type=place, help="labels of the same stems: .png")
    parser.add_argument(
        "--components",
        choices=("anomaly", "obstacle"),
        default="obstacle",
        help="the least sizes of labeled and predicted objects: 100 and 500 pixels, or 10 and 50 (default: "
        "obstacle)",
    )
    add_anomalous_option(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object of fractions")
    parser.set_defaults(run=_run_objects)


def _add_classes(parser: Any, run: Any) -> None:
    parser.add_argument("labels", metavar="LABELS", type=place, help="labels of the same stems: .png of ids")
    parser.add_argument("--classes", metavar="C", type=int, required=True, help="number of classes")
    parser.add_argument("--unseen", metavar="IDS", default="", help="the unseen classes, such as 15,16,17")
    parser.add_argument("--json", action="store_true", help="print one JSON object of fractions")
    parser.set_defaults(run=run)


def _run_anomaly(arguments: argparse.Namespace) -> Answer:
    from csl_plugin.cli.eval.anomaly import run

    return run(arguments)


def _run_objects(arguments: argparse.Namespace) -> Answer:
    from csl_plugin.cli.eval.objects import run

    return run(arguments)


def _run_semantic(arguments: argparse.Namespace) -> Answer:
    from csl_plugin.cli.eval.classes import run_semantic

    return run_semantic(arguments)


def _run_regions(arguments: argparse.Namespace) -> Answer:
    from csl_plugin.cli.eval.classes import run_regions

    return run_regions(arguments)

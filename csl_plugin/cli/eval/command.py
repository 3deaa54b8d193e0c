"""`csl-plugin eval`: the metrics of predictions in a folder against labels in another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from csl_plugin.cli.arguments import place

if TYPE_CHECKING:
    import argparse

    from csl_plugin.cli.answer import Answer


def add_parser(subparsers: Any) -> None:
    """Add the command and its arguments."""
    parser = subparsers.add_parser(
        "eval",
        help="measure predictions against labels, under the official protocols",
        description="Measure the predictions in a folder against the labels of the same stem in another. "
        "What is not defined, such as FPR95 where nothing is anomalous, is printed so, and null in JSON.",
    )
    kinds = parser.add_subparsers(title="tasks", metavar="TASK", dest="task", required=True)
    _add_anomaly(kinds)
    _add_objects(kinds)
    semantic = kinds.add_parser(
        "semantic",
        help="IoU of class maps",
        description="Labels and predictions hold class indices from 0. 255 is void in labels; 255 or -1 is "
        "no class in predictions.",
    )
    semantic.add_argument("predictions", metavar="PRED", type=place, help="class maps: .png, or .npy of ids")
    _add_classes(semantic, _run_semantic)
    regions = kinds.add_parser(
        "regions",
        help="IoU of regions that take their most frequent label",
        description="Every region of a map takes its most frequent label (Table 7 of the paper).",
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
        help="AUPR, AUROC, FPR95, calibration error and component metrics of anomaly scores",
        description="Labels hold 0 for normal and 1 for anomalous pixels; every other value is void. The "
        "expected calibration error (ece) is that of scores in [0, 1], in 15 bins of equal width.",
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
        help="the official binning of SegmentMeIfYouCan, exact over all pixels together, exact for each "
        "image and averaged, or pooled with the metrics of industrial inspection: AUPRO up to false positive "
        "rates of 0.3 and 0.05, AUROC and AP of images by their largest score (default: smiyc)",
    )
    parser.add_argument(
        "--fpr-rule",
        choices=("first", "linear", "nearest"),
        help="where FPR95 is read: at the first point with 95 %% recall, interpolated, or at the nearest "
        "point (default: first, the only one of smiyc)",
    )
    parser.add_argument(
        "--components",
        choices=("anomaly", "obstacle"),
        help="also component metrics, with the sizes of AnomalyTrack or ObstacleTrack, at the threshold of "
        "the best pixel F1",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object of fractions")
    parser.set_defaults(run=_run_anomaly)


def _add_objects(kinds: Any) -> None:
    parser = kinds.add_parser(
        "objects",
        help="instance AP, and found, missed and false objects",
        description="Labels hold 0 for normal and 1 for anomalous pixels; every other value is void. The "
        "labeled objects are the connected components of the anomalous pixels.",
    )
    parser.add_argument(
        "predictions",
        metavar="PRED",
        type=place,
        help="COCO results, .json, with the file that names their images beside them, as csl-plugin objects "
        "writes both",
    )
    parser.add_argument("labels", metavar="LABELS", type=place, help="labels of the same stems: .png")
    parser.add_argument(
        "--components",
        choices=("anomaly", "obstacle"),
        default="obstacle",
        help="the least sizes of objects: those of AnomalyTrack (labeled 100 pixels, predicted 500) or of "
        "ObstacleTrack and OoDIS (10 and 50; default: obstacle)",
    )
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

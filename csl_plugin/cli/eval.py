"""`csl-plugin eval`: the metrics of predictions in a folder against labels in another."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.errors import DTypeError, FileError, OptionError, ShapeError
from csl_plugin.io.json_values import null_for_nan

if TYPE_CHECKING:
    from csl_plugin.cli.pairs import Pair, Reader

_ID_SUFFIXES = (".png", ".npy")


def add_parser(subparsers: Any) -> None:
    """Add the command and its arguments."""
    parser = subparsers.add_parser(
        "eval",
        help="measure predictions against labels, under the official protocols",
        description="Measure the predictions in a folder against the labels of the same stem in another.",
    )
    kinds = parser.add_subparsers(title="tasks", metavar="TASK", dest="task", required=True)
    _add_anomaly(kinds)
    semantic = kinds.add_parser(
        "semantic",
        help="IoU of class maps",
        description="Labels and predictions hold class indices from 0. 255 is void in labels; 255 or -1 is "
        "no class in predictions.",
    )
    semantic.add_argument("predictions", metavar="PRED", type=Path, help="class maps: .png, or .npy of ids")
    _add_classes(semantic, _run_semantic)
    regions = kinds.add_parser(
        "regions",
        help="IoU of regions that take their most frequent label",
        description="Every region of a map takes its most frequent label (Table 7 of the paper).",
    )
    regions.add_argument("predictions", metavar="REGIONS", type=Path, help="region maps: .png or .npz")
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
        help="AUPR, AUROC, FPR95 and component metrics of anomaly scores",
        description="Labels hold 0 for normal and 1 for anomalous pixels; every other value is void.",
    )
    parser.add_argument(
        "predictions",
        metavar="SCORES",
        type=Path,
        help="score maps, higher for more anomalous: .npy, .npz, .hdf5 or gray .png",
    )
    parser.add_argument("labels", metavar="LABELS", type=Path, help="labels of the same stems: .png")
    parser.add_argument(
        "--protocol",
        choices=("smiyc", "pooled", "per-image"),
        default="smiyc",
        help="the official binning of SegmentMeIfYouCan, exact over all pixels together, or exact for each "
        "image and averaged (default: smiyc)",
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


def _add_classes(parser: Any, run: Any) -> None:
    parser.add_argument("labels", metavar="LABELS", type=Path, help="labels of the same stems: .png of ids")
    parser.add_argument("--classes", metavar="C", type=int, required=True, help="number of classes")
    parser.add_argument("--unseen", metavar="IDS", default="", help="the unseen classes, such as 15,16,17")
    parser.add_argument("--json", action="store_true", help="print one JSON object of fractions")
    parser.set_defaults(run=run)


def _run_anomaly(arguments: argparse.Namespace) -> int:
    from csl_plugin.cli.pairs import find_pairs
    from csl_plugin.io import SCORE_SUFFIXES
    from csl_plugin.metrics import (
        ANOMALY_METRICS,
        COMPONENT_METRICS,
        COMPONENT_SETTINGS,
        ComponentMetric,
        PerImageAnomaly,
        PooledAnomaly,
        SmiycAnomaly,
    )

    rule: Any = arguments.fpr_rule or "first"
    if arguments.protocol == "smiyc" and rule != "first":
        hint = "Omit --fpr-rule, or choose --protocol pooled."
        raise OptionError("--fpr-rule", rule, "first, the rule of the protocol smiyc", hint)
    pairs = find_pairs(arguments.predictions, arguments.labels, SCORE_SUFFIXES)
    smiyc = SmiycAnomaly()
    chosen: SmiycAnomaly | PooledAnomaly | PerImageAnomaly = smiyc
    if arguments.protocol != "smiyc":
        chosen = (PooledAnomaly if arguments.protocol == "pooled" else PerImageAnomaly)(fpr_rule=rule)
    metrics = [chosen] if chosen is smiyc or not arguments.components else [chosen, smiyc]
    _measure(pairs, _read_scores, metrics, "pixels")
    values = chosen.compute()
    if not (values.num_positive and values.num_negative):
        _report_one_sided(arguments.labels, pairs)
        # The official tool has an FPR95 of 0 where nothing is anomalous.
        values = replace(values, ap=math.nan, auroc=math.nan, fpr95=math.nan)
    found: dict[str, Any] = {name: getattr(values, name) for name in ANOMALY_METRICS}
    facts = {"protocol": arguments.protocol, "fpr_rule": rule}
    if arguments.components:
        threshold = smiyc.compute().best_f1_threshold
        components = ComponentMetric(COMPONENT_SETTINGS[arguments.components], threshold)
        _measure(pairs, _read_scores, [components], "components")
        computed = components.compute()
        found |= {name: getattr(computed, name) for name in COMPONENT_METRICS}
        facts |= {"components": arguments.components, "threshold": threshold}
    return _report("anomaly", found, {**facts, "num_frames": len(pairs)}, arguments.json)


def _report_one_sided(labels: Path, pairs: Sequence[Pair]) -> None:
    """Warn that the pixel metrics are undefined: no pixel is anomalous, or none is normal.

    Raises:
        FileError: The labels are binary masks of 0 and 255, or hold neither 0 nor 1.
    """
    from csl_plugin.io import read_label_png

    found = sorted({int(value) for pair in pairs for value in np.unique(read_label_png(pair.label))})
    named = ", ".join(map(str, found[:8])) + (f" and {len(found) - 8} more" if found[8:] else "")
    expected = "0 for normal and 1 for anomalous pixels"
    if found == [0, 255]:
        hint = "255 is void here. Where it means anomalous, divide the labels by 255 and save them again."
        raise FileError(str(labels), "labels of 0 and 255", expected, hint)
    if not {0, 1} & set(found):
        raise FileError(str(labels), f"labels of {named}", expected, "Map your labels onto these values.")
    missing = "anomalous (1)" if 1 not in found else "normal (0)"
    print(
        f"warning: no pixel is {missing}, so AP, AUROC and FPR95 are not defined; the labels hold {named}",
        file=sys.stderr,
    )


def _run_semantic(arguments: argparse.Namespace) -> int:
    from csl_plugin.cli.pairs import find_pairs
    from csl_plugin.metrics import SemanticMetric

    pairs = find_pairs(arguments.predictions, arguments.labels, _ID_SUFFIXES)
    metric = SemanticMetric(arguments.classes, unseen=_ids(arguments.unseen))
    _measure(pairs, _read_ids, [metric], "semantic")
    return _report_semantic("semantic", metric, len(pairs), {}, arguments.json)


def _run_regions(arguments: argparse.Namespace) -> int:
    from csl_plugin.cli.pairs import find_pairs
    from csl_plugin.io import REGION_SUFFIXES, read_region_map
    from csl_plugin.metrics import RegionVoteMetric

    choices = {
        "unassigned": arguments.unassigned,
        "vote_per": arguments.vote_per,
        "void_votes": arguments.void_votes,
    }
    pairs = find_pairs(arguments.predictions, arguments.labels, REGION_SUFFIXES)
    metric = RegionVoteMetric(arguments.classes, unseen=_ids(arguments.unseen), **choices)
    _measure(pairs, read_region_map, [metric], "regions")
    return _report_semantic("regions", metric, len(pairs), choices, arguments.json)


def _measure(pairs: Sequence[Pair], read: Reader, metrics: Sequence[Any], verb: str) -> None:
    from csl_plugin.cli.pairs import naming_files, read_pairs
    from csl_plugin.io import read_label_png

    for pair, prediction, label in read_pairs(pairs, read, read_label_png, verb):
        with naming_files(pair):
            for metric in metrics:
                metric.update(prediction, label)


def _report_semantic(task: str, metric: Any, frames: int, facts: dict[str, Any], as_json: bool) -> int:
    from csl_plugin.metrics import SEMANTIC_METRICS

    values = asdict(metric.compute())
    found = {name: values[name] for name in SEMANTIC_METRICS}
    facts = {**facts, "classes": metric.num_classes, "unseen": list(metric.unseen), "num_frames": frames}
    return _report(task, found, facts, as_json, values["per_class"].tolist())


def _report(
    task: str, found: dict[str, float], facts: dict[str, Any], as_json: bool, per_class: Sequence[float] = ()
) -> int:
    """Print values and settings, as a table in per cent or as one JSON object."""
    if as_json:
        values = {**found, **({"per_class": per_class} if per_class else {})}
        print(json.dumps(null_for_nan({"task": task, **values, **facts})))
        return 0
    width = max(map(len, found))
    print(f"{task}: " + ", ".join(f"{name} {_word(value)}" for name, value in facts.items()))
    for name, value in found.items():
        print(f"  {name:<{width}}  {_per_cent(value)}")
    for index, value in enumerate(per_class):
        print(f"  {f'class {index}':<{width}}  {_per_cent(value)}")
    return 0


def _per_cent(value: float) -> str:
    return "not defined" if math.isnan(value) else f"{100 * value:6.2f} %"


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _read_scores(path: Path) -> NDArray[Any]:
    from csl_plugin.io import read_scores

    scores = read_scores(path)
    if scores.ndim == 3 and scores.shape[0] > 1:
        hint = "Keep the channel of the anomaly score."
        raise ShapeError(str(path), f"shape {scores.shape}", "(H, W) or (1, H, W)", hint)
    return scores.reshape(scores.shape[-2:])


def _read_ids(path: Path) -> NDArray[Any]:
    from csl_plugin.io import read_label_png
    from csl_plugin.io.numpy_files import read_npy

    def check(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        if dtype.kind not in "iu":
            hint = "Save the arg max over the classes."
            raise DTypeError(str(path), f"an array of {dtype}", "integer class indices", hint)
        if len(shape) not in (2, 3) or shape[:-2] not in ((), (1,)):
            raise ShapeError(str(path), f"shape {shape}", "(H, W)", "Save one image's class indices.")

    ids = read_label_png(path) if path.suffix.lower() == ".png" else read_npy(path, check)
    return ids.reshape(ids.shape[-2:])


def _ids(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(",") if word.strip())
    except ValueError:
        hint = "Write class indices from 0, with commas between them."
        raise OptionError("--unseen", repr(text), "a list such as 15,16,17", hint) from None

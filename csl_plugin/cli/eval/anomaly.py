"""`csl-plugin eval anomaly`."""

from __future__ import annotations

import argparse
import math
from typing import Any

from numpy.typing import NDArray

from csl_plugin.cli.anomaly_labels import AnomalyLabels
from csl_plugin.cli.answer import Answer
from csl_plugin.cli.eval.measuring import answer, measure
from csl_plugin.cli.eval.pairs import Pairs, find_pairs
from csl_plugin.errors import OptionError, ShapeError
from csl_plugin.io import SCORE_SUFFIXES, read_scores
from csl_plugin.metrics import (
    ANOMALY_METRICS,
    COMPONENT_METRICS,
    COMPONENT_SETTINGS,
    IMAGE_METRICS,
    REGION_OVERLAP_METRICS,
    ComponentMetric,
    ImageAnomaly,
    ImageValues,
    PerImageAnomaly,
    PooledAnomaly,
    RegionOverlap,
    RegionOverlapValues,
    Reliability,
    SmiycAnomaly,
)
from csl_plugin.places import Place


def run(arguments: argparse.Namespace) -> Answer:
    """Measure anomaly scores.

    Raises:
        CSLError: A file cannot be read or has no counterpart, or the labels hold neither 0 nor 1.
    """
    rule: Any = arguments.fpr_rule or "first"
    if arguments.protocol == "smiyc" and rule != "first":
        hint = "Omit --fpr-rule, or choose --protocol pooled."
        raise OptionError("--fpr-rule", rule, "first, the rule of the protocol smiyc", hint)
    labels = AnomalyLabels.of(arguments)
    pairs = find_pairs(arguments.predictions, arguments.labels, SCORE_SUFFIXES)
    labels.refuse_useless(pair.label for pair in pairs)
    smiyc = SmiycAnomaly()
    chosen: SmiycAnomaly | PooledAnomaly | PerImageAnomaly = smiyc
    if arguments.protocol != "smiyc":
        chosen = (PerImageAnomaly if arguments.protocol == "per-image" else PooledAnomaly)(fpr_rule=rule)
    reliability = Reliability()
    metrics: list[Any] = [chosen, reliability]
    overlap, images = RegionOverlap(), ImageAnomaly()
    if arguments.protocol == "inspection":
        metrics += [overlap, images]
    if chosen is not smiyc and arguments.components:
        metrics.append(smiyc)
    measure(pairs, _read_scores, metrics, "pixels", labels.read)
    values = chosen.compute()
    facts: dict[str, Any] = {"protocol": arguments.protocol, "fpr_rule": rule, "num_frames": len(pairs)}
    warnings = []
    if not (values.num_positive and values.num_negative):
        names = "AP, AUROC and FPR95"
        if arguments.protocol == "inspection":
            names = "AP, AUROC, FPR95 and AUPRO"
        warnings.append(labels.one_sided((pair.label for pair in pairs), names))
    elif isinstance(chosen, PerImageAnomaly):
        facts["num_defined"] = whole = _num_defined(chosen)
        if whole < len(pairs):
            warnings.append(
                f"{len(pairs) - whole} of {len(pairs)} frames lack anomalous (1) or normal (0) pixels and "
                "are not in the means; --protocol pooled counts the pixels of all"
            )
    defined = values.where_defined()
    found: dict[str, float] = {name: getattr(defined, name) for name in ANOMALY_METRICS}
    if arguments.protocol == "inspection":
        found |= _inspection_values(overlap.compute(), images.compute(), warnings)
    calibration = reliability.compute()
    found["ece"] = calibration.ece
    if calibration.num_outside:
        warnings.append(
            f"{calibration.num_outside} labeled pixels have scores outside 0 to 1, so ece is not defined, "
            "the error of probabilities"
        )
    if arguments.components:
        track = arguments.components
        threshold = smiyc.compute().best_f1_threshold if values.num_positive else math.nan
        found |= _component_values(track, threshold, pairs, labels, warnings)
        facts |= {"components": track, "threshold": threshold}
    curve = {name: getattr(calibration, name).tolist() for name in ("score", "frequency", "pixels")}
    details = {"reliability": curve if math.isfinite(calibration.ece) else None}
    return answer("anomaly", found, facts, pairs, warnings, details=details)


def _inspection_values(
    overlap: RegionOverlapValues, images: ImageValues, warnings: list[str]
) -> dict[str, float]:
    """The metrics of regions and images."""
    if not (images.num_anomalous and images.num_normal):
        which = "no frame has" if images.num_normal else "every frame has"
        which += " an anomalous (1) pixel"
        warnings.append(f"{which}, so image_auroc and image_ap are not defined: they tell frames apart")
    regions = {name: getattr(overlap, name) for name in REGION_OVERLAP_METRICS}
    return regions | {name: getattr(images, name) for name in IMAGE_METRICS}


def _component_values(
    track: str, threshold: float, pairs: Pairs, labels: AnomalyLabels, warnings: list[str]
) -> dict[str, float]:
    """The component metrics; undefined without an anomalous pixel, as no threshold is then the best."""
    if math.isnan(threshold):
        return dict.fromkeys(COMPONENT_METRICS, math.nan)
    settings = COMPONENT_SETTINGS[track]
    metric = ComponentMetric(settings, threshold)
    measure(pairs, _read_scores, [metric], "components", labels.read)
    values = metric.compute()
    if not values.num_truth:
        warnings.append(
            f"no labeled component has {settings.min_truth} pixels or more, so component metrics are not "
            "defined; smaller ones count as void"
        )
    elif not values.num_predicted:
        warnings.append(
            f"no predicted component has {settings.min_predicted} pixels or more, so ppv is not defined"
        )
    defined = values.where_defined()
    return {name: getattr(defined, name) for name in COMPONENT_METRICS}


def _num_defined(metric: PerImageAnomaly) -> int:
    state = metric.state()
    return int(((state["num_positive"] > 0) & (state["num_negative"] > 0)).sum())


def _read_scores(path: Place) -> NDArray[Any]:
    scores = read_scores(path)
    if scores.ndim == 3 and scores.shape[0] > 1:
        hint = "Keep the channel of the anomaly score."
        raise ShapeError(str(path), f"shape {scores.shape}", "(H, W), (1, H, W) or (H, W, 1)", hint)
    return scores.reshape(scores.shape[-2:])

"""`csl-plugin eval anomaly`."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from csl_plugin.cli.answer import Answer
from csl_plugin.cli.measuring import answer, label_values, measure, named_values
from csl_plugin.cli.pairs import Pairs, find_pairs
from csl_plugin.errors import FileError, OptionError, ShapeError
from csl_plugin.io import SCORE_SUFFIXES, read_scores
from csl_plugin.metrics import (
    ANOMALY_METRICS,
    COMPONENT_METRICS,
    COMPONENT_SETTINGS,
    ComponentMetric,
    PerImageAnomaly,
    PooledAnomaly,
    SmiycAnomaly,
)

_EXPECTED = "0 for normal and 1 for anomalous pixels"


def run(arguments: argparse.Namespace) -> Answer:
    """Measure anomaly scores.

    Raises:
        CSLError: A file cannot be read or has no counterpart, or the labels hold neither 0 nor 1.
    """
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
    measure(pairs, _read_scores, metrics, "pixels")
    values = chosen.compute()
    facts: dict[str, Any] = {"protocol": arguments.protocol, "fpr_rule": rule, "num_frames": len(pairs)}
    warnings = []
    if not (values.num_positive and values.num_negative):
        warnings.append(_one_sided(arguments.labels, pairs))
    elif isinstance(chosen, PerImageAnomaly):
        facts["num_defined"] = whole = _num_defined(chosen)
        if whole < len(pairs):
            warnings.append(
                f"{len(pairs) - whole} of {len(pairs)} frames lack anomalous (1) or normal (0) pixels and "
                "are not in the means; --protocol pooled counts the pixels of all"
            )
    defined = values.where_defined()
    found: dict[str, float] = {name: getattr(defined, name) for name in ANOMALY_METRICS}
    if arguments.components:
        track = arguments.components
        threshold = smiyc.compute().best_f1_threshold if values.num_positive else math.nan
        found |= _component_values(track, threshold, pairs, warnings)
        facts |= {"components": track, "threshold": threshold}
    return answer("anomaly", found, facts, pairs, warnings)


def _component_values(track: str, threshold: float, pairs: Pairs, warnings: list[str]) -> dict[str, float]:
    """The component metrics; undefined without an anomalous pixel, as no threshold is then the best."""
    if math.isnan(threshold):
        return dict.fromkeys(COMPONENT_METRICS, math.nan)
    settings = COMPONENT_SETTINGS[track]
    metric = ComponentMetric(settings, threshold)
    measure(pairs, _read_scores, [metric], "components")
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


def _one_sided(labels: Path, pairs: Pairs) -> str:
    """The warning that the metrics are undefined: no pixel is anomalous, or none is normal.

    Raises:
        FileError: The labels are binary masks of 0 and 255, or hold neither 0 nor 1.
    """
    found = label_values(pairs)
    if found == [0, 255]:
        hint = "255 is void here. Where it means anomalous, divide the labels by 255 and save them again."
        raise FileError(str(labels), "labels of 0 and 255", _EXPECTED, hint)
    if not {0, 1} & set(found):
        got = f"labels of {named_values(found)}"
        raise FileError(str(labels), got, _EXPECTED, "Map your labels onto these values.")
    missing = "anomalous (1)" if 1 not in found else "normal (0)"
    return (
        f"no pixel is {missing}, so AP, AUROC and FPR95 are not defined; the labels hold "
        f"{named_values(found)}. Save normal pixels as 0 and anomalous ones as 1"
    )


def _read_scores(path: Path) -> NDArray[Any]:
    scores = read_scores(path)
    if scores.ndim == 3 and scores.shape[0] > 1:
        hint = "Keep the channel of the anomaly score."
        raise ShapeError(str(path), f"shape {scores.shape}", "(H, W), (1, H, W) or (H, W, 1)", hint)
    return scores.reshape(scores.shape[-2:])

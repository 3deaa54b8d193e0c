"""`csl-plugin eval semantic` and `csl-plugin eval regions`."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.cli.anomaly_labels import named_values
from csl_plugin.cli.answer import Answer
from csl_plugin.cli.eval.measuring import answer, label_values, measure
from csl_plugin.cli.eval.pairs import Pairs, find_pairs
from csl_plugin.errors import DTypeError, FileError, OptionError, ShapeError
from csl_plugin.io import REGION_SUFFIXES, read_label_png, read_region_map
from csl_plugin.io.numpy_files import read_npy
from csl_plugin.metrics import SEMANTIC_METRICS, RegionVoteMetric, SemanticMetric
from csl_plugin.places import Place

_ID_SUFFIXES = (".png", ".npy")
_OF_UNSEEN = ("miou_unseen", "hiou")


def run_semantic(arguments: argparse.Namespace) -> Answer:
    """Measure class maps.

    Raises:
        CSLError: A file cannot be read or has no counterpart, or no pixel is labeled.
    """
    unseen = _ids(arguments.unseen)
    _check_classes(arguments.classes, unseen)
    pairs = find_pairs(arguments.predictions, arguments.labels, _ID_SUFFIXES)
    metric = SemanticMetric(arguments.classes, unseen=unseen)
    measure(pairs, _read_ids, [metric], "semantic")
    return _answer("semantic", metric, arguments.labels, pairs, {})


def run_regions(arguments: argparse.Namespace) -> Answer:
    """Measure region maps.

    Raises:
        CSLError: A file cannot be read or has no counterpart, or no pixel is labeled.
    """
    choices = {
        "unassigned": arguments.unassigned,
        "vote_per": arguments.vote_per,
        "void_votes": arguments.void_votes,
    }
    unseen = _ids(arguments.unseen)
    _check_classes(arguments.classes, unseen)
    pairs = find_pairs(arguments.predictions, arguments.labels, REGION_SUFFIXES)
    metric = RegionVoteMetric(arguments.classes, unseen=unseen, **choices)
    measure(pairs, read_region_map, [metric], "regions")
    return _answer("regions", metric, arguments.labels, pairs, choices)


def _answer(
    task: str,
    metric: SemanticMetric | RegionVoteMetric,
    labels: Place,
    pairs: Pairs,
    choices: Mapping[str, Any],
) -> Answer:
    values = asdict(metric.compute())
    found = {name: float(values[name]) for name in SEMANTIC_METRICS}
    if math.isnan(found["pacc"]):
        raise _nothing_counts(labels, pairs, choices)
    if metric.num_classes == 2 and not values["per_class"][1] > 0 and label_values(pairs) == [0, 255]:
        hint = "255 is void here. Where it means class 1, divide the labels by 255 and save them again."
        raise FileError(str(labels), "labels of 0 and 255", "class indices 0 and 1", hint)
    missing = [
        name
        for name, value in found.items()
        if math.isnan(value) and (metric.unseen or name not in _OF_UNSEEN)
    ]
    warnings = []
    if missing:
        unseen = ",".join(map(str, metric.unseen)) or "empty"
        warnings.append(
            f"no class of a group is in labels or predictions, so {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not defined; the labels hold "
            f"{named_values(label_values(pairs))}, and --unseen is {unseen}"
        )
    facts = {
        **choices,
        "classes": metric.num_classes,
        "unseen": list(metric.unseen),
        "num_frames": len(pairs),
    }
    return answer(task, found, facts, pairs, warnings, values["per_class"].tolist())


def _nothing_counts(labels: Place, pairs: Pairs, choices: Mapping[str, Any]) -> FileError:
    found = label_values(pairs)
    got = f"labels of {named_values(found)}"
    if found == [255]:
        hint = "255 is void, so nothing is measured: save the class indices themselves."
        return FileError(str(labels), got, "class indices from 0", hint)
    hint = "Count such pixels with --unassigned miss, or check that the region maps hold regions."
    got += f", and no labeled pixel in a region that counts (--unassigned {choices.get('unassigned')})"
    return FileError(str(labels), got, "labeled pixels in regions", hint)


def _read_ids(path: Place) -> NDArray[Any]:
    def check(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        if dtype.kind not in "iu":
            hint = "Save the arg max over the classes."
            raise DTypeError(str(path), f"an array of {dtype}", "integer class indices", hint)
        if len(shape) not in (2, 3) or (len(shape) == 3 and 1 not in (shape[0], shape[2])):
            hint = "Save one image's class indices."
            raise ShapeError(str(path), f"shape {shape}", "(H, W), (1, H, W) or (H, W, 1)", hint)

    ids = read_label_png(path) if path.suffix.lower() == ".png" else read_npy(path, check)
    return ids.reshape(ids.shape if ids.ndim == 2 else ids.shape[1:] if ids.shape[0] == 1 else ids.shape[:2])


def _ids(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(",") if word.strip())
    except ValueError:
        hint = "Write class indices from 0, with commas between them."
        raise OptionError("--unseen", repr(text), "a list such as 15,16,17", hint) from None


def _check_classes(classes: int, unseen: tuple[int, ...]) -> None:
    if not 1 <= classes <= 255:
        hint = "Labels are 8-bit and 255 is void, so 255 classes fit."
        raise OptionError("--classes", str(classes), "1 to 255", hint)
    if len(set(unseen)) != len(unseen) or not all(0 <= index < classes for index in unseen):
        got = ",".join(map(str, unseen))
        expected = f"distinct class indices from 0 to {classes - 1}"
        raise OptionError("--unseen", got, expected, "Write class indices, not names.")

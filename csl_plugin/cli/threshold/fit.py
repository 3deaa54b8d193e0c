"""`csl-plugin threshold fit`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import tee
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.cli.anomaly_labels import AnomalyLabels
from csl_plugin.cli.answer import SUCCESS, Answer
from csl_plugin.cli.batch_report import in_words
from csl_plugin.cli.eval.pairs import LABEL_SUFFIXES
from csl_plugin.cli.fused.fused_maps import settings_of_maps
from csl_plugin.cli.fused.options import chosen, source_of, valid_chosen
from csl_plugin.cli.fused.score_fusion import single_class
from csl_plugin.cli.fused.scored_images import left_out, scores_of
from csl_plugin.cli.result_file import check_replaceable
from csl_plugin.cli.threshold.budget_fit import (
    PER_IMAGE,
    Pairs,
    Source,
    fit_by_objects,
    refuse_maskless,
    refuse_missing,
    shown,
)
from csl_plugin.errors import OptionError, ShapeError
from csl_plugin.io import files_by_stem, list_images
from csl_plugin.io.orientation import check_orientation
from csl_plugin.objects import Threshold
from csl_plugin.places import Place, is_file_place

_MIN_AREA = 64
_VOID = np.uint8(255)


def run(arguments: argparse.Namespace) -> Answer:
    """Fit a threshold and write it.

    Raises:
        CSLError: A file is missing or cannot be used, options contradict each other, or nothing can
            be fitted.
    """
    _check_options(arguments)
    file: Path = arguments.file
    check_replaceable(file, Threshold.load, "a threshold")
    images = list_images(arguments.images)
    scores = scores_of(arguments.scores, images, alone=is_file_place(arguments.images))
    refuse_missing(arguments.scores, images, scores, "score map")
    labels: Sequence[Place] = ()
    if arguments.labels is not None:
        labels = _labels(arguments.labels, images, alone=is_file_place(arguments.images))
        AnomalyLabels.of(arguments).refuse_useless(labels)
    source = source_of(arguments)
    refuse_maskless(source.valid, images)
    pairs = [(image, scores[stem]) for stem, image in images.items()]
    if arguments.labels is not None:
        threshold = _by_labels(arguments, source, pairs, labels)
    elif arguments.pixels is not None:
        maps = (fused if valid is None else fused[valid] for fused, valid in _maps(source, pairs))
        threshold = replace(Threshold.fit_pixels(maps, arguments.pixels), made_with=settings_of_maps(source))
    else:
        threshold = _by_objects(arguments, source, pairs)
    threshold.save(file)
    rest = left_out(arguments.images, arguments.scores, images, scores)
    facts = {
        "command": "threshold",
        "task": "fit",
        "file": str(file),
        "images": len(images),
        **rest,
        "threshold": json.loads(threshold.to_json()),
    }
    as_they_are = {"maps": "as they are", **valid_chosen(arguments)}
    made_with = as_they_are if arguments.fused else chosen(arguments)
    lines = [f"{file}: {threshold}", "  with " + ", ".join(map(" ".join, made_with.items()))]
    lines += [f"  {name.replace('_', ' ')}: {in_words(note)}" for name, note in rest.items() if note]
    return Answer(SUCCESS, facts, lines)


def _by_objects(arguments: argparse.Namespace, source: Source, pairs: Pairs) -> Threshold:
    per_image = PER_IMAGE if arguments.objects is None else arguments.objects
    min_area = _MIN_AREA if arguments.min_area is None else arguments.min_area
    return fit_by_objects(source, pairs, per_image, min_area)


def _maps(source: Source, pairs: Pairs) -> Iterator[tuple[NDArray[Any], NDArray[np.bool_] | None]]:
    """The fused maps, (H, W), and the pixels of each that count."""
    for image, score in shown(pairs):
        fused, valid = source.fused_map(image, score)
        yield single_class(score, fused, valid), valid


def _by_labels(
    arguments: argparse.Namespace, source: Source, pairs: Pairs, labels: Sequence[Place]
) -> Threshold:
    reader = AnomalyLabels.of(arguments)

    def read() -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        for (image, _), (fused, valid), label in zip(pairs, _maps(source, pairs), labels, strict=True):
            label_map = reader.read(label)
            check_orientation(str(label), label_map.shape, image, fused.shape)
            if label_map.shape != fused.shape:
                hint = "Labels have the size of their images."
                raise ShapeError(str(label), f"size {label_map.shape}", f"{fused.shape}", hint)
            yield fused, label_map if valid is None else np.where(valid, label_map, _VOID)

    first, second = tee(read())
    maps, label_maps = (fused for fused, _ in first), (label for _, label in second)
    if arguments.f1:
        threshold = Threshold.fit_f1(maps, label_maps)
    else:
        threshold = Threshold.fit_recall(maps, label_maps, arguments.recall)
    return replace(threshold, made_with=settings_of_maps(source))


def _check_options(arguments: argparse.Namespace) -> None:
    labeled = arguments.f1 or arguments.recall is not None
    if labeled != (arguments.labels is not None):
        way = "--f1" if arguments.f1 else "--recall"
        if labeled:
            hint = "Or fit without labels: --objects or --pixels, on images without anomalies."
            raise OptionError(way, "no --labels", "the folder of the labels", hint)
        hint = "Omit it: --objects and --pixels take images without anomalies."
        raise OptionError("--labels", "neither --f1 nor --recall", "one of the two with it", hint)
    if arguments.anomalous != 1 and not labeled:
        raise OptionError("--anomalous", "no --labels", "the folder of the labels", "Omit it.")
    if arguments.min_area is not None and (labeled or arguments.pixels is not None):
        hint = "Omit it: only --objects counts objects."
        raise OptionError("--min-area", "a threshold of pixels", "--objects", hint)


def _labels(place: Place, images: Mapping[str, Place], *, alone: bool) -> list[Place]:
    """The labels of the images, in their order."""
    labels = files_by_stem(place, LABEL_SUFFIXES)
    if alone and is_file_place(place):
        return list(labels.values())
    refuse_missing(place, images, labels, "label")
    return [labels[stem] for stem in images]

"""`csl-plugin eval objects`."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from csl_plugin.cli.anomaly_labels import AnomalyLabels, stored_values
from csl_plugin.cli.answer import Answer
from csl_plugin.cli.eval.measuring import answer
from csl_plugin.cli.eval.pairs import LABEL_SUFFIXES, Pair, Pairs, naming_files, refuse_unpaired
from csl_plugin.errors import FileError, ShapeError
from csl_plugin.io import files_by_stem, holding, other_suffixes
from csl_plugin.io.listing import stem_key
from csl_plugin.io.orientation import TURNED_HINT
from csl_plugin.metrics import (
    COMPONENT_METRICS,
    COMPONENT_SETTINGS,
    ComponentSettings,
    ComponentValues,
    InstanceAP,
    InstanceValues,
    ObjectCounts,
    ObjectMetric,
)
from csl_plugin.objects import Objects
from csl_plugin.objects.formats import read_coco
from csl_plugin.places import Place, is_file_place, is_folder_place

_NAMED = 10


@dataclass(frozen=True)
class _Image:
    """An image of the results: its objects, and its label."""

    name: str
    objects: Objects
    label: Place


def run(arguments: argparse.Namespace) -> Answer:
    """Measure objects.

    Raises:
        CSLError: A file cannot be read or has no counterpart, or the labels hold neither 0 nor 1.
    """
    place, labels = arguments.labels, AnomalyLabels.of(arguments)
    images = _images(arguments.predictions, place)
    pairs = Pairs(
        [Pair(Path(image.name), image.label) for image in images],
        Counter(other_suffixes(place, LABEL_SUFFIXES)),
    )
    labels.refuse_useless(image.label for image in images)
    settings = COMPONENT_SETTINGS[arguments.components]
    instances, components, counts = _measure(images, labels, settings)
    precisions, values = instances.compute(), components.compute()
    warnings = _warnings(labels, images, settings, precisions, values)
    found = {"ap": precisions.ap, "ap50": precisions.ap50}
    found |= {name: getattr(values.where_defined(), name) for name in COMPONENT_METRICS}
    pooled = values.counts
    facts = {
        "components": arguments.components,
        "num_frames": len(images),
        **asdict(pooled),
        "false_per_frame": pooled.false / len(images),
        "num_objects": precisions.num_predicted,
        "not_counted": precisions.num_predicted - values.num_predicted,
    }
    details = {
        "by_overlap": precisions.by_overlap.tolist(),
        "images": [{"name": image.name, **asdict(of)} for image, of in zip(images, counts, strict=True)],
    }
    lines = _worst(images, counts)
    return answer("objects", found, facts, pairs, warnings, details=details, lines=lines)


def _images(predictions: Place, labels: Place) -> list[_Image]:
    """The images of the results with their labels, in the order of the results."""
    if is_folder_place(predictions) or predictions.suffix.lower() != ".json":
        got = (
            "a folder" if is_folder_place(predictions) else f"a {predictions.suffix or 'file without suffix'}"
        )
        hint = "Pass OUT/coco.json, which csl-plugin objects OUT writes with the format coco."
        raise FileError(str(predictions), got, "COCO results, .json", hint)
    results = read_coco(predictions)
    labeled = files_by_stem(labels, LABEL_SUFFIXES)
    if not labeled:
        got = holding(labels, LABEL_SUFFIXES, ".png files")
        raise FileError(str(labels), got, "one file for each image", "Pass the folder that holds them.")
    by_stem: dict[str, str] = {}
    for name in results:
        stem = stem_key(PurePosixPath(name).stem)
        if stem in by_stem:
            hint = "Files are matched by stem: measure the images of each folder on their own."
            got = f"two images of the stem {stem!r}"
            raise FileError(str(predictions), got, "one image of each stem", hint)
        by_stem[stem] = name
    if is_file_place(labels):
        if len(by_stem) == 1:
            labeled = dict.fromkeys(by_stem, labels)
        by_stem = {stem: name for stem, name in by_stem.items() if stem in labeled}
    refuse_unpaired(labels, {stem: Path(name) for stem, name in by_stem.items()}, labeled, "label")
    refuse_unpaired(predictions, labeled, by_stem, "image")
    return [_Image(name, results[name], labeled[stem]) for stem, name in by_stem.items()]


def _measure(
    images: Sequence[_Image], labels: AnomalyLabels, settings: ComponentSettings
) -> tuple[InstanceAP, ObjectMetric, list[ObjectCounts]]:
    """Both metrics over all images, and the counts of each."""
    from tqdm import tqdm

    instances, components = InstanceAP(min_truth=settings.min_truth), ObjectMetric(settings)
    counts = []
    for image in tqdm(images, desc="objects", unit="frame", disable=None, file=sys.stderr):
        label, own = labels.read(image.label), ObjectMetric(settings)
        with naming_files(Pair(Path(image.name), image.label)):
            _check_not_turned(image.objects, label.shape)
            instances.update(image.objects, label)
            own.update(image.objects, label)
        components.merge(own)
        counts.append(own.compute().counts)
    return instances, components, counts


def _check_not_turned(objects: Objects, size: tuple[int, ...]) -> None:
    """Refuse objects and labels one of which is of a photograph's stored pixels; metrics name other sizes.

    Raises:
        ShapeError: Their height and width are exchanged.
    """
    if objects.size != size and objects.size == size[::-1]:
        got, expected = f"objects of an image {objects.size}", f"the labels', {size}"
        raise ShapeError("objects", got, expected, TURNED_HINT)


def _warnings(
    labels: AnomalyLabels,
    images: Sequence[_Image],
    settings: ComponentSettings,
    found: InstanceValues,
    values: ComponentValues,
) -> list[str]:
    if not values.num_truth:
        if not any(labels.anomalous in stored_values(image.label) for image in images):
            return [labels.one_sided((image.label for image in images), "AP and component metrics")]
        return [
            f"no labeled component has {settings.min_truth} pixels or more, so AP and component metrics are "
            "not defined; smaller ones count as void"
        ]
    if not values.num_predicted:
        why = (
            "there is no object"
            if not found.num_predicted
            else (f"no object has {settings.min_predicted} labeled pixels or more")
        )
        return [f"{why}, so ppv is not defined"]
    return []


def _worst(images: Sequence[_Image], counts: Sequence[ObjectCounts]) -> list[str]:
    """The images with the most errors, one line each."""
    errors = [(-of.missed - of.false, place) for place, of in enumerate(counts) if of.missed or of.false]
    if not errors:
        return []
    shown = [place for _, place in sorted(errors)[:_NAMED]]
    width = max(len(images[place].name) for place in shown)
    lines = ["  images with the most missed and false objects"]
    for place in shown:
        of = counts[place]
        lines.append(
            f"    {images[place].name:<{width}}  {of.found} found, {of.missed} missed, {of.false} false"
        )
    if len(errors) > _NAMED:
        lines.append(f"    and {len(errors) - _NAMED} more; --json names all")
    return lines

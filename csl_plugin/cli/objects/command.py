"""`csl-plugin objects`: the objects in the fused maps of many images."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from csl_plugin.cli.answer import Answer
from csl_plugin.cli.arguments import name, place
from csl_plugin.cli.batch import ImageTask, Job, Outcome, SetTask, folder_of, run_tasks
from csl_plugin.cli.batch_report import Note, report
from csl_plugin.cli.fused.options import (
    add_fused_option,
    add_fusion_options,
    chosen,
    source_of,
    valid_chosen,
    valid_place,
)
from csl_plugin.cli.fused.scored_images import left_out, read_files, scores_of
from csl_plugin.cli.jobs_option import add_jobs_option, jobs_of
from csl_plugin.cli.objects.threshold_option import add_threshold_options, threshold_inputs, threshold_of
from csl_plugin.cli.output_folder import output_folder
from csl_plugin.cli.shard_option import add_shard_option, shard_of_option
from csl_plugin.cli.streams import say
from csl_plugin.places import is_file_place

if TYPE_CHECKING:
    from csl_plugin.cli.fused.fused_maps import FusedMaps
    from csl_plugin.cli.fused.score_fusion import ScoreFusion
    from csl_plugin.cli.objects.finding import ObjectFinding
    from csl_plugin.cli.objects.object_set import ObjectSet
    from csl_plugin.objects import Objects, Threshold
    from csl_plugin.places import Place

_FORMATS = ("coco", "csv", "json", "labels", "polygons", "label-studio", "label-studio-polygons")


def add_parser(subparsers: Any) -> None:
    """Add the command and its arguments."""
    parser = subparsers.add_parser(
        "objects",
        usage="%(prog)s IMAGES SCORES OUT (--threshold FILE|VALUE | --fit-on DIR) [options]",
        help="find the objects in the fused score maps",
        description="Fuse the score map of every image, found by its stem, as `csl-plugin fuse` does, find "
        "what is connected at a threshold along the image's regions, and write the objects: "
        "OUT/objects/<stem>.json, and what --format names.\n\n"
        "OUT is new, empty or of the same command: what is done and unchanged is skipped.",
        examples=[
            "csl-plugin objects images scores found --threshold 0.5 --overlays",
            "csl-plugin objects images scores found --fit-on normal --format coco --format csv",
            "csl-plugin objects images fused found --fused --threshold threshold.json",
        ],
    )
    parser.add_argument(
        "images", metavar="IMAGES", type=place, help="a folder of images, or one image; a path or a URL"
    )
    parser.add_argument("scores", metavar="SCORES", type=place, help="a folder of score maps, or one")
    parser.add_argument("out", metavar="OUT", type=place, help="the output folder, or its URL")
    add_threshold_options(parser)
    parser.add_argument(
        "--format",
        action="append",
        choices=_FORMATS,
        metavar="F",
        help="what is written, repeatable. coco: OUT/coco.json, COCO results; csv: OUT/boxes.csv; labels: "
        "OUT/labels/<stem>.png; polygons: OUT/polygons/<stem>.json; label-studio: tasks with brush masks; "
        "label-studio-polygons; json: nothing more than OUT/objects (default: coco)",
    )
    parser.add_argument(
        "--overlays",
        action="store_true",
        help="also write OUT/overlays/<stem>.png: the image and its objects",
    )
    parser.add_argument(
        "--min-area",
        metavar="N",
        type=name,
        default="64",
        help="pixels that an object has at least (default: %(default)s)",
    )
    parser.add_argument(
        "--image-ids",
        metavar="FILE",
        type=place,
        help="a COCO annotation file whose image ids coco.json takes, by stem (default: 1, 2, ...)",
    )
    parser.add_argument(
        "--url-prefix",
        metavar="TEXT",
        default="",
        help="put before the names of images in the tasks for Label Studio",
    )
    add_fused_option(parser)
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="remove what this command wrote to OUT, and start again; other files there stay",
    )
    add_fusion_options(parser)
    sharing = parser.add_argument_group("many images")
    add_jobs_option(sharing, "images")
    add_shard_option(sharing, "images")
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> Answer:
    """Run the command."""
    shard = shard_of_option(arguments)
    jobs = jobs_of(arguments)  # before torch is imported, so that their processes import it meanwhile
    from csl_plugin.cli.fused.class_maps import warn_of_class_maps
    from csl_plugin.cli.objects.finding import shown_name
    from csl_plugin.cli.objects.object_set import ObjectSet
    from csl_plugin.io import list_images
    from csl_plugin.objects.formats import read_images
    from csl_plugin.proposers.on_files import region_folders

    images = list_images(arguments.images)
    scores = scores_of(arguments.scores, images, alone=is_file_place(arguments.images))
    known = read_images(arguments.image_ids) if arguments.image_ids else None
    if known is not None:
        known.named(shown_name(image) for image in images.values())
    source = source_of(arguments)
    threshold = threshold_of(arguments, source, _min_area(arguments))
    job = _job(arguments, threshold, source)
    inputs: list[Place] = [folder.path for folder in region_folders(source.proposer)]
    given = (arguments.calibration, arguments.image_ids, arguments.valid)
    inputs += [each for each in given if each]
    inputs += threshold_inputs(arguments)
    inputs += [score for stem, score in scores.items() if stem not in images]
    of_all = ObjectSet(arguments.out, known, arguments.url_prefix)
    outcome = run_tasks(
        job,
        output_folder(arguments.out, job.settings, shard),
        _tasks(arguments, job.tool, images, scores),
        "objects",
        inputs,
        jobs=jobs,
        overwrite=arguments.overwrite,
        of_all=[*of_all.tasks(arguments.format or ["coco"]), _fitted_file(arguments, threshold)],
    )
    notes: dict[str, Note] = {
        "images": len(images),
        **warn_of_class_maps(outcome.counted, outcome.done),
        **left_out(arguments.images, arguments.scores, images, scores),
    }
    made_with = chosen(arguments)
    if arguments.fused:
        made_with = {"rule": "of the maps", "split": made_with["split"], "proposer": made_with["proposer"]}
        made_with |= valid_chosen(arguments)
    made_with["min area"] = arguments.min_area
    answer = report("objects", outcome, arguments.out, job.settings, made_with, notes)
    own = [*images.values()] if shard is None else shard.of([*images.values()])
    return _with_objects(answer, outcome, own, of_all, threshold)


def _fitted_file(arguments: argparse.Namespace, threshold: Threshold) -> SetTask:
    """The writing of a threshold that was fitted."""
    file: Place = arguments.out / "threshold.json"
    stored = threshold.to_json()
    return SetTask(lambda _: threshold.save(file), (file,), lambda _: stored, arguments.fit_on is not None)


def _with_objects(
    answer: Answer, outcome: Outcome, images: Sequence[Place], of_all: ObjectSet, threshold: Threshold
) -> Answer:
    """The answer with the number of objects, unless the job was stopped."""
    facts = {**answer.facts, "threshold": json.loads(threshold.to_json())}
    if outcome.interrupted or outcome.lost:
        return replace(answer, facts=facts)
    failed = {failure["name"] for failure in outcome.failed}
    found = of_all.of([image for image in images if image.name not in failed])
    counts = [len(objects) for objects in found.values()]
    facts |= {
        "objects": sum(counts),
        "images_without_objects": counts.count(0),
        "objects_of_images": dict(zip(found, counts, strict=True)),
        "image_scores": {name: objects.image_score for name, objects in found.items()},
    }
    line = f"  objects: {sum(counts)} in {len(counts)} images, {counts.count(0)} of them without any"
    first, *rest = answer.lines
    facts["warnings"] = _doubts(found, threshold)
    for warning in facts["warnings"]:
        say(f"warning: {warning}")
    return replace(answer, facts=facts, lines=[first, line, f"  threshold {threshold}", *rest])


def _doubts(found: Mapping[str, Objects], threshold: Threshold) -> list[str]:
    """What says that scores or threshold are of the wrong kind."""
    counts = [len(objects) for objects in found.values()]
    whole = [name for name, of in found.items() if any(2 * of.areas > of.size[0] * of.size[1])]
    doubts = []
    if counts and not any(counts):
        doubts.append(
            f"no image has an object: no region reaches {threshold.value:.6g} with half of its pixels; see "
            "that the threshold is on the scale of the fused maps"
        )
    if whole:
        doubts.append(
            f"{len(whole)} of {len(found)} images, such as {whole[0]}, have an object larger than half of "
            "the image; see that the scores are high for anomalous pixels (csl-plugin calibrate "
            "--lower-is-anomalous turns those that are high for normal ones)"
        )
    return doubts


def _min_area(arguments: argparse.Namespace) -> int:
    from csl_plugin.errors import OptionError

    given: str = arguments.min_area
    if not (given.isascii() and given.isdigit() and len(given) < 10 and int(given) >= 1):
        raise OptionError("--min-area", repr(given), "an integer of at least 1", "1 keeps every object.")
    return int(given)


def _job(
    arguments: argparse.Namespace, threshold: Threshold, source: ScoreFusion | FusedMaps
) -> Job[ObjectFinding]:
    """What one process needs to find objects; of it the threshold alone is sent to another."""
    from csl_plugin.cli.objects.finding import ObjectFinding
    from csl_plugin.io.job_settings import versions
    from csl_plugin.proposers.identity import identity_of
    from csl_plugin.proposers.on_files import region_places

    min_area = _min_area(arguments)
    own = {"fused": True, "regions": identity_of(source.proposer), "split_regions": source.split}
    own |= {"valid": True} if source.valid else {}
    settings = {
        "command": "objects",
        "versions": versions(),
        "places": {
            "images": str(folder_of(arguments.images)),
            "scores": str(folder_of(arguments.scores)),
            **region_places(source.proposer),
            **valid_place(arguments),
        },
        **source.settings,
        **(own if arguments.fused else {}),
        "threshold": threshold.value,
        "min_area": min_area,
    }
    finding = ObjectFinding(source, threshold.value, min_area)
    return Job(settings, finding, partial(_loaded, arguments, threshold))


def _loaded(arguments: argparse.Namespace, threshold: Threshold) -> Job[ObjectFinding]:
    """The job as another process loads it."""
    return _job(arguments, threshold, source_of(arguments))


def _tasks(
    arguments: argparse.Namespace,
    finding: ObjectFinding,
    images: Mapping[str, Place],
    scores: Mapping[str, Place],
) -> list[ImageTask[ObjectFinding]]:
    from csl_plugin.cli.fused.score_fusion import no_score
    from csl_plugin.cli.objects.finding import OF_IMAGE, PLAIN, ObjectFinding

    out: Place = arguments.out
    tasks = []
    for stem, image in images.items():
        score = scores.get(stem)
        read = read_files(finding.source, stem, image, score)
        if score is None:
            missing = partial(no_score, image=image, folder=arguments.scores)
            tasks.append(ImageTask(image, missing, (), read))
            continue
        plain = out / PLAIN / f"{image.stem}.json"
        formats = {
            kind: out / kind / f"{image.stem}{suffix}"
            for kind, suffix in OF_IMAGE.items()
            if kind in (arguments.format or ())
        }
        picture = out / "overlays" / f"{image.stem}.png" if arguments.overlays else None
        work = partial(
            ObjectFinding.write_files, image=image, score=score, plain=plain, formats=formats, picture=picture
        )
        outputs = (plain, *formats.values(), *([picture] if picture else []))
        tasks.append(ImageTask(image, work, outputs, read))
    return tasks

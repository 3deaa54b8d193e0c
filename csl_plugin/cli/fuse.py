"""`csl-plugin fuse`: structure-constrained fusion of many score maps."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from csl_plugin.cli.answer import Answer
from csl_plugin.cli.arguments import place
from csl_plugin.cli.batch import ImageTask, Job, folder_of, run_tasks
from csl_plugin.cli.batch_report import Note, report
from csl_plugin.cli.fused.options import add_fusion_options, chosen, fusion_of, valid_place
from csl_plugin.cli.fused.scored_images import left_out, read_files, scores_of
from csl_plugin.cli.fused.tile_options import add_tile_options, large_fusion_of, suffixes_of, tiles_chosen
from csl_plugin.cli.jobs_option import add_jobs_option, jobs_of
from csl_plugin.cli.output_folder import output_folder
from csl_plugin.cli.shard_option import add_shard_option, shard_of_option
from csl_plugin.places import is_file_place

if TYPE_CHECKING:
    from csl_plugin.cli.fused.large_fusion import LargeFusion
    from csl_plugin.cli.fused.score_fusion import ScoreFusion
    from csl_plugin.places import Place


def add_parser(subparsers: Any) -> None:
    """Add the command and its arguments."""
    parser = subparsers.add_parser(
        "fuse",
        usage="%(prog)s IMAGES SCORES OUT [options]",
        help="fuse the score map of every image with its regions",
        description="Fuse the score map of every image, found by its stem, with the image's regions, and "
        "write it to OUT/<stem> in the form in which it came: .npy, .npz, .hdf5 or gray .png; (H, W), "
        "(C, H, W) or (H, W, C); not negative, higher for more of the class. Smaller maps are upsampled to "
        "the size of the image.\n\n"
        "OUT is new, empty or of the same command: what is done and unchanged is skipped.",
        examples=[
            "csl-plugin fuse images scores fused --overlays",
            "csl-plugin fuse photo.png score.npy fused --rule product",
            "csl-plugin fuse images logits fused --logits --proposer superpixels --jobs auto",
        ],
    )
    parser.add_argument(
        "images", metavar="IMAGES", type=place, help="a folder of images, or one image; a path or a URL"
    )
    parser.add_argument("scores", metavar="SCORES", type=place, help="a folder of score maps, or one")
    parser.add_argument("out", metavar="OUT", type=place, help="the output folder, or its URL")
    parser.add_argument(
        "--overlays",
        action="store_true",
        help="also write OUT/overlays/<stem>.png: image, regions, score and fused score",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="remove what this command wrote to OUT, and start again; other files there stay",
    )
    add_fusion_options(parser)
    sharing = parser.add_argument_group("many or large images")
    add_jobs_option(sharing, "images")
    add_shard_option(sharing, "images")
    add_tile_options(sharing)
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> Answer:
    """Run the command."""
    shard = shard_of_option(arguments)
    jobs = jobs_of(arguments)  # before torch is imported, so that their processes import it meanwhile
    from csl_plugin.cli.fused.class_maps import warn_of_class_maps
    from csl_plugin.cli.fused.fused_maps import refuse_fused
    from csl_plugin.io import IMAGE_SUFFIXES, list_images
    from csl_plugin.proposers.on_files import region_folders

    out: Place = arguments.out
    suffixes = suffixes_of(arguments)
    images = list_images(arguments.images, suffixes[0] if suffixes else IMAGE_SUFFIXES)
    alone = is_file_place(arguments.images)
    scores = scores_of(arguments.scores, images, alone=alone, suffixes=suffixes[1] if suffixes else None)
    refuse_fused(arguments.scores, "Pass the scores that these maps were made from.")
    job = _job(arguments)
    inputs: list[Place] = [folder.path for folder in region_folders(job.tool.proposer)]
    inputs += [each for each in (arguments.calibration, arguments.valid) if each]
    inputs += [score for stem, score in scores.items() if stem not in images]
    tasks = _tasks(arguments, job.tool, images, scores)
    folder = output_folder(out, job.settings, shard)
    outcome = run_tasks(job, folder, tasks, "fuse", inputs, jobs=jobs, overwrite=arguments.overwrite)
    notes: dict[str, Note] = {
        "images": len(images),
        "scores_upsampled": outcome.counted["scores_upsampled"],
        **warn_of_class_maps(outcome.counted, outcome.done),
        **left_out(arguments.images, arguments.scores, images, scores, suffixes),
    }
    return report("fuse", outcome, out, job.settings, {**chosen(arguments), **tiles_chosen(arguments)}, notes)


def _job(arguments: argparse.Namespace) -> Job[ScoreFusion | LargeFusion]:
    """What one process needs to fuse; nothing of it is sent to another."""
    from csl_plugin.io.job_settings import versions
    from csl_plugin.proposers.on_files import region_places

    fusion = large_fusion_of(arguments) or fusion_of(arguments)
    settings = {
        "command": "fuse",
        "versions": versions(),
        "places": {
            "images": str(folder_of(arguments.images)),
            "scores": str(folder_of(arguments.scores)),
            **region_places(fusion.proposer),
            **valid_place(arguments),
        },
        **fusion.settings,
    }
    return Job(settings, fusion, partial(_job, arguments))


def _tasks(
    arguments: argparse.Namespace,
    fusion: ScoreFusion | LargeFusion,
    images: Mapping[str, Place],
    scores: Mapping[str, Place],
) -> list[ImageTask[ScoreFusion | LargeFusion]]:
    from csl_plugin.cli.fused.score_fusion import no_score

    out: Place = arguments.out
    tasks = []
    for stem, image in images.items():
        score = scores.get(stem)
        read = read_files(fusion, stem, image, score)
        if score is None:
            missing = partial(no_score, image=image, folder=arguments.scores)
            tasks.append(ImageTask(image, missing, (), read))
            continue
        target = out / f"{image.stem}{score.suffix}"
        picture = out / "overlays" / f"{image.stem}.png" if arguments.overlays else None
        work = partial(_fuse_file, image=image, score=score, target=target, picture=picture)
        needed = (target,) if picture is None else (target, picture)
        tasks.append(ImageTask(image, work, needed, read))
    return tasks


def _fuse_file(
    fusion: ScoreFusion | LargeFusion, *, image: Place, score: Place, target: Place, picture: Place | None
) -> Sequence[str]:
    return fusion.fuse_file(image=image, score=score, target=target, picture=picture)

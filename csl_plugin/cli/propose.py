"""`csl-plugin propose`: region maps of many images."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from csl_plugin.cli.answer import Answer
from csl_plugin.cli.arguments import place
from csl_plugin.cli.batch import ImageTask, Job, folder_of, run_tasks
from csl_plugin.cli.batch_report import Note, report
from csl_plugin.cli.fused.proposer_option import ONE, add_proposer_options, proposer_of
from csl_plugin.cli.jobs_option import add_jobs_option, jobs_of
from csl_plugin.cli.shard_option import add_shard_option, shard_of_option

if TYPE_CHECKING:
    from csl_plugin.places import Place
    from csl_plugin.proposers import Proposer

_DEFAULT = "csl-tiny"


def add_parser(subparsers: Any) -> None:
    """Add the command and its arguments."""
    parser = subparsers.add_parser(
        "propose",
        help="write the region map of every image",
        description="Write OUT/<stem>.png for every image: its region map as 16-bit PNG, ids from 0, and "
        "65535 for unassigned pixels. Maps that were written before are skipped, unless the image changed "
        "since. OUT is a new or empty folder, or one that the same command with the same settings wrote.",
    )
    parser.add_argument(
        "images", metavar="IMAGES", type=place, help="a folder of images, or one image; a path or a URL"
    )
    parser.add_argument("out", metavar="OUT", type=place, help="the output folder, or its URL")
    add_proposer_options(parser, ONE)
    add_jobs_option(parser, "images")
    add_shard_option(parser, "images")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="remove what this command wrote to OUT, and start again; other files there stay",
    )
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> Answer:
    """Run the command."""
    shard = shard_of_option(arguments)
    jobs = jobs_of(arguments)  # before torch is imported, so that their processes import it meanwhile
    from csl_plugin.io import IMAGE_SUFFIXES, list_images, other_suffixes
    from csl_plugin.io.output_place import outputs_at
    from csl_plugin.proposers.on_files import region_files, region_folders

    out: Place = arguments.out
    images = list_images(arguments.images)
    job = _job(arguments)
    tasks = []
    for stem, image in images.items():
        target = out / f"{image.stem}.png"
        read = (image, *region_files(job.tool, stem))
        work = partial(propose_file, image=image, target=target)
        tasks.append(ImageTask(image, work, (target,), read))
    folder = outputs_at(out, job.settings, shard)
    inputs = [each.path for each in region_folders(job.tool)]
    outcome = run_tasks(job, folder, tasks, "propose", inputs, jobs=jobs, overwrite=arguments.overwrite)
    notes: dict[str, Note] = {
        "images": len(images),
        "skipped_images": other_suffixes(arguments.images, IMAGE_SUFFIXES),
    }
    made_with = {"proposer": arguments.proposer or _DEFAULT}
    return report("propose", outcome, out, job.settings, made_with, notes)


def _job(arguments: argparse.Namespace) -> Job[Proposer]:
    """What one process needs to propose; nothing of it is sent to another."""
    from csl_plugin.io.job_settings import versions
    from csl_plugin.proposers.identity import identity_of
    from csl_plugin.proposers.on_files import refuse_several, region_places

    proposer = proposer_of(arguments, _DEFAULT)
    refuse_several(proposer)
    settings = {
        "command": "propose",
        "versions": versions(),
        "places": {
            "images": str(folder_of(arguments.images)),
            **region_places(proposer),
        },
        "proposer": identity_of(proposer),
    }
    return Job(settings, proposer, partial(_job, arguments))


def propose_file(proposer: Proposer, *, image: Place, target: Place) -> Sequence[str]:
    """Write the region map of one image file."""
    from csl_plugin.io import read_image, write_region_map
    from csl_plugin.proposers.on_files import one_partition, propose_regions

    regions = propose_regions(proposer, read_image(image), image.stem)
    write_region_map(target, one_partition(regions).labels[0].cpu().numpy())
    return ()

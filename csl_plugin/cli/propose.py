"""`csl-plugin propose`: region maps of many images."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from csl_plugin.cli.answer import Answer
from csl_plugin.cli.arguments import place
from csl_plugin.cli.batch import ImageTask, Job, folder_of, run_tasks
from csl_plugin.cli.batch_report import Note, report
from csl_plugin.cli.fused.proposer_option import ONE, add_proposer_options, proposer_of
from csl_plugin.cli.jobs_option import add_jobs_option, jobs_of
from csl_plugin.cli.output_folder import output_folder
from csl_plugin.cli.shard_option import add_shard_option, shard_of_option
from csl_plugin.errors import OptionError
from csl_plugin.proposers.names import BUILT_IN, FIRST

if TYPE_CHECKING:
    from csl_plugin.places import Place
    from csl_plugin.proposers import Proposer


def add_parser(subparsers: Any) -> None:
    """Add the command and its arguments."""
    parser = subparsers.add_parser(
        "propose",
        usage="%(prog)s IMAGES OUT [options]",
        help="write the region map of every image",
        description="Write OUT/<stem>.png for every image: its region map as 16-bit gray PNG, ids from 0 "
        "and 65535 for unassigned pixels. A viewer shows such a file black; --overlays writes a picture "
        "beside it.\n\n"
        "OUT is new, empty or of the same command: what is done and unchanged is skipped.",
        examples=[
            "csl-plugin propose images regions --overlays",
            "csl-plugin propose images fine --proposer csl-tiny:5",
            "csl-plugin fuse images scores fused --proposer regions+fine    # the two in one fusion",
        ],
    )
    parser.add_argument(
        "images", metavar="IMAGES", type=place, help="a folder of images, or one image; a path or a URL"
    )
    parser.add_argument("out", metavar="OUT", type=place, help="the output folder, or its URL")
    parser.add_argument(
        "--overlays",
        action="store_true",
        help="also write OUT/overlays/<stem>.png: the regions over the image, a color each",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="remove what this command wrote to OUT, and start again; other files there stay",
    )
    add_proposer_options(parser, ONE)
    sharing = parser.add_argument_group("many images")
    add_jobs_option(sharing, "images")
    add_shard_option(sharing, "images")
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> Answer:
    """Run the command.

    Raises:
        OptionError: A name of several partitions; before anything is loaded.
    """
    _refuse_several(arguments.proposer or FIRST)
    shard = shard_of_option(arguments)
    jobs = jobs_of(arguments)  # before torch is imported, so that their processes import it meanwhile
    from csl_plugin.io import IMAGE_SUFFIXES, list_images, other_suffixes
    from csl_plugin.proposers.on_files import region_files, region_folders

    out: Place = arguments.out
    images = list_images(arguments.images)
    job = _job(arguments)
    tasks = []
    for stem, image in images.items():
        target = out / f"{image.stem}.png"
        read = (image, *region_files(job.tool, stem))
        picture = out / "overlays" / f"{image.stem}.png" if arguments.overlays else None
        work = partial(propose_file, image=image, target=target, picture=picture)
        tasks.append(ImageTask(image, work, (target,) if picture is None else (target, picture), read))
    folder = output_folder(out, job.settings, shard)
    inputs = [each.path for each in region_folders(job.tool)]
    outcome = run_tasks(job, folder, tasks, "propose", inputs, jobs=jobs, overwrite=arguments.overwrite)
    notes: dict[str, Note] = {
        "images": len(images),
        "skipped_images": other_suffixes(arguments.images, IMAGE_SUFFIXES),
    }
    made_with = {"proposer": arguments.proposer or FIRST}
    answer = report("propose", outcome, out, job.settings, made_with, notes)
    if arguments.overlays or not outcome.done:
        return answer
    look = "  a viewer shows these maps black: --overlays writes pictures beside them"
    return replace(answer, lines=[*answer.lines, look])


def _refuse_several(source: str) -> None:
    """Refuse a name of several partitions, of which a region map holds one.

    Raises:
        OptionError: It is one; the hint has the name of each.
    """
    if os.path.isdir(source):  # noqa: PTH112  # no name makes it raise
        return
    names = []
    for part in source.split("+"):
        kind, colon, scales = part.rpartition(":")
        has_scales = kind in BUILT_IN or os.path.isdir(kind)  # noqa: PTH112
        names += [f"{kind}{colon}{scale}" for scale in scales.split(",")] if has_scales else [part]
    if len(names) > 1:
        several = " and ".join(f"--proposer {each}" for each in names)
        hint = f"Run {several}, each with an OUT of its own, and join them: fuse --proposer OUT1+OUT2."
        got = f"{source}, which is {len(names)} partitions"
        raise OptionError("--proposer", got, "one: a region map holds one partition", hint)


def _job(arguments: argparse.Namespace) -> Job[Proposer]:
    """What one process needs to propose; nothing of it is sent to another."""
    from csl_plugin.io.job_settings import versions
    from csl_plugin.proposers.identity import identity_of
    from csl_plugin.proposers.on_files import refuse_several, region_places

    proposer = proposer_of(arguments, FIRST)
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


def propose_file(
    proposer: Proposer, *, image: Place, target: Place, picture: Place | None = None
) -> Sequence[str]:
    """Write the region map of one image file, and its picture if there is a path for it."""
    from csl_plugin.io import read_image, write_png, write_region_map
    from csl_plugin.proposers.on_files import one_partition, propose_regions
    from csl_plugin.viz import overlay

    pixels = read_image(image)
    regions = one_partition(propose_regions(proposer, pixels, image.stem))
    write_region_map(target, regions.labels[0].cpu().numpy())
    if picture is not None:
        write_png(picture, overlay(pixels, regions))
    return ()

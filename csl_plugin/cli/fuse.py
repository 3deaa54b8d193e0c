"""`csl-plugin fuse`: structure-constrained fusion of many score maps."""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from csl_plugin.cli.batch import ImageTask, folder_of, report, run_tasks
from csl_plugin.cli.proposer_option import PARTITIONS_HELP
from csl_plugin.errors import FileError, ShapeError
from csl_plugin.proposers.identity import identity_of
from csl_plugin.proposers.on_files import propose_regions, region_files, region_folders


def add_parser(subparsers: Any) -> None:
    """Add the command and its arguments."""
    parser = subparsers.add_parser(
        "fuse",
        help="fuse the score map of every image with its regions",
        description="For every image, fuse the score map of the same stem with the image's regions and write "
        "it to OUT/<stem>, in the format and element type of the input. Score maps are .npy, .npz, .hdf5 or "
        "8- or 16-bit gray .png, not negative, higher for more of the class. What was written before is "
        "skipped, unless its image, its score map or its region map changed since. OUT is a new or empty "
        "folder, or one that the same command with the same settings wrote.",
    )
    parser.add_argument("images", metavar="IMAGES", type=Path, help="a folder of images, or one image")
    parser.add_argument("scores", metavar="SCORES", type=Path, help="a folder of score maps, or one")
    parser.add_argument("out", metavar="OUT", type=Path, help="the output folder")
    parser.add_argument("--proposer", metavar="P", help=PARTITIONS_HELP)
    parser.add_argument(
        "--rule",
        choices=("product", "geometric", "mean", "trust"),
        help="region mean x score (eq. 3), its square root, which keeps the scale of the scores, the region "
        "mean alone, or a mean over regions, each weighted by how well it predicts its pixels (default: "
        "trust for several partitions, geometric for one)",
    )
    parser.add_argument(
        "--no-split", action="store_true", help="do not split regions into connected components"
    )
    parser.add_argument(
        "--calibration",
        metavar="FILE",
        type=Path,
        help="JSON file of a Calibration, applied before fusion; required for negative scores",
    )
    parser.add_argument("--overlays", action="store_true", help="also write OUT/overlays/<stem>.png")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="remove what this command wrote to OUT, and start again; other files there stay",
    )
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from csl_plugin import Calibration, load_proposer
    from csl_plugin.io import SCORE_SUFFIXES, files_by_stem, list_images
    from csl_plugin.io.job_settings import versions
    from csl_plugin.io.limits import as_file_error, check_file
    from csl_plugin.io.output_folder import OutputFolder

    out: Path = arguments.out
    images = list_images(arguments.images)
    scores = files_by_stem(arguments.scores, SCORE_SUFFIXES)
    if not scores:
        hint = "Pass the folder that holds the score maps themselves."
        raise FileError(
            str(arguments.scores), "a folder without a score map", ", ".join(SCORE_SUFFIXES), hint
        )
    calibration = digest = None
    if arguments.calibration is not None:
        check_file(arguments.calibration)
        with as_file_error(arguments.calibration, "the JSON file of a Calibration"):
            calibration = Calibration.load(arguments.calibration)
            digest = hashlib.sha256(arguments.calibration.read_bytes()).hexdigest()
    proposer = load_proposer(arguments.proposer)
    settings = {
        "command": "fuse",
        "versions": versions(),
        "images": str(folder_of(arguments.images)),
        "scores": str(folder_of(arguments.scores)),
        "rule": arguments.rule or "default",
        "split": not arguments.no_split,
        "proposer": identity_of(proposer),
        "calibration": digest,
    }
    fuser = Fuser(proposer, calibration, arguments.rule, not arguments.no_split)
    inputs = [folder.path for folder in region_folders(proposer)]
    inputs += [arguments.calibration] if arguments.calibration else []
    tasks: list[ImageTask] = []
    possible: list[Path] = []
    for stem, image in images.items():
        score = scores.get(stem)
        target = out / f"{stem}{score.suffix if score else ''}"
        picture = out / "overlays" / f"{stem}.png"
        work = partial(fuser.fuse_file, image, score, target, picture if arguments.overlays else None)
        needed = (target, picture) if arguments.overlays else (target,)
        read = (image, *([score] if score else []), *region_files(proposer, stem))
        tasks.append(ImageTask(image, work, needed if score else (), read))
        possible += needed if score else ()
        inputs += read
    inputs += scores.values()
    folder = OutputFolder(out, settings)
    with folder.taken(outputs=possible, inputs=inputs, shared=True, overwrite=arguments.overwrite):
        outcome = run_tasks(folder, tasks, "fuse")
    notes = {"images": len(images), "scores_without_image": len(scores.keys() - images.keys())}
    return report("fuse", outcome, out, settings, notes, arguments.json)


@dataclass(frozen=True)
class Fuser:
    """How the scores of every file are fused: the proposer and the options."""

    proposer: Any
    calibration: Any
    rule: Any
    split_components: bool

    def fuse_file(self, image: Path, score: Path | None, target: Path, picture: Path | None) -> None:
        """Fuse one score map and write it, and its overlay if there is a path for it.

        Raises:
            CSLError: A file is missing, unreadable or of another size, or the scores cannot be fused.
        """
        import numpy as np

        from csl_plugin import fuse, split_components
        from csl_plugin.io import read_image, read_score_file, write_png, write_scores
        from csl_plugin.io.orientation import check_orientation

        if score is None:
            hint = "Add the score map, or remove the image."
            raise FileError("SCORES", "no score map", f"one named {image.stem}", hint)
        pixels = read_image(image)
        values, storage = read_score_file(score)
        check_orientation(score.name, values.shape, image, pixels.shape)
        if values.shape[-2:] != pixels.shape[:2]:
            expected = f"the image's {pixels.shape[:2]}"
            hint = "Bring the scores to the size of the image first."
            raise ShapeError(score.name, f"size {values.shape[-2:]}", expected, hint)
        values = values if values.dtype == np.float64 else values.astype(np.float32)
        if self.calibration is not None:
            values = self.calibration(values)
        regions = propose_regions(self.proposer, pixels, image.stem)
        if self.split_components:
            regions = tuple(split_components(partition) for partition in regions)
        rule: Any = self.rule or ("trust" if len(regions) > 1 else "geometric")
        fused = fuse(values, regions, rule=rule, split=False)
        write_scores(target, fused, dtype=storage.dtype, key=storage.key, compressed=storage.compressed)
        if picture is not None:
            from csl_plugin.viz import overlay

            write_png(picture, overlay(pixels, regions[0].labels[0].cpu().numpy(), values, fused))

"""The options that say at which threshold objects are found."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from csl_plugin.cli.arguments import name, path
from csl_plugin.cli.streams import say
from csl_plugin.errors import OptionError
from csl_plugin.places import place_of

if TYPE_CHECKING:
    from csl_plugin.cli.fused.fused_maps import FusedMaps
    from csl_plugin.cli.fused.score_fusion import ScoreFusion
    from csl_plugin.objects import Threshold
    from csl_plugin.places import Place


def add_threshold_options(parser: Any) -> None:
    """Add --threshold, --fit-on and --false-objects.

    Args:
        parser: Of a command.
    """
    ways = parser.add_mutually_exclusive_group(required=True)
    ways.add_argument(
        "--threshold",
        metavar="FILE|VALUE",
        type=name,
        help="the file that `csl-plugin threshold fit` writes, or a number on the scale of the fused maps",
    )
    ways.add_argument(
        "--fit-on",
        metavar="DIR",
        type=path,
        help="fit it on DIR/images and DIR/scores first, frames without anomalies (with --valid also "
        "DIR/valid), and write OUT/threshold.json",
    )
    parser.add_argument(
        "--false-objects",
        metavar="N",
        type=float,
        help="with --fit-on: false objects per image, at most on average (default: 0.1)",
    )


def threshold_inputs(arguments: argparse.Namespace) -> list[Place]:
    """The file or the folders that the threshold is read from or fitted on."""
    folder: Place | None = arguments.fit_on
    if folder is not None:
        return [folder, *(folder / name for name in ("images", "scores", "valid"))]
    given: str = arguments.threshold
    return [place_of(given)] if _number(given) is None else []


def threshold_of(arguments: argparse.Namespace, source: ScoreFusion | FusedMaps, min_area: int) -> Threshold:
    """The threshold that the options name, which fits the source.

    Args:
        arguments: With the options.
        source: Makes the fused maps.
        min_area: As for `csl_plugin.find_objects`.

    Raises:
        FileError: Neither a number nor the file of a threshold; or no frames to fit one on.
        OptionError: A number that is not finite, or a threshold of maps or objects that were made otherwise.
        CSLError: The frames cannot be used, or nothing can be fitted on them.
    """
    from csl_plugin.cli.fused.fused_maps import settings_of_objects, unknown_settings
    from csl_plugin.objects import Threshold

    if arguments.fit_on is not None:
        return _fitted(arguments, source, min_area)
    if arguments.false_objects is not None:
        hint = "Omit it: a threshold that is given has a budget already."
        raise OptionError("--false-objects", "given with --threshold", "it with --fit-on", hint)
    given: str = arguments.threshold
    value = _number(given)
    if value is None:
        threshold = Threshold.load(given)
        threshold.check_made_with(settings_of_objects(source, min_area))
        if unknown := unknown_settings(threshold, source):
            say(
                f"warning: {given}: it holds for maps that were made as those of its fit, and nothing says "
                f"whether these were: {', '.join(unknown)}"
            )
        return threshold
    return Threshold.given(value)


def _number(given: str) -> float | None:
    """The number that a text is; None for the name of a file."""
    try:
        return float(given)
    except ValueError:
        return None


def _fitted(arguments: argparse.Namespace, source: ScoreFusion | FusedMaps, min_area: int) -> Threshold:
    from csl_plugin.cli.fused.fused_maps import FusedMaps, refuse_fused, settings_of_maps
    from csl_plugin.cli.fused.scored_images import scores_of
    from csl_plugin.cli.threshold.budget_fit import PER_IMAGE, fit_by_objects, refuse_maskless, refuse_missing
    from csl_plugin.io import list_images

    images = list_images(arguments.fit_on / "images")
    place = arguments.fit_on / "scores"
    scores = scores_of(place, images, alone=False)
    refuse_missing(place, images, scores, "score map")
    valid = source.valid.of_fit(arguments.fit_on) if source.valid else None
    refuse_maskless(valid, images)
    if isinstance(source, FusedMaps):
        normal = FusedMaps.of(place, source.proposer, split=source.split, valid=valid)
        if settings_of_maps(normal) != settings_of_maps(source):
            got, hint = "fused maps that were made otherwise than SCORES", "Fuse both in the same way."
            raise OptionError("--fit-on", got, "maps of the same settings", hint)
        source = normal
    else:
        refuse_fused(place)
        source = replace(source, valid=valid)
    _refuse_shared_regions(source, images, list_images(arguments.images))
    per_image = PER_IMAGE if arguments.false_objects is None else arguments.false_objects
    pairs = [(image, scores[stem]) for stem, image in images.items()]
    return fit_by_objects(source, pairs, per_image, min_area)


def _refuse_shared_regions(
    source: ScoreFusion | FusedMaps, frames: Mapping[str, Place], images: Mapping[str, Place]
) -> None:
    """Refuse region maps that would be taken for a frame and for another image of the same stem.

    Args:
        source: With the proposer.
        frames: That the threshold is fitted on, by stem.
        images: Whose objects are found, by stem.

    Raises:
        OptionError: There are such maps.
    """
    from csl_plugin.proposers.on_files import region_files

    for stem, frame in frames.items():
        found = region_files(source.proposer, stem)
        if found and stem in images and not _equal(frame, images[stem]):
            got = f"{found[0]} for both {frame} and {images[stem]}"
            hint = "Fit with csl-plugin threshold fit and the frames' own region maps, or rename the frames."
            raise OptionError("--fit-on", got, "region maps of one image each", hint)


def _equal(one: Place, other: Place) -> bool:
    """Whether two files hold the same."""
    from csl_plugin.io.opening import read_bytes

    try:
        return read_bytes(one) == read_bytes(other)
    except OSError:
        return False

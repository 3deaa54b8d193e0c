"""The options that say at which threshold objects are found."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from csl_plugin.cli.arguments import name, path

if TYPE_CHECKING:
    from csl_plugin.objects import Threshold

_FALSE_OBJECTS = 0.1


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
        help="the JSON file of a Threshold, as `csl-plugin threshold fit` writes it, or a number on the "
        "scale of the fused maps",
    )
    ways.add_argument(
        "--fit-on",
        metavar="DIR",
        type=path,
        help="fit the threshold on DIR/images and DIR/scores first, frames without anomalies; it is written "
        "to OUT/threshold.json",
    )
    parser.add_argument(
        "--false-objects",
        metavar="N",
        type=float,
        help="for --fit-on: so many false objects per image at the most, on average (default: "
        f"{_FALSE_OBJECTS})",
    )


def threshold_of(arguments: argparse.Namespace) -> Threshold:
    """The threshold that --threshold names.

    Raises:
        FileError: Neither a number nor the file of a threshold.
        OptionError: A number that is not finite.
    """
    from csl_plugin.objects import Threshold

    given: str = arguments.threshold
    try:
        value = float(given)
    except ValueError:
        return Threshold.load(given)
    return Threshold.given(value)

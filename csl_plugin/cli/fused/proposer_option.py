"""The options that choose the proposer of a command."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from csl_plugin.cli.arguments import name
from csl_plugin.proposers.names import DEFAULT, FIRST

if TYPE_CHECKING:
    from csl_plugin.proposers import Proposer

_SOURCES = (
    "where the regions come from: csl-tiny, csl-tiny-strict, csl-tiny-open or superpixels, such as "
    "superpixels:40 for regions of scale 40 (the larger, the coarser); a network's folder, or OWNER/NAME on "
    "the Hub; a folder of region maps (.png, .npz) or masks (.json) by image stem; a name that another "
    "package registered"
)
ONE = (
    f"{_SOURCES}. A region map is one partition of the image, so this names one (default: {FIRST}, the first "
    f"of the two of {DEFAULT}, which `fuse` takes)"
)
SEVERAL = f"{_SOURCES}. Several with :SCALE,SCALE or +, from coarse to fine (default: {DEFAULT})"


def add_proposer_options(parser: Any, description: str) -> None:
    """Add --proposer, --revision, --variant, --subfolder and --device.

    Args:
        parser: Of a command.
        description: `ONE` or `SEVERAL`.
    """
    group = parser.add_argument_group("regions")
    group.add_argument("--proposer", metavar="P", type=name, help=description)
    group.add_argument(
        "--revision", metavar="R", type=name, help="commit, tag or branch of a proposer on the Hub"
    )
    weights = "of a network's weights, such as fp16 for model.fp16.safetensors"
    group.add_argument("--variant", metavar="V", type=name, help=weights)
    inside = "folder of the network inside its folder or repository"
    group.add_argument("--subfolder", metavar="F", type=name, help=inside)
    where = "where the proposer's network computes, such as cuda (default: cpu)"
    group.add_argument("--device", metavar="D", type=name, help=where)


def proposer_of(arguments: argparse.Namespace, default: str = DEFAULT) -> Proposer:
    """The proposer that the options name.

    Raises:
        CSLError: As `csl_plugin.load_proposer`.
    """
    from csl_plugin.proposers import load_proposer

    chosen = arguments.proposer or default
    return load_proposer(
        chosen,
        revision=arguments.revision,
        variant=arguments.variant,
        subfolder=arguments.subfolder,
        device=arguments.device,
    )

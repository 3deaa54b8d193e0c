"""The options that choose the proposer of a command."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from csl_plugin.cli.arguments import name
from csl_plugin.proposers.names import DEFAULT

if TYPE_CHECKING:
    from csl_plugin.proposers import Proposer

_SOURCES = (
    "source of the regions: `csl-tiny` or `superpixels`, both with :SCALE for coarser or finer regions; a "
    "CSL network or a segmentation model of transformers: its folder (of a CSL network with :SCALE too), or "
    "OWNER/NAME on the Hub; a folder of "
    "region maps (.png or .npz) or masks (.json) by image stem; a name that another package registered"
)
ONE = (
    f"{_SOURCES}; one partition, because a file holds one (default: csl-tiny, the first of the two of "
    f"{DEFAULT}, which `fuse` takes by default)"
)
SEVERAL = (
    f"{_SOURCES}; several partitions with :SCALE,SCALE and + between them, from coarse to fine: the larger a "
    f"SCALE, the coarser (default: {DEFAULT})"
)


def add_proposer_options(parser: Any, description: str) -> None:
    """Add --proposer, --revision, --variant, --subfolder and --device.

    Args:
        parser: Of a command.
        description: `ONE` or `SEVERAL`.
    """
    parser.add_argument("--proposer", metavar="P", type=name, help=description)
    parser.add_argument(
        "--revision", metavar="R", type=name, help="commit, tag or branch of a proposer on the Hub"
    )
    weights = "of a network's weights, such as fp16 for model.fp16.safetensors"
    parser.add_argument("--variant", metavar="V", type=name, help=weights)
    inside = "folder of the network inside its folder or repository"
    parser.add_argument("--subfolder", metavar="F", type=name, help=inside)
    parser.add_argument(
        "--device", metavar="D", type=name, help="where the proposer's network computes, such as cuda (cpu)"
    )


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

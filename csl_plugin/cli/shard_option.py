"""The option that says which part of the images of a command this process does."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from csl_plugin.cli.arguments import name

if TYPE_CHECKING:
    from csl_plugin._shards import Shard


def add_shard_option(parser: Any, items: str) -> None:
    """Add --shard.

    Args:
        parser: Of a command.
        items: What the shards divide, such as "images".
    """
    parser.add_argument(
        "--shard",
        metavar="I/N",
        type=name,
        help=f"do part I of N equal parts of the {items}, on any machine, all into the same OUT; `auto`: as "
        "SLURM or torchrun number this process. Afterwards the same command without it joins the parts",
    )


def shard_of_option(arguments: argparse.Namespace) -> Shard | None:
    """The shard that the option names.

    Raises:
        OptionError: No shard, or variables that do not say which one.
    """
    from csl_plugin._shards import shard_of

    return None if arguments.shard is None else shard_of(arguments.shard)

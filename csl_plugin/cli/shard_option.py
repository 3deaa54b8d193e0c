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
        help=f"do part I of N equal parts of the {items}, 1/N to N/N, each in a process of its own, on any "
        "machine, all into the same OUT; `auto` takes it from the variables of a SLURM array, torchrun or "
        "srun, which are not read otherwise. Afterwards the same command without it joins the parts: it does "
        "what is missing, and writes what is made of all",
    )


def shard_of_option(arguments: argparse.Namespace) -> Shard | None:
    """The shard that the option names.

    Raises:
        OptionError: No shard, or variables that do not say which one.
    """
    from csl_plugin._shards import shard_of

    return None if arguments.shard is None else shard_of(arguments.shard)

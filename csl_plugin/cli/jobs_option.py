"""The option that says how many processes share the images of a command."""

from __future__ import annotations

import argparse
from typing import Any

from csl_plugin.cli.arguments import name
from csl_plugin.errors import OptionError

_AUTO = "auto"


def add_jobs_option(parser: Any, items: str) -> None:
    """Add --jobs.

    Args:
        parser: Of a command.
        items: What the processes share, such as "images".
    """
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=name,
        default="1",
        help=f"processes that share the {items}, or `{_AUTO}`: one a core. Results are the same; memory "
        "grows with N (default: %(default)s)",
    )


# What every job loads, most of it torch.
_LOADED = ("csl_plugin.cli.fused.score_fusion", "csl_plugin.proposers.csl_network", "csl_plugin.models")


def jobs_of(arguments: argparse.Namespace) -> int:
    """The number of processes that the option asks for; from here on they are prepared in the background.

    Raises:
        OptionError: Neither a number from 1 on nor auto.
    """
    from csl_plugin._processes import available_cores, import_early

    given: str = arguments.jobs
    jobs = available_cores() if given == _AUTO else _number(given)
    if jobs > 1:
        import_early(_LOADED)
    return jobs


def _number(given: str) -> int:
    if not (given.isascii() and given.isdigit() and len(given) < 6 and int(given) >= 1):
        hint = "Omit it for one process."
        raise OptionError("--jobs", repr(given), f"a number from 1 to 99999, or {_AUTO}", hint)
    return int(given)

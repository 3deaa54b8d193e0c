"""The command line: `csl-plugin` and its commands."""

from __future__ import annotations

import argparse
import json
import sys

from csl_plugin import __version__
from csl_plugin.cli import benchmark, demo, fuse, propose, train
from csl_plugin.cli import eval as evaluate
from csl_plugin.errors import CSLError

__all__ = ["main"]

_USAGE_ERROR, _INTERRUPTED = 2, 130


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments after the program's name; None for those of the process.

    Returns:
        The exit code: 0 success, 1 some files failed, 2 wrong usage, 130 stopped by Ctrl-C.

    Raises:
        SystemExit: From argparse, for `--help`, `--version` (code 0) and unknown arguments (code 2).
    """
    parser = argparse.ArgumentParser(
        prog="csl-plugin",
        description="Structure-constrained fusion of per-pixel scores with class-agnostic regions.",
    )
    parser.add_argument("--version", action="version", version=f"csl-plugin {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    for command in (fuse, propose, demo, evaluate, benchmark, train):
        command.add_parser(subparsers)
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help(sys.stderr)
        return _USAGE_ERROR
    try:
        code: int = arguments.run(arguments)
    except CSLError as error:
        print(f"csl-plugin {arguments.command}: error: {error}", file=sys.stderr)
        if getattr(arguments, "json", False):
            print(json.dumps({"command": arguments.command, "exit_code": _USAGE_ERROR, "error": str(error)}))
        return _USAGE_ERROR
    except KeyboardInterrupt:
        print(f"csl-plugin {arguments.command}: interrupted", file=sys.stderr)
        return _INTERRUPTED
    return code

"""The command line: `csl-plugin` and its commands."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib import import_module
from typing import TYPE_CHECKING

from csl_plugin._version import __version__
from csl_plugin.cli.advice import in_command_words
from csl_plugin.cli.answer import FAILED, INTERRUPTED, SUCCESS, USAGE_ERROR, Answer
from csl_plugin.cli.arguments import HelpAsked, Parser, UsageError, wants_json
from csl_plugin.cli.stopping import Stop, stoppable
from csl_plugin.cli.streams import plain_warnings, say, settled, write
from csl_plugin.errors import CSLError

if TYPE_CHECKING:
    import argparse

__all__ = ["main"]

_COMMANDS = (
    "demo", "app", "fuse", "propose", "objects", "threshold", "calibrate", "eval", "benchmark", "train",
    "export",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments after the program's name; None for those of the process.

    Returns:
        The exit code: 0 success, 1 some files failed, 2 wrong usage, 130 stopped by Ctrl-C, 143 by SIGTERM,
        141 where the reader of stdout has gone.

    Raises:
        SystemExit: From argparse, for `--help`, `--version` (code 0) and unknown arguments (code 2).
    """
    words = sys.argv[1:] if argv is None else list(argv)
    _share_cores()
    with settled(), stoppable() as stop:
        try:
            answer, as_json = _answer(words, stop)
        except UsageError as error:
            refused = _error(_command(words), USAGE_ERROR, error.message)
            write(refused, as_json=wants_json(words))
            raise
        except HelpAsked as asked:
            code = write(Answer(SUCCESS, {"help": asked.text}, asked.text.splitlines()), as_json=False)
            if code == SUCCESS:
                raise
            return code
        try:
            return write(answer, as_json=as_json)
        except KeyboardInterrupt:
            return stop.exit_code


def _share_cores() -> None:
    """Let threads sleep while they wait for each other, unless the environment says otherwise.

    Threads of OpenMP spin, and on cores that others use too each step then waits for one that is not running:
    up to four times the time. The variable is read once, when torch is loaded.
    """
    if "torch" not in sys.modules:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _answer(words: list[str], stop: Stop) -> tuple[Answer, bool]:
    """The answer, and whether it is to be JSON."""
    as_json = wants_json(words)
    try:
        parser = _parser()
        arguments = parser.parsed(words)
        if arguments.command is None:
            parser.print_help(sys.stderr)
            return _error("", USAGE_ERROR, "no command"), as_json
        as_json = arguments.json
        return _run(arguments, stop), as_json
    except KeyboardInterrupt:
        return _interrupted(_command(words), stop), as_json


def _command(words: list[str]) -> str:
    return next((word for word in words if word in _COMMANDS), "")


def _run(arguments: argparse.Namespace, stop: Stop) -> Answer:
    command = arguments.command
    try:
        # Stdout is for the answer; a model that prints must not mix with it.
        with redirect_stdout(sys.stderr), plain_warnings():
            answer: Answer = arguments.run(arguments)
    except CSLError as error:
        if stop.signal is not None:  # an import that was interrupted may fail in any way
            return _interrupted(command, stop)
        options = [given.partition("=")[0] for given in getattr(arguments, "option", ())]
        return _said(_error(command, USAGE_ERROR, str(in_command_words(error, command, options))))
    except SystemExit as error:
        message = f"a model ended the program with the code {error.code}"
        return _said(_error(command, FAILED, message))
    except Exception as error:
        if stop.signal is not None:
            return _interrupted(command, stop)
        return _said(_error(command, *_of_other(error)))
    if answer.exit_code == INTERRUPTED and stop.signal is not None:
        return Answer(stop.exit_code, answer.facts, answer.lines)
    return answer


def _of_other(error: Exception) -> tuple[int, str]:
    """Exit code and message of an exception that is none of the package's."""
    reason = " ".join(str(error).split())[:300]
    if isinstance(error, OSError) and error.filename is not None:
        return USAGE_ERROR, f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError):
        return FAILED, f"not enough memory. {reason}".strip()
    last = traceback.extract_tb(error.__traceback__)[-1]
    return FAILED, f"{type(error).__name__}: {reason} ({last.filename}:{last.lineno}). Please report this."


def _error(command: str, exit_code: int, message: str) -> Answer:
    return Answer(exit_code, {"command": command or None, "error": message, "interrupted": False})


def _said(answer: Answer) -> Answer:
    say(f"csl-plugin {answer.facts['command']}: error: {answer.facts['error']}")
    return answer


def _interrupted(command: str, stop: Stop) -> Answer:
    say(f"csl-plugin {command}: interrupted")
    facts = {"command": command or None, "error": "interrupted", "interrupted": True}
    return Answer(stop.exit_code, facts)


def _parser() -> Parser:
    parser = Parser(
        prog="csl-plugin",
        description="Fuse the per-pixel scores of a segmentation model with the regions of its images.",
        examples=[
            "csl-plugin demo                                   # one picture, made in seconds",
            "csl-plugin fuse images scores fused --overlays    # folders of images and of score maps",
            "csl-plugin fuse --help                            # the options of a command",
        ],
    )
    parser.add_argument("-V", "--version", action="version", version=f"csl-plugin {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    for command in _COMMANDS:
        import_module(f"csl_plugin.cli.{command}").add_parser(subparsers)
    return parser

"""The parser of the command line, and the types of its arguments."""

from __future__ import annotations

import argparse
import errno
import os
import shutil
import textwrap
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NoReturn

from csl_plugin._nearest import did_you_mean
from csl_plugin.errors import OptionError
from csl_plugin.places import Place, is_url, place_of


class UsageError(SystemExit):
    """Arguments that the parser refuses, with its message; the code is 2."""

    def __init__(self, message: str) -> None:
        super().__init__(2)
        self.message = message


class HelpAsked(SystemExit):
    """--help or --version, with its text; the code is 0."""

    def __init__(self, text: str) -> None:
        super().__init__(0)
        self.text = text


class Parser(argparse.ArgumentParser):
    """A parser that raises what argparse prints, which ignores a stdout that cannot be written."""

    def __init__(self, *, description: str = "", examples: Sequence[str] = (), **given: Any) -> None:
        width = shutil.get_terminal_size().columns - 2
        paragraphs = [textwrap.fill(text, width) for text in description.split("\n\n")]
        super().__init__(
            description="\n\n".join(paragraphs),
            epilog="\n  ".join(["examples:" if examples[1:] else "example:", *examples])
            if examples
            else None,
            formatter_class=_formatter,
            **given,
        )

    def parse_known_args(  # type: ignore[override]  # argparse's own signature is overloaded
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """The arguments; words that nobody takes are refused by the parser of their own command."""
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            option = rest[0].partition("=")[0]
            known = self._option_string_actions if option.startswith("-") else ()
            self.error(f"unrecognized arguments: {' '.join(rest)}{suggestion(option, known)}")
        return found, []

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse what is no choice, with the choice that is nearest."""
        if action.choices is not None and value not in action.choices:
            names = [str(choice) for choice in action.choices]
            expected = f"{', '.join(names[:-1])} or {names[-1]}"
            raise argparse.ArgumentError(
                action, f"got {value!a}, expected {expected}{suggestion(value, names)}"
            )

    def parsed(self, words: Sequence[str]) -> argparse.Namespace:
        """The arguments.

        Raises:
            UsageError: Words that the parser refuses.
            HelpAsked: --help or --version.
        """
        with redirect_stdout(StringIO()) as printed:
            try:
                return self.parse_args(words)
            except UsageError:
                raise
            except SystemExit as error:
                raise HelpAsked(printed.getvalue()) from error

    def error(self, message: str) -> NoReturn:
        """Print usage and message on stderr.

        Raises:
            UsageError: Always.
        """
        try:
            super().error(message)
        except SystemExit as error:
            raise UsageError(message) from error


def _formatter(prog: str) -> argparse.HelpFormatter:
    """Keeps the lines of descriptions and examples, and leaves room for the names of commands."""
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=26)


def suggestion(given: Any, names: Iterable[str]) -> str:
    """The end of an error: the known name that is nearest to an unknown one; nothing where none is near."""
    near = did_you_mean(str(given), names)
    return f". {near}" if near else ""


def name(text: str) -> str:
    """A name that can be one of a file.

    Raises:
        argparse.ArgumentTypeError: Empty, too long, or with characters that no file name can have.
    """
    if not text:
        raise argparse.ArgumentTypeError("got an empty name, expected a name; . is the current folder")
    if "\0" in text:
        raise argparse.ArgumentTypeError("got a NUL character in a name, expected the name of a file")
    try:
        os.lstat(text)
    except UnicodeEncodeError:
        message = f"got {text!a}, expected a name that the file system can encode"
        raise argparse.ArgumentTypeError(message) from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            message = f"got {len(text)} characters ({text[:20]}...), which is too long for the name of a file"
            raise argparse.ArgumentTypeError(message) from None
    return text


def path(text: str) -> Path:
    """A path of this machine.

    Raises:
        argparse.ArgumentTypeError: As `name`, or a URL of another place.
    """
    if not is_url(text):
        return Path(name(text))
    found = place(text)
    if isinstance(found, Path):
        return found
    raise argparse.ArgumentTypeError(f"got {found}, expected a path of this machine; copy it first")


def place(text: str) -> Place:
    """A path, or the URL of a file or a folder.

    Raises:
        argparse.ArgumentTypeError: As `name`, or a URL that is not read.
    """
    if not is_url(text):
        return Path(name(text))
    try:
        return place_of(text)
    except OptionError as error:
        raise argparse.ArgumentTypeError(
            f"got {error.got}, expected {error.expected}. {error.hint}"
        ) from None


def wants_json(words: Sequence[str]) -> bool:
    """Whether words that the parser did not read hold --json, or a beginning of it."""
    return any(len(word) > 2 and "--json".startswith(word) for word in words)

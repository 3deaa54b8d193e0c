"""The parser of the command line, and the types of its arguments."""

from __future__ import annotations

import argparse
import errno
import os
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import NoReturn

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

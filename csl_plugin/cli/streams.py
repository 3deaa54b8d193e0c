"""Stdout and stderr, which may be a closed pipe, a full disk or not there at all."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from pathlib import Path
from typing import IO

from csl_plugin.cli.answer import FAILED, Answer

_BROKEN_PIPE = 141  # what a shell reports for a program that SIGPIPE ended, as of other Unix programs


def say(text: str) -> None:
    """Print a message on stderr, beside a progress bar; where stderr cannot be written it is dropped."""
    with suppress(OSError, ValueError):
        if "tqdm" in sys.modules:
            sys.modules["tqdm"].tqdm.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr)


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Warnings of Python are one line in the block, without the place in the code."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        say(f"warning: {' '.join(str(message).split())}")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def write(answer: Answer, *, as_json: bool) -> int:
    """Print an answer on stdout.

    Characters that the terminal cannot show, as in file names, are escaped.

    Returns:
        Its exit code; 141 where the reader of a pipe has gone, and 1 where stdout cannot be written.
    """
    lines = answer.lines
    if not (answer.of_shard or _is_first()):
        return answer.exit_code
    if as_json:
        # ASCII only, so any file name can be printed.
        lines = [json.dumps({**answer.facts, "exit_code": answer.exit_code}, allow_nan=False)]
    if not answer.facts:
        return answer.exit_code
    if sys.stdout is None:
        say("csl-plugin: error: stdout is closed, so there is no result")
        return answer.exit_code or FAILED
    encoding = sys.stdout.encoding or "ascii"
    try:
        for line in lines:
            print(line.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        return _BROKEN_PIPE
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        say(f"csl-plugin: error: stdout cannot be written: {reason}")
        return answer.exit_code or FAILED
    return answer.exit_code


def _is_first() -> bool:
    """Whether this process answers for all that torchrun started."""
    return os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("RANK", "0") == "0"


@contextmanager
def settled() -> Iterator[None]:
    """Leave both streams so that the interpreter can flush them at its end.

    What they cannot take is dropped: Python would print a traceback and change the exit code.
    """
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        # print(file=None) would write to stdout.
        with redirect_stderr(sys.stderr if sys.stderr is not None else nowhere):
            yield
        for stream in (sys.stdout, sys.stderr):
            _settle(stream, nowhere)


def _settle(stream: IO[str] | None, nowhere: IO[str]) -> None:
    if stream is None:
        return
    try:
        stream.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.dup2(nowhere.fileno(), stream.fileno())

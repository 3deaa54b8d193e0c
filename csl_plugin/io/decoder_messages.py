"""What image libraries print on stderr about damaged files, caught so that the file can be named."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from tempfile import TemporaryFile
from typing import IO

_STDERR = 2
_LIBJPEG = re.compile(
    r"(Corrupt JPEG data|Premature end of JPEG file|Inconsistent progression sequence|Invalid SOS parameters"
    r"|Warning: unknown JFIF revision number|Invalid crop request|Bogus )"
)


@contextmanager
def caught_messages(found: list[str]) -> Iterator[None]:
    r"""Add what libjpeg prints to a list; all else that is printed meanwhile goes to stderr at the end.

    libjpeg goes on after damage that leaves the number of blocks right, and prints a line that names no
    file. The stream belongs to the process: use it where one file after another is read, not in threads.

    Args:
        found: Messages are added to it, each once.

    Example:
        >>> import os
        >>> found = []
        >>> with caught_messages(found):
        ...     _ = os.write(2, b"Premature end of JPEG file\n")  # as libjpeg does
        >>> found
        ['Premature end of JPEG file']
    """
    with ExitStack() as stack:
        try:
            printed = stack.enter_context(TemporaryFile())
            kept = os.dup(_STDERR)
        except OSError:  # no room for a file, or stderr is closed
            yield
            return
        stack.callback(os.close, kept)
        _flush()
        os.dup2(printed.fileno(), _STDERR)
        try:
            yield
        finally:
            _flush()
            os.dup2(kept, _STDERR)
            printed.seek(0)
            _sort(printed, found)


def _sort(printed: IO[bytes], found: list[str]) -> None:
    with suppress(OSError), open(_STDERR, "wb", closefd=False) as stream:  # /dev/full
        for line in printed:
            text = line.decode("utf-8", "replace").strip()
            if not _LIBJPEG.match(text):
                stream.write(line)
            elif text not in found:
                found.append(text)


def _flush() -> None:
    with suppress(OSError, ValueError, AttributeError):  # closed, or None
        sys.stderr.flush()

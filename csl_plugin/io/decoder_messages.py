"""What image libraries print on stderr about damaged files, caught so that the file can be named."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from tempfile import TemporaryFile

_STDERR = 2
_LIBJPEG = re.compile(
    r"(Corrupt JPEG data|Premature end of JPEG file|Inconsistent progression sequence|Invalid SOS parameters"
    r"|Warning: unknown JFIF revision number|Invalid crop request|Bogus )"
)
_LONGEST = 1 << 20


@contextmanager
def caught_messages(found: list[str]) -> Iterator[None]:
    """Add what libjpeg prints to a list; all else that is printed meanwhile goes to stderr at the end.

    libjpeg goes on after damage that leaves the number of blocks right, and prints a line that names no
    file. The stream belongs to the process: use it where one file after another is read, not in threads.

    Args:
        found: Messages are added to it, each once.

    Example:
        >>> found = []
        >>> with caught_messages(found):
        ...     pass  # read an image
        >>> found
        []
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
            _sort(printed.read(_LONGEST), found)


def _sort(printed: bytes, found: list[str]) -> None:
    rest = []
    for line in printed.splitlines(keepends=True):
        text = line.decode("utf-8", "replace").strip()
        if not _LIBJPEG.match(text):
            rest.append(line)
        elif text not in found:
            found.append(text)
    with suppress(OSError):  # /dev/full
        if rest:
            os.write(_STDERR, b"".join(rest))


def _flush() -> None:
    with suppress(OSError, ValueError, AttributeError):  # closed, or None
        sys.stderr.flush()

"""Files that git stores elsewhere: without `git lfs`, a checkout holds a few lines in their place."""

from __future__ import annotations

from pathlib import Path

from csl_plugin.errors import FileError

_START = b"version https://git-lfs.github.com/spec/"
_LONGEST = 1024


def refuse_pointer(path: Path, size: int) -> None:
    """Refuse a pointer of Git LFS in place of a file.

    Args:
        path: Of the file.
        size: Its bytes; only a short file is opened.

    Raises:
        FileError: It is one.
    """
    if not len(_START) <= size < _LONGEST:
        return
    try:
        with path.open("rb") as file:
            start = file.read(len(_START))
    except OSError:  # the reader says why
        return
    if start == _START:
        hint = "Fetch it with: git lfs pull"
        raise FileError(str(path), "a pointer of Git LFS", "the file itself", hint)

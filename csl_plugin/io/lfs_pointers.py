"""Files that git stores elsewhere: without `git lfs`, a checkout holds a few lines in their place."""

from __future__ import annotations

from pathlib import Path

from csl_plugin.errors import FileError
from csl_plugin.places import Place

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
    refuse_start(path, start, size)


def refuse_start(place: Place, start: bytes, size: int) -> None:
    """As `refuse_pointer`, by the first bytes of a file; 64 are enough.

    Raises:
        FileError: They are those of a pointer.
    """
    if size < _LONGEST and start.startswith(_START):
        hint = "Fetch it with: git lfs pull"
        raise FileError(str(place), "a pointer of Git LFS", "the file itself", hint)

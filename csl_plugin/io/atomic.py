"""Atomic writes: a file is written completely or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from csl_plugin.errors import CSLError, FileError
from csl_plugin.places import AnyPath, RemotePath, place_of

TEMPORARY = ".csl-plugin-*.tmp"
"""The names of the temporary files; those of a process that was killed stay."""


@contextmanager
def as_write_error(target: AnyPath) -> Iterator[None]:
    """Convert an error of the system into a FileError that names what cannot be written."""
    try:
        yield
    except CSLError:
        raise
    except OSError as error:
        got = error.strerror or str(error)
        hint = "Check that the folder can be written and that the disk has room."
        raise FileError(str(target), got, "a writable path", hint) from error


@contextmanager
def atomic_path(target: AnyPath) -> Iterator[Path]:
    """A temporary path in the target's folder; it replaces the target when the block succeeds.

    The folder is created. On success the file is synced to disk and renamed to the target. On any error,
    Ctrl-C included, it is removed and the target is left as it was. The temporary name starts with a dot,
    ends in `.tmp` and is unique, so threads and processes do not collide.

    For a URL the path is in a temporary folder, and the file becomes an object when the block succeeds.

    Args:
        target: The final path of the file, or its URL.

    Yields:
        The path to write to.

    Raises:
        FileError: The folder or the file cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with atomic_path(f"{folder}/new/a.txt") as path:
        ...         _ = path.write_text("whole")
        ...     print(*(file.name for file in Path(folder, "new").iterdir()))
        a.txt
    """
    target = place_of(target)
    if isinstance(target, RemotePath):
        with _uploaded(target) as temporary:
            yield temporary
        return
    if not _names_a_file(target):
        raise FileError(ascii(str(target)), "a name that no file can have", "a path", "Check the name.")
    temporary = target.with_name(f".csl-plugin-{uuid4().hex}.tmp")
    try:
        with as_write_error(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(target)
    finally:
        with suppress(OSError):  # renamed, or never created; do not hide the original error
            temporary.unlink()


def remove_temporary(folders: Iterable[Path]) -> None:
    """Remove the temporary files that killed processes left in folders, where nobody is at work."""
    for folder in folders:
        for left in folder.glob(TEMPORARY):
            with suppress(OSError):
                left.unlink()


@contextmanager
def _uploaded(target: RemotePath) -> Iterator[Path]:
    from csl_plugin.io.remote import put

    with TemporaryDirectory(prefix="csl-plugin-") as folder:
        temporary = Path(folder, target.name)
        with as_write_error(target):
            yield temporary
        put(target, temporary)


def _names_a_file(path: Path) -> bool:
    """Whether the system can have a file of this name, wherever it is."""
    try:
        return bool(path.name) and b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:  # half of a surrogate pair
        return False

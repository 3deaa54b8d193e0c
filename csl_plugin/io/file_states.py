"""Whether files are as they were: their size, their time and, where asked for, their content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from csl_plugin.errors import FileError
from csl_plugin.places import Place, RemotePath

_CHUNK = 1 << 20
_WHOLE, _SAMPLES, _SAMPLE = 256 << 10, 64, 1 << 10


@dataclass(frozen=True, slots=True)
class FileState:
    """A file as it was when it was written. A link is itself, not what it leads to.

    Args:
        size: In bytes.
        mtime_ns: Time of its last change.
        sha256: Of its content, where it was recorded.
    """

    size: int
    mtime_ns: int
    sha256: str | None = None

    @staticmethod
    def of(path: Path) -> FileState:
        """The size and the time of a file.

        Raises:
            OSError: It is missing.
        """
        status = path.lstat()
        return FileState(status.st_size, status.st_mtime_ns)

    def is_that_of(self, path: Path) -> bool:
        """Whether the file is still as it was."""
        try:
            status = path.lstat()
            if (status.st_size, status.st_mtime_ns) != (self.size, self.mtime_ns):
                return False
            return self.sha256 is None or self.sha256 == sha256_of(path)
        except OSError:
            return False


def file_states(paths: Iterable[Place]) -> str:
    """Name, size and modification time of the files that something is made from, as JSON.

    Raises:
        OSError: One of them is missing.
    """
    found: list[list[str | int | None]] = []
    for path in paths:
        if isinstance(path, RemotePath):
            found.append(_object_state(path))
            continue
        status = path.stat()
        found.append([path.name, status.st_size, status.st_mtime_ns])
    return json.dumps(found, separators=(",", ":"))


def sampled_states(paths: Iterable[Place]) -> str:
    """As `file_states`, with a digest of each file's content: whole, or of samples from all over a large one.

    Score maps of two methods have the same names and sizes, and the same time where an archive stores none.
    Of an object it is what its store says: the size, and the ETag or the time.

    Raises:
        OSError: One of them is missing, or cannot be read.
    """
    found: list[list[str | int | None]] = []
    for path in paths:
        if isinstance(path, RemotePath):
            found.append(_object_state(path))
            continue
        status = path.stat()
        found.append([path.name, status.st_size, status.st_mtime_ns, _sampled(path, status.st_size)])
    return json.dumps(found, separators=(",", ":"))


def _object_state(path: RemotePath) -> list[str | int | None]:
    from csl_plugin.io.remote import look_up

    listed = path.listed
    if listed is None or listed.size is None:
        listed = look_up(path)
    if listed is None:
        raise FileError(str(path), "nothing there", "a file", "Check the URL.")
    # Where a store says neither ETag nor time, an object may have changed each time that it is asked.
    return [path.name, listed.size, listed.tag or uuid4().hex]


def _sampled(path: Path, size: int) -> str | None:
    if not path.is_file():  # a pipe would be waited for
        return None
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        if size <= _WHOLE:
            digest.update(file.read(_WHOLE))
        else:
            for number in range(_SAMPLES):
                file.seek((size - _SAMPLE) * number // (_SAMPLES - 1))
                digest.update(file.read(_SAMPLE))
    return digest.hexdigest()[:32]


def sha256_of(path: Path) -> str:
    """The sha256 of a file's content.

    Raises:
        OSError: It cannot be read.
    """
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()

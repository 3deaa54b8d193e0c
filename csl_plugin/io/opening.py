"""Files opened within limits, wherever they are: a file of this machine as it is, an object fetched whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from csl_plugin.io.lfs_pointers import refuse_start
from csl_plugin.io.limits import MAX_BYTES, check_file
from csl_plugin.places import Place


@contextmanager
def opened(place: Place, most: int = MAX_BYTES) -> Iterator[tuple[IO[bytes], int]]:
    """A file to read and seek in, and its size in bytes.

    Args:
        place: The file.
        most: The largest size that is accepted.

    Raises:
        FileError: It is missing, no regular file, larger than `most`, or a pointer of Git LFS; or its store
            does not give it.
        MissingExtraError: The package of its store is not installed.
    """
    if isinstance(place, Path):
        size = check_file(place, most)
        with place.open("rb") as file:
            yield file, size
        return
    from csl_plugin.io.remote import fetched

    with fetched(place, most) as (fetched_file, size):
        refuse_start(place, fetched_file.read(64), size)
        fetched_file.seek(0)
        yield fetched_file, size


def read_bytes(place: Place, most: int = MAX_BYTES) -> bytes:
    """The content of a file; as `opened`."""
    with opened(place, most) as (file, _):
        return file.read()

"""Where files are: a path of this machine, or a URL."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TypeAlias

from csl_plugin.errors import OptionError
from csl_plugin.places.url import RemotePath, is_url, url_shown

Place: TypeAlias = "Path | RemotePath"
"""A file or a folder."""

AnyPath: TypeAlias = "str | os.PathLike[str] | RemotePath"
"""What names a file or a folder."""

SCHEMES = ("memory", "http", "https", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
"""Of the stores; `file` is a path of this machine."""


def place_of(path: AnyPath) -> Place:
    """The place that a path or a URL names.

    Raises:
        OptionError: A URL of a scheme that is not read, or of several in one another.

    Example:
        >>> place_of("s3://bucket/a.png"), place_of("file:///tmp/a.png").as_posix()
        (RemotePath('s3://bucket/a.png'), '/tmp/a.png')
    """
    if isinstance(path, RemotePath):
        return path
    text = os.fspath(path)
    if not isinstance(text, str) or not is_url(text):
        return Path(text)
    scheme, _, rest = text.partition("://")
    scheme = scheme.lower()
    if scheme == "file" and re.match("/[^/]", rest):
        return Path(rest)
    if scheme not in SCHEMES or "::" in text or not rest.strip("/"):
        got = url_shown(re.sub(r"[?#].*", "?***", text, flags=re.DOTALL))
        expected = "a path, file:///PATH, or a URL that starts with one of " + ", ".join(SCHEMES)
        raise OptionError("url", repr(got[:200]), expected, "Copy or mount what is elsewhere.")
    path = RemotePath(f"{scheme}://{rest}")
    if not path.is_plain:
        raise OptionError("url", f"the name {path.name!r}", "the name of a file or a folder", "Rename it.")
    return path


def local_path(path: AnyPath, argument: str) -> Path:
    """The path of a file or folder of this machine.

    Args:
        path: Of it.
        argument: What an error calls it.

    Raises:
        OptionError: A URL of another place; as a path it would name a folder such as `s3:` here.

    Example:
        >>> local_path("file:///tmp/a.png", "image").as_posix()
        '/tmp/a.png'
    """
    place = place_of(path)
    if isinstance(place, RemotePath):
        hint = "Copy it first, or write here and copy that."
        raise OptionError(argument, str(place), "a path of this machine", hint)
    return place


def is_folder_place(place: Place) -> bool:
    """Whether a place is a folder; of a URL what names no file is one."""
    return not place.names_a_file if isinstance(place, RemotePath) else place.is_dir()


def is_file_place(place: Place) -> bool:
    """Whether a place is one file; of a URL its last part says so, by a suffix."""
    return place.names_a_file if isinstance(place, RemotePath) else place.is_file()

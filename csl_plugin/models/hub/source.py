"""Where a network's files come from: a folder, or a repository on the Hub."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from csl_plugin.errors import FileError, OptionError
from csl_plugin.models.hub.repository import AbsentFileError, Repository, checked

Origin = Callable[[str, int], Path]
"""From a file's name and its largest allowed size in bytes to its path on this machine."""


def origin(
    source: str | os.PathLike[str],
    *,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
    local_files_only: bool = False,
    token: str | bool | None = None,
) -> Origin:
    """The files of a folder, or of a repository on the Hub where there is no such folder.

    All files of a repository come from the commit of the first one. Files that the Hub stores by their
    SHA-256 are compared with it each time they are requested.

    Args:
        source: A folder, or OWNER/NAME.
        revision: A commit, tag or branch; only on the Hub.
        cache_dir: The folder of downloads; by default huggingface_hub's cache.
        force_download: Download even what is in the cache.
        local_files_only: Use only the cache.
        token: For the Hub; by default the one that `hf auth login` stored.

    Raises:
        OptionError: A revision of a folder, or two options that exclude each other.
        FileError: Nothing is there; for a repository it is raised by the first request.
    """
    if force_download and local_files_only:
        got = "force_download and local_files_only"
        raise OptionError("force_download", got, "one of them", "Omit local_files_only.")
    path = Path(source)
    if path.is_dir():
        if revision is not None:
            hint = "Omit it: a folder holds one version."
            raise OptionError("revision", repr(revision), "None for a folder", hint)
        return lambda name, largest: checked(path / name, largest)
    if path.exists() or not isinstance(source, str) or path.is_absolute() or source.startswith((".", "~")):
        got = "a file" if path.exists() else "nothing there"
        raise FileError(str(source), got, "a folder, or OWNER/NAME on the Hub", "Check the path.")
    return Repository(source, revision, cache_dir, force_download, local_files_only, token)


def optional(files: Origin, name: str, largest: int) -> Path | None:
    """The path of a file that may be missing; None where it is.

    Raises:
        FileError: It is too large, or the Hub does not say whether it is there.
    """
    try:
        path = files(name, largest)
    except AbsentFileError:
        return None
    return path if path.exists() else None

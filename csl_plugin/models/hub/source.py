"""Where a network's files come from: a folder, or a repository on the Hub."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from csl_plugin.arrays import shown
from csl_plugin.errors import FileError, OptionError
from csl_plugin.models.hub.names import checked_subfolder
from csl_plugin.models.hub.repository import AbsentFileError, Repository, checked
from csl_plugin.places import local_path


class Origin(Protocol):
    """The files of one network; called with a file's name and its largest allowed size in bytes."""

    def __call__(self, name: str, largest: int) -> Path:
        """The path of a file on this machine; in a folder it may be missing."""

    def names(self) -> list[str]:
        """The names of all files; none where they are not known."""

    def of(self, name: str) -> str:
        """A file for a message."""

    @property
    def commit(self) -> str | None:
        """The commit of the files, once one was asked for; None for a folder."""


class Folder:
    """The files of a folder: nothing outside this machine is asked.

    Args:
        path: Of the folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, name: str, largest: int) -> Path:
        """The path of a file, which may be missing.

        Raises:
            FileError: It is too large.
        """
        return checked(self._path / name, largest)

    def names(self) -> list[str]:
        """The names of all files."""
        return [file.name for file in self._path.glob("*")]

    def of(self, name: str) -> str:
        """A file for a message."""
        return str(self._path / name)

    @property
    def commit(self) -> None:
        """None: a folder holds one version."""
        return


class Subfolder:
    """The files of a folder inside a repository.

    Args:
        files: Of the repository.
        name: Of the folder, a checked one.
    """

    def __init__(self, files: Origin, name: str) -> None:
        self._files, self._prefix = files, f"{name}/"

    def __call__(self, name: str, largest: int) -> Path:
        """The path of a file on this machine.

        Raises:
            FileError: As the repository does.
        """
        return self._files(self._prefix + name, largest)

    def names(self) -> list[str]:
        """The names of all files in the folder; none where they are not known."""
        inside = (name for name in self._files.names() if name.startswith(self._prefix))
        return [name.removeprefix(self._prefix) for name in inside]

    def of(self, name: str) -> str:
        """A file for a message."""
        return self._files.of(self._prefix + name)

    @property
    def commit(self) -> str | None:
        """That of the repository."""
        return self._files.commit


def origin(
    source: str | os.PathLike[str],
    *,
    subfolder: str | None = None,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
    local_files_only: bool = False,
    token: str | bool | None = None,
) -> Origin:
    """The files of a folder, or of a repository on the Hub where there is no such folder.

    All files of a repository come from the commit of the first one.

    Args:
        source: A folder, or OWNER/NAME.
        subfolder: A folder in it, where the files are.
        revision: A commit, tag or branch; only on the Hub.
        cache_dir: The folder of downloads; by default huggingface_hub's cache.
        force_download: Download even what is in the cache.
        local_files_only: Use only the cache.
        token: For the Hub; by default the one that `hf auth login` stored.

    Raises:
        OptionError: A revision of a folder, one that is none, a subfolder that is no path inside, or two
            options that exclude each other.
        FileError: Nothing is there; for a repository it is raised by the first request.
    """
    if force_download and local_files_only:
        got = "force_download and local_files_only"
        raise OptionError("force_download", got, "one of them", "Omit local_files_only.")
    if not isinstance(source, (str, os.PathLike)):
        raise OptionError("source", shown(source), "a folder, or OWNER/NAME on the Hub", "Pass its path.")
    if cache_dir is not None and not isinstance(cache_dir, (str, os.PathLike)):
        raise OptionError("cache_dir", shown(cache_dir), "a folder", "Omit it for huggingface_hub's cache.")
    inner = checked_subfolder(subfolder)
    path = local_path(source, "source")
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except (OSError, ValueError) as error:  # a name that is too long, or with a NUL
        raise FileError(
            shown(str(source)), "no path", "a folder, or OWNER/NAME on the Hub", "Check it."
        ) from error
    if is_folder:
        if revision is not None:
            hint = "Omit it: a folder holds one version."
            raise OptionError("revision", repr(revision), "no revision of a folder", hint)
        return Folder(path if inner is None else path / inner)
    if exists or not isinstance(source, str) or path.is_absolute() or source.startswith((".", "~")):
        got = "a file" if exists else "nothing there"
        raise FileError(str(source), got, "a folder, or OWNER/NAME on the Hub", "Check the path.")
    files = Repository(source, revision, cache_dir, force_download, local_files_only, token)
    return files if inner is None else Subfolder(files, inner)


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

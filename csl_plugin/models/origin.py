"""Where a network's files come from: a folder, or a repository on the Hub."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from csl_plugin.errors import FileError, OptionError
from csl_plugin.files.limits import check_file

Origin = Callable[[str, int], Path]
"""From a file's name and the most bytes that it may have to where it lies on this machine."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 20


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

    All files of a repository come from one commit: the one that the first file came from. Files that the Hub
    stores by their SHA-256 are compared with it every time they are asked for.

    Args:
        source: A folder, or OWNER/NAME.
        revision: A commit, tag or branch; only on the Hub.
        cache_dir: Where downloads are kept; huggingface_hub's cache if left out.
        force_download: Download what is in the cache, too.
        local_files_only: Ask the cache alone.
        token: For the Hub; what `hf auth login` stored if left out.

    Raises:
        OptionError: A revision of a folder, or two options that contradict each other.
        FileError: Nothing is there; raised when a file is asked for if it is the Hub that says so.
    """
    if force_download and local_files_only:
        got = "force_download and local_files_only"
        raise OptionError("force_download", got, "one of them", "Leave local_files_only away.")
    path = Path(source)
    if path.is_dir():
        if revision is not None:
            mend = "Leave it away: a folder holds one version."
            raise OptionError("revision", repr(revision), "None for a folder", mend)
        return lambda name, largest: _checked(path / name, largest)
    if path.exists() or not isinstance(source, str) or path.is_absolute() or source.startswith((".", "~")):
        got = "a file" if path.exists() else "nothing there"
        raise FileError(str(source), got, "a folder, or OWNER/NAME on the Hub", "Check the path.")
    return _Repository(source, revision, cache_dir, force_download, local_files_only, token)


class _Repository:
    def __init__(
        self,
        name: str,
        revision: str | None,
        cache_dir: str | os.PathLike[str] | None,
        force: bool,
        cache_only: bool,
        token: str | bool | None,
    ) -> None:
        self._name, self._revision, self._token = name, revision, token
        self._cache = None if cache_dir is None else Path(cache_dir)
        self._force, self._cache_only = force, cache_only

    def __call__(self, name: str, largest: int) -> Path:
        pinned = not self._force and _COMMIT.fullmatch(self._revision or "")
        path = self._stored(name) if pinned or self._cache_only else None
        if path is None:
            if self._cache_only:
                mend = "Load it once with local_files_only=False, or pass a folder."
                raise FileError(self._of(name), "not in the cache", "a file that was downloaded before", mend)
            path = self._fetched(name, largest)
        self._revision = path.parent.name
        _checked(path, largest)
        self._compare(path)
        return path

    def _stored(self, name: str) -> Path | None:
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        try:
            found = try_to_load_from_cache(self._name, name, cache_dir=self._cache, revision=self._revision)
        except HFValidationError as error:
            raise self._misnamed() from error
        return Path(found) if isinstance(found, str) else None

    def _fetched(self, name: str, largest: int) -> Path:
        from huggingface_hub import errors, get_hf_file_metadata, hf_hub_download, hf_hub_url

        try:
            # Asked first by itself: it says how large the file is, and where the Hub cannot be reached,
            # it says so at once instead of after many retries.
            about = get_hf_file_metadata(
                hf_hub_url(self._name, name, revision=self._revision), token=self._token
            )
            if about.size is not None and about.size > largest:
                raise _too_large(self._of(name), about.size, largest)
            return Path(
                hf_hub_download(
                    self._name,
                    name,
                    revision=self._revision,
                    cache_dir=self._cache,
                    force_download=self._force,
                    token=self._token,
                )
            )
        except FileError:
            raise
        except errors.HFValidationError as error:
            raise self._misnamed() from error
        except errors.GatedRepoError as error:
            mend = "Accept its conditions on its page, then log in with `hf auth login` or pass token=..."
            raise FileError(self._of(name), "access denied", "a repository open to you", mend) from error
        except errors.RepositoryNotFoundError as error:
            mend = "Check the name; if it is private, log in with `hf auth login` or pass token=..."
            raise FileError(
                self._of(name), "no such repository", "a folder here or a repository", mend
            ) from error
        except errors.RevisionNotFoundError as error:
            got = f"no revision {self._revision!r}"
            mend = "See the repository's history."
            raise FileError(self._of(name), got, "a commit, tag or branch", mend) from error
        except errors.LocalEntryNotFoundError as error:
            return self._instead(name, error)
        except errors.EntryNotFoundError as error:
            mend = "Ask for a repository that save_pretrained or push_to_hub wrote; no other format is read."
            raise FileError(self._of(name), "no such file", f"a repository with {name}", mend) from error
        except Exception as error:  # from HTTP libraries that differ between versions
            return self._instead(name, error)

    def _instead(self, name: str, error: Exception) -> Path:
        """What was downloaded before, where the Hub does not answer."""
        stored = None if self._force else self._stored(name)
        if stored is not None:
            return stored
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        mend = (
            "Check the connection and HF_ENDPOINT; or pass a folder, "
            "or local_files_only=True where the files have been downloaded before."
        )
        raise FileError(self._of(name), f"no answer from the Hub ({reason})", "a download", mend) from error

    def _compare(self, path: Path) -> None:
        """The cache names a file stored as LFS by its content's hash: a flipped bit is found here."""
        if not path.is_symlink():
            return
        declared = path.readlink().name
        if not _SHA256.fullmatch(declared):
            return
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        if digest.hexdigest() != declared:
            got, mend = f"sha256 {digest.hexdigest()}", "Load it once more with force_download=True."
            raise FileError(self._of(path.name), got, f"sha256 {declared}, as the Hub says", mend)

    def _of(self, name: str) -> str:
        return f"{name} of {self._name}" + (f" at {self._revision}" if self._revision else "")

    def _misnamed(self) -> FileError:
        mend = "Check the path, or the repository's name."
        return FileError(
            repr(self._name), "no folder, and no name of a repository", "FOLDER or OWNER/NAME", mend
        )


def _checked(path: Path, largest: int) -> Path:
    if path.is_file() and check_file(path) > largest:
        raise _too_large(str(path), path.stat().st_size, largest)
    return path


def _too_large(argument: str, size: int, largest: int) -> FileError:
    mend = "Check that it is the file of such a network."
    return FileError(argument, f"{size} bytes", f"at most {largest} for what it holds", mend)

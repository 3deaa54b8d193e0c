"""A repository on the Hub: files of one commit, from the cache or downloaded, with one error per cause."""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path

from csl_plugin.errors import FileError
from csl_plugin.io.limits import check_file
from csl_plugin.models.hub.safetensors_io import only_pickles

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 20
_BUSY = (408, 429)
_HINTS = {
    401: "Log in with `hf auth login`, or pass token=... of an account that may read it.",
    403: "Log in with `hf auth login`, or pass token=... of an account that may read it.",
    416: "The partial download does not fit the file any more: load it with force_download=True.",
}


class AbsentFileError(FileError):
    """The folder or the commit is there and has no such file."""


class Repository:
    """The files of a repository, all from the commit of the first one; called with a file's name.

    Args:
        name: OWNER/NAME.
        revision: A commit, tag or branch; with a full commit the cache is tried first.
        cache_dir: The folder of downloads; None for huggingface_hub's cache.
        force: Download even what is in the cache.
        cache_only: Use only the cache, as with `HF_HUB_OFFLINE`.
        token: For the Hub; None for the one that `hf auth login` stored.
    """

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

    @property
    def _offline(self) -> bool:
        from huggingface_hub import constants

        return bool(constants.HF_HUB_OFFLINE)

    def __call__(self, name: str, largest: int) -> Path:
        """The path of a file on this machine, downloaded if necessary.

        Raises:
            FileError: The Hub does not answer or refuses, or the file is too large or damaged.
        """
        pinned = not self._force and _COMMIT.fullmatch(self._revision or "")
        cache_only = self._cache_only or self._offline
        path = self._stored(name) if pinned or cache_only else None
        if path is None:
            if cache_only:
                how = "with local_files_only=False" if self._cache_only else "without HF_HUB_OFFLINE"
                hint = f"Load it once {how}, or pass a folder."
                raise FileError(self._of(name), "not in the cache", "a file that was downloaded before", hint)
            path = self._fetched(name, largest)
        self._revision = path.parent.name
        checked(path, largest)
        self._compare(path)
        return path

    def _stored(self, name: str) -> Path | None:
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        try:
            found = try_to_load_from_cache(self._name, name, cache_dir=self._cache, revision=self._revision)
        except HFValidationError as error:
            raise self._misnamed() from error
        if found is not None and not isinstance(found, str):
            raise self._absent(name)
        return Path(found) if found is not None else None

    def _fetched(self, name: str, largest: int) -> Path:
        from huggingface_hub import errors, get_hf_file_metadata, hf_hub_download, hf_hub_url

        try:
            # Requested first: it states the file's size, and it fails at once where the Hub cannot be
            # reached, while a download retries many times.
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
            hint = "Accept its conditions on its page, then log in with `hf auth login` or pass token=..."
            raise FileError(self._of(name), "access denied", "a repository open to you", hint) from error
        except errors.RepositoryNotFoundError as error:
            hint = "Check the name; if it is private, log in with `hf auth login` or pass token=..."
            raise FileError(
                self._of(name), "no such repository", "a folder here or a repository", hint
            ) from error
        except errors.RevisionNotFoundError as error:
            got = f"no revision {self._revision!r}"
            hint = "See the repository's history."
            raise FileError(self._of(name), got, "a commit, tag or branch", hint) from error
        except errors.LocalEntryNotFoundError as error:
            return self._instead(name, error)
        except errors.EntryNotFoundError as error:
            self._remember_absence(name)
            raise self._absent(name, list_files=True) from error
        except errors.HfHubHTTPError as error:
            return self._refused(name, error, error.response.status_code)
        except Exception as error:  # from HTTP libraries that differ between versions
            return self._instead(name, error)

    def _absent(self, name: str, list_files: bool = False) -> FileError:
        if list_files and name.endswith(".safetensors"):
            found = only_pickles(self._of(name), self._names())
            if found is not None:
                return found
        hint = "Name a repository that save_pretrained or push_to_hub wrote."
        return AbsentFileError(self._of(name), "no such file", f"a repository with {name}", hint)

    def _names(self) -> list[str]:
        """The names of the repository's files; none where the Hub does not list them."""
        from huggingface_hub import HfApi

        with suppress(Exception):  # they only make a message more precise
            about = HfApi(token=self._token).model_info(self._name, revision=self._revision)
            return [file.rfilename for file in about.siblings or ()]
        return []

    def _remember_absence(self, name: str) -> None:
        """Let the cache note that a commit lacks a file, so that it is not requested again."""
        from huggingface_hub import hf_hub_download

        with suppress(Exception):
            hf_hub_download(
                self._name, name, revision=self._revision, cache_dir=self._cache, token=self._token
            )

    def _refused(self, name: str, error: Exception, status: int) -> Path:
        """The cached file where the Hub fails; an error where it refuses."""
        if status >= 500 or status in _BUSY:
            return self._instead(name, error, f"status {status}")
        hint = _HINTS.get(status, "Check the repository's name, and HF_ENDPOINT.")
        raise FileError(self._of(name), f"the Hub's answer {status}", "a download", hint) from error

    def _instead(self, name: str, error: Exception, reason: str = "") -> Path:
        """The cached file, where the Hub does not answer."""
        stored = None if self._force else self._stored(name)
        if stored is not None:
            return stored
        reason = reason or " ".join(str(error).split())[:200] or type(error).__name__
        hint = (
            "Check the connection and HF_ENDPOINT; or pass a folder, "
            "or local_files_only=True if the files are in the cache."
        )
        raise FileError(self._of(name), f"no answer from the Hub ({reason})", "a download", hint) from error

    def _compare(self, path: Path) -> None:
        """Compare a file with its SHA-256, by which the cache names files that the Hub stores as LFS."""
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
            got, hint = f"sha256 {digest.hexdigest()}", "Load it again with force_download=True."
            raise FileError(self._of(path.name), got, f"sha256 {declared}, as the Hub states", hint)

    def _of(self, name: str) -> str:
        return f"{name} of {self._name}" + (f" at {self._revision}" if self._revision else "")

    def _misnamed(self) -> FileError:
        hint = "Check the path, or the repository's name."
        return FileError(
            repr(self._name), "no folder, and no name of a repository", "FOLDER or OWNER/NAME", hint
        )


def checked(path: Path, largest: int) -> Path:
    """The path of a file that is not too large; it may be missing.

    Raises:
        FileError: It is too large.
    """
    if path.is_file() and check_file(path) > largest:
        raise _too_large(str(path), path.stat().st_size, largest)
    return path


def _too_large(argument: str, size: int, largest: int) -> FileError:
    hint = "Check that it is the file of such a network."
    return FileError(argument, f"{size} bytes", f"at most {largest} for what it holds", hint)

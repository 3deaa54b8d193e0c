"""A repository on the Hub: files of one commit, from the cache or downloaded, with one error per cause."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from csl_plugin.errors import FileError, reason_of
from csl_plugin.io.limits import check_file
from csl_plugin.models.hub.cache import Cache
from csl_plugin.models.hub.digests import Digest, digest_in, digest_of
from csl_plugin.models.hub.in_time import in_time
from csl_plugin.models.hub.listing import listed_files
from csl_plugin.models.hub.names import checked_answer, checked_revision, is_etag, is_hash, is_repository
from csl_plugin.models.hub.requests import AnswerTooLargeError, StatusError, Wanted, download, read_small

_BUSY = (408, 429)
_LARGEST_LISTING = 4 << 20
_LOG_IN = "log in with `hf auth login`, or set HF_TOKEN."
_HINTS = {
    401: f"As an account that may read it, {_LOG_IN}",
    403: f"As an account that may read it, {_LOG_IN}",
    416: "The file changed during the download: load it again.",
}


class AbsentFileError(FileError):
    """The folder or the commit is there and has no such file."""


class _Stated(NamedTuple):
    """What the Hub states about a file; all checked."""

    commit: str
    etag: str
    size: int | None


class Repository:
    """The files of a repository, all from the commit of the first one; called with a file's name.

    Args:
        name: OWNER/NAME.
        revision: A commit, tag or branch; with a full commit the cache is tried first.
        cache_dir: The folder of downloads; None for huggingface_hub's cache.
        force: Download even what is in the cache.
        cache_only: Use only the cache, as with `HF_HUB_OFFLINE`.
        token: For the Hub; None for the one that `hf auth login` stored.

    Raises:
        OptionError: A revision that is none.
        FileError: A name that is none.
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
        if not is_repository(name):
            hint = "Check the path, or the repository's name."
            raise FileError(
                repr(name), "no folder, and no name of a repository", "FOLDER or OWNER/NAME", hint
            )
        self._name, self._revision, self._token = name, checked_revision(revision), token
        self._cache = Cache(name, None if cache_dir is None else Path(cache_dir))
        self._force, self._cache_only = force, cache_only

    @property
    def _offline(self) -> bool:
        from huggingface_hub import constants

        return bool(constants.HF_HUB_OFFLINE)

    @property
    def _headers(self) -> dict[str, str]:
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        return dict(build_hf_headers(token=self._token))

    def __call__(self, name: str, largest: int) -> Path:
        """The path of a file on this machine, downloaded if necessary.

        Raises:
            FileError: The Hub does not answer or refuses, or the file is too large or damaged.
        """
        pinned = not self._force and is_hash(self._revision or "")
        cache_only = self._cache_only or self._offline
        path = self._stored(name) if pinned or cache_only else None
        if path is None:
            if cache_only:
                how = "with local_files_only=False" if self._cache_only else "without HF_HUB_OFFLINE"
                hint = f"Load it once {how}, or pass a folder."
                raise FileError(self.of(name), "not in the cache", "a file that was downloaded before", hint)
            path = self._fetched(name, largest)
        self._revision = path.parents[name.count("/")].name
        checked(path, largest)
        if path.is_symlink() and (stated := digest_in(path.readlink().name)):
            self._compare(name, path, stated, f"Remove {path.resolve()}, and load it again.")
        return path

    @property
    def commit(self) -> str | None:
        """The commit of the files, once one was asked for; before that the revision."""
        return self._revision

    def names(self) -> list[str]:
        """The names of the repository's files; none where the Hub does not list them."""
        return list(self._listed())

    def of(self, name: str) -> str:
        """A file for a message."""
        return f"{name} of {self._name}" + (f" at {self._revision}" if self._revision else "")

    def _stored(self, name: str) -> Path | None:
        found = self._cache.find(self._revision, name)
        if found is False:
            raise self._absent(name)
        return found if isinstance(found, Path) else None

    def _fetched(self, name: str, largest: int) -> Path:
        from huggingface_hub import errors

        try:
            stated = self._stated(name, largest)
            self._cache.refer(self._revision, stated.commit)
            path = None if self._force else self._cache.find(stated.commit, name)
            return path if isinstance(path, Path) else self._downloaded(name, stated, largest)
        except FileError:
            raise
        except errors.GatedRepoError as error:
            hint = f"Accept its conditions on its page, then {_LOG_IN}"
            raise FileError(self.of(name), "access denied", "a repository open to you", hint) from error
        except errors.RepositoryNotFoundError as error:
            hint = f"Check the name; if it is private, {_LOG_IN}"
            raise FileError(
                self.of(name), "no such repository", "a folder here or a repository", hint
            ) from error
        except errors.RevisionNotFoundError as error:
            got = f"no revision {self._revision!r}"
            hint = "See the repository's history."
            raise FileError(self.of(name), got, "a commit, tag or branch", hint) from error
        except errors.LocalEntryNotFoundError as error:
            return self._instead(name, error)
        except errors.EntryNotFoundError as error:
            self._remember_absence(name, error)
            raise self._absent(name) from error
        except errors.HfHubHTTPError as error:
            return self._refused(name, error, error.response.status_code)
        except StatusError as error:
            return self._refused(name, error, error.status)
        except AnswerTooLargeError as error:
            hint = "Check HF_ENDPOINT: a Hub sends no more than that."
            raise FileError(self.of(name), str(error), "what the Hub stated", hint) from error
        except Exception as error:  # from HTTP libraries that differ between versions
            return self._instead(name, error)

    def _stated(self, name: str, largest: int) -> _Stated:
        """What the Hub states about a file: before it is downloaded, and before anything is written."""
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        url = hf_hub_url(self._name, name, revision=self._revision)
        about = in_time(lambda _: get_hf_file_metadata(url, token=self._token))
        if about.commit_hash is None or about.etag is None:
            raise ValueError("an answer without a commit, or without an ETag")
        commit = checked_answer(self.of(name), "a commit", about.commit_hash, is_hash(about.commit_hash))
        etag = checked_answer(self.of(name), "an ETag", about.etag, is_etag(about.etag))
        if about.size is not None and not 0 <= about.size <= largest:
            raise _too_large(self.of(name), f"{about.size} bytes", largest)
        return _Stated(commit, etag, about.size)

    def _downloaded(self, name: str, stated: _Stated, largest: int) -> Path:
        """The file of a commit, put into the cache when it is complete and what the Hub states."""
        from huggingface_hub import hf_hub_url

        expected = digest_in(stated.etag)
        if expected is None:  # the Hub's list may tell
            expected = self._listed(stated.commit).get(name)
        elif not self._force and (path := self._cache.link(expected.value, stated.commit, name)):
            return path
        most = stated.size
        url = hf_hub_url(self._name, name, revision=stated.commit)
        wanted = Wanted(name, url, most, largest if most is None else most)
        with self._cache.incoming() as path:
            in_time(lambda clock: download(wanted, self._headers, path, clock))
            if most is not None and path.stat().st_size != most and expected is None:
                hint = "Load it again."
                raise FileError(self.of(name), f"{path.stat().st_size} bytes", f"{most}, as stated", hint)
            if expected is not None:
                self._compare(name, path, expected, "Nothing was kept: load it again.")
            blob = expected or digest_of(path, "sha256")
            return self._cache.put(path, blob.value, stated.commit, name)

    def _listed(self, commit: str | None = None) -> dict[str, Digest | None]:
        """What the Hub's list of files says about each; empty where it does not list them."""
        from huggingface_hub import constants

        if self._cache_only or self._offline:
            return {}
        revision = quote(commit or self._revision or constants.DEFAULT_REVISION, safe="")
        url = f"{constants.ENDPOINT}/api/models/{self._name}/revision/{revision}?blobs=true"
        with suppress(Exception):  # it only makes messages and comparisons more precise
            return listed_files(
                in_time(lambda clock: read_small(url, self._headers, _LARGEST_LISTING, clock))
            )
        return {}

    def _absent(self, name: str) -> FileError:
        hint = "Name a repository that save_pretrained or push_to_hub wrote."
        return AbsentFileError(self.of(name), "no such file", f"a repository with {name}", hint)

    def _remember_absence(self, name: str, error: Any) -> None:
        """Let the cache note that a commit lacks a file, so that it is not requested again."""
        commit = error.response.headers.get("X-Repo-Commit") or ""
        if is_hash(commit):
            with suppress(FileError):
                self._cache.lacks(commit, name)
            self._cache.refer(self._revision, commit)

    def _refused(self, name: str, error: Exception, status: int) -> Path:
        """The cached file where the Hub fails; an error where it refuses."""
        if status >= 500 or status in _BUSY:
            return self._instead(name, error, f"status {status}")
        hint = _HINTS.get(status, "Check the repository's name, and HF_ENDPOINT.")
        raise FileError(self.of(name), f"the Hub's answer {status}", "a download", hint) from error

    def _instead(self, name: str, error: Exception, reason: str = "") -> Path:
        """The cached file, where the Hub does not answer."""
        stored = None if self._force else self._stored(name)
        if stored is not None:
            return stored
        reason = reason or reason_of(error)
        hint = "Check the connection and HF_ENDPOINT; or pass a folder."
        if self._force:
            hint = "Check the connection and HF_ENDPOINT; or omit force_download to use what is in the cache."
        raise FileError(self.of(name), f"no answer from the Hub ({reason})", "a download", hint) from error

    def _compare(self, name: str, path: Path, stated: Digest, hint: str) -> None:
        found = digest_of(path, stated.kind)
        if found != stated:
            raise FileError(self.of(name), str(found), f"{stated}, as the Hub states", hint)


def checked(path: Path, largest: int) -> Path:
    """The path of a file that is not too large; it may be missing.

    Raises:
        FileError: It is too large.
    """
    if path.is_file() and check_file(path) > largest:
        raise _too_large(str(path), f"{path.stat().st_size} bytes", largest)
    return path


def _too_large(argument: str, got: str, largest: int) -> FileError:
    hint = "Check that it is the file of such a network."
    return FileError(argument, got, f"at most {largest} for what it holds", hint)

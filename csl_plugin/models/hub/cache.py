"""huggingface_hub's folder of downloads: what is found there, and what is put there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from csl_plugin.errors import FileError
from csl_plugin.io.atomic import atomic_path


class Cache:
    """The files of one repository in the cache.

    `blobs/DIGEST` holds a content, `snapshots/COMMIT/NAME` links to it, `refs/REVISION` holds the commit of a
    branch or tag, `.no_exist/COMMIT/NAME` says that a commit has no such file. All names have been checked.

    Args:
        repository: OWNER/NAME.
        folder: The folder of downloads; None for huggingface_hub's own.
    """

    def __init__(self, repository: str, folder: Path | None) -> None:
        from huggingface_hub import constants

        self._repository, self._folder = repository, folder
        parent = Path(constants.HF_HUB_CACHE) if folder is None else folder
        self._place = parent / f"models--{repository.replace('/', '--')}"

    def find(self, revision: str | None, name: str) -> Path | bool | None:
        """The path of a file; False where the commit is known to lack it, None where nothing is known."""
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(self._repository, name, cache_dir=self._folder, revision=revision)
        if found is None:
            return None
        return Path(found) if isinstance(found, str) else False

    @contextmanager
    def incoming(self) -> Iterator[Path]:
        """A path to download to, which is gone afterwards unless it was put into the cache."""
        path = self._place / "blobs" / f".csl-plugin-{uuid4().hex}.incomplete"
        try:
            with in_cache(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            yield path
        finally:
            with suppress(OSError):
                path.unlink()

    def put(self, incoming: Path, blob: str, commit: str, name: str) -> Path:
        """Make a downloaded file the one of a commit.

        Args:
            incoming: Its path.
            blob: The name of its content.
            commit: That has it.
            name: Of the file.
        """
        with in_cache(self._place):
            stored = self._place / "blobs" / blob
            incoming.replace(stored)
            return self._link(stored, commit, name)

    def link(self, blob: str, commit: str, name: str) -> Path | None:
        """Let a commit have a content that the cache holds already; None where it does not."""
        stored = self._place / "blobs" / blob
        with in_cache(self._place):
            return self._link(stored, commit, name) if stored.is_file() else None

    def _link(self, stored: Path, commit: str, name: str) -> Path:
        path = self._place / "snapshots" / commit / name
        path.parent.mkdir(parents=True, exist_ok=True)
        link = path.with_name(f".csl-plugin-{uuid4().hex}.tmp")
        try:
            link.symlink_to(os.path.relpath(stored, path.parent))
        except OSError:  # a system or a file system without links
            stored.replace(link)
        link.replace(path)
        return path

    def lacks(self, commit: str, name: str) -> None:
        """Note that a commit has no such file."""
        with in_cache(self._place):
            path = self._place / ".no_exist" / commit / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    def refer(self, revision: str | None, commit: str) -> None:
        """Note the commit of a branch or tag, if the cache can be written."""
        from huggingface_hub import constants

        revision = revision or constants.DEFAULT_REVISION
        if revision == commit:
            return
        path = self._place / "refs" / revision
        with suppress(OSError, FileError):
            if path.is_file() and path.read_text(encoding="utf-8") == commit:
                return
            with atomic_path(path) as temporary:
                temporary.write_text(commit, encoding="utf-8")


@contextmanager
def in_cache(path: Path) -> Iterator[None]:
    """Convert an error of writing into a FileError that names the path."""
    try:
        yield
    except OSError as error:
        if isinstance(error, FileError):
            raise
        got, hint = error.strerror or str(error), "Make room for it, or set HF_HUB_CACHE to another folder."
        raise FileError(str(path), got, "a cache that can be written", hint) from error

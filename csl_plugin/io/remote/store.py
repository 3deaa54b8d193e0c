"""What is asked of a store: lists, sizes, whole objects, each within limits, by fsspec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from csl_plugin.errors import CSLError, FileError, MissingExtraError, reason_of
from csl_plugin.io.remote.page import links_of
from csl_plugin.places.url import Listed, RemotePath, without_secrets

_PACKAGES = {
    "http": "aiohttp", "https": "aiohttp", "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs",
    "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs",
}  # fmt: skip
_TAGS = (
    "ETag",
    "etag",
    "e_tag",
    "LastModified",
    "last_modified",
    "Last-Modified",
    "updated",
    "mtime",
    "created",
)
_CHUNK, _IN_MEMORY = 1 << 20, 64 << 20
_LONGEST_PAGE = 64 << 20
_AGAIN = "Check the URL and the network, then start again."


def list_folder(folder: RemotePath) -> list[RemotePath]:
    """What is in a folder, in order, without what is in folders below; empty if nothing is there.

    Raises:
        FileError: It cannot be listed.
        MissingExtraError: The package of its store is not installed.
    """
    if folder.is_web:
        with fetched(RemotePath(f"{folder.bare}/"), _LONGEST_PAGE) as (page, _):
            names = links_of(page.read().decode("utf-8", "replace"), f"{folder.bare}/")
        found = [
            RemotePath(f"{folder.bare}/{name}", Listed(None, None, True) if name.endswith("/") else None)
            for name in names
        ]
    else:
        with _asked(folder, "a folder that can be listed") as (files, name):
            try:
                said = files.ls(name, detail=True)
            except (FileNotFoundError, NotADirectoryError):
                said = []
        own = folder.bare.rpartition("/")[2]
        children = {entry["name"].rstrip("/").rpartition("/")[2]: _listed(entry) for entry in said}
        is_itself = len(said) == 1 and said[0]["name"].rstrip("/") == str(name).rstrip("/")
        if is_itself or any(entry["name"].rstrip("/") == str(name).rstrip("/") for entry in said):
            children.pop(own, None)  # the mark of an empty folder
        found = [RemotePath(f"{folder.bare}/{name}", listed) for name, listed in children.items()]
    for path in found:
        if not path.is_plain:
            got, hint = f"an entry named {path.name!r}", "Rename it: outputs are named after it."
            raise FileError(str(folder), got, "names that files of a folder have", hint)
    return sorted(found, key=lambda path: path.name)


def look_up(path: RemotePath) -> Listed | None:
    """What the store says of an object now; None if it is not there.

    Raises:
        FileError, MissingExtraError: The store does not answer.
    """
    with _asked(path, "a file") as (files, name):
        try:
            return _listed(files.info(name))
        except FileNotFoundError as error:
            if _is_absence(error):
                return None
            raise


@contextmanager
def fetched(path: RemotePath, most: int) -> Iterator[tuple[IO[bytes], int]]:
    """An object, fetched whole, as a file at its start, and the number of its bytes.

    Bytes are counted as they come: whatever the store says of the size, no more than `most` are taken.

    Raises:
        FileError: Nothing is there, it is larger than `most`, or the store does not give it whole.
        MissingExtraError: The package of its store is not installed.
    """
    with SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
        size = 0
        with _asked(path, "a file that can be read") as (files, name):
            # A web server may know no ranges: its answer is read as it comes.
            options = {"block_size": 0} if path.is_web else {"cache_type": "readahead"}
            with files.open(name, "rb", **options) as source:
                while chunk := source.read(_CHUNK):
                    size += len(chunk)
                    if size > most:
                        hint = "Cut it into parts, or scale it down."
                        raise FileError(str(path), f"more than {most} bytes", f"at most {most} bytes", hint)
                    file.write(chunk)
        file.seek(0)
        yield file, size


def put(path: RemotePath, source: Path) -> None:
    """Make a file an object: whole, or not at all.

    Raises:
        FileError: The store does not take it.
        MissingExtraError: The package of its store is not installed.
    """
    with _written(path) as (files, name):
        files.put_file(str(source), name)


def put_bytes(path: RemotePath, data: bytes) -> None:
    """Make bytes an object, whole or not at all.

    Raises:
        FileError, MissingExtraError: As for `put`.
    """
    with _written(path) as (files, name):
        files.pipe_file(name, data)


def remove(path: RemotePath) -> None:
    """Remove an object; nothing happens if none is there.

    Raises:
        FileError, MissingExtraError: The store does not do it.
    """
    with _written(path) as (files, name):
        try:
            files.rm_file(name)
        except FileNotFoundError:
            return


@contextmanager
def _written(path: RemotePath) -> Iterator[tuple[Any, str]]:
    if path.is_web:
        hint = "Name a folder here, or in an object store."
        raise FileError(str(path), "a web server", "a store that can be written", hint)
    with _asked(path, "a place that can be written") as asked:
        yield asked


@contextmanager
def _asked(path: RemotePath, expected: str) -> Iterator[tuple[Any, str]]:
    """The file system and the object's name there; errors become FileErrors without secrets."""
    try:
        yield _file_system(path)
    except (CSLError, MemoryError):
        raise
    except FileNotFoundError as error:
        got = "nothing there" if _is_absence(error) else _said(path, error.__cause__ or error)
        raise FileError(str(path), got, expected, "Check the URL.") from None
    except ImportError as error:
        package = _PACKAGES.get(path.scheme, "fsspec")
        got, hint = f"no package for it ({reason_of(error)})", f"Install it with: pip install {package}"
        raise MissingExtraError(str(path), got, f"the package {package}", hint) from None
    except PermissionError as error:
        hint = f"Give the credentials of the store as its package {_PACKAGES.get(path.scheme)} reads them."
        raise FileError(str(path), f"no permission ({_said(path, error)})", expected, hint) from None
    except Exception as error:  # each store has its own
        raise FileError(str(path), _said(path, error), expected, _AGAIN) from None


def _is_absence(error: FileNotFoundError) -> bool:
    """Whether nothing is there; fsspec says the same where a server fails."""
    cause = error.__cause__
    known = cause is None or isinstance(cause, FileNotFoundError)
    return known or getattr(cause, "status", None) in (404, 410)


def _said(path: RemotePath, error: BaseException) -> str:
    """What an error says, less the secrets in URLs."""
    said = without_secrets(reason_of(error))
    for secret in path.secrets:
        said = said.replace(secret, "***")
    return f"{type(error).__name__}: {said}"


def _file_system(path: RemotePath) -> tuple[Any, str]:
    import fsspec.core

    # Without a cache of lists: other processes write too.
    found = fsspec.core.url_to_fs(path.url, use_listings_cache=False)
    return found[0], str(found[1])


def _listed(entry: Mapping[str, Any]) -> Listed:
    size, tag = entry.get("size"), next((entry[name] for name in _TAGS if entry.get(name)), None)
    said = None if tag is None else str(tag)
    return Listed(size if isinstance(size, int) else None, said, entry.get("type") == "directory")

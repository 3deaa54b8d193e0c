"""Answers of a Hub, read in pieces: limited in bytes and in time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from csl_plugin.errors import FileError
from csl_plugin.models.hub.cache import in_cache
from csl_plugin.models.hub.in_time import Clock

_PIECE = 1 << 14  # waited for as a whole where the HTTP library is requests
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 5
_MOST_TRIES = 6  # without a new byte
_MOST_CONNECTIONS = 50  # for one file
_PAUSE = 1.0
_LOST = frozenset(
    {
        "ConnectionError",
        "Timeout",
        "TimeoutError",
        "ChunkedEncodingError",
        "ProtocolError",
    }  # requests, urllib3
    | {"ConnectError", "TimeoutException", "NetworkError"}  # httpx
)


class StatusError(Exception):
    """The server answers with a status that is no success."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


class AnswerTooLargeError(Exception):
    """The server sends more than it stated, or more than is allowed."""


class _Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    pieces: Iterator[bytes]


def read_small(url: str, headers: dict[str, str], largest: int, clock: Clock) -> bytes:
    """The whole body of an answer.

    Raises:
        StatusError: As it says.
        AnswerTooLargeError: It is larger than `largest` bytes.
        Exception: Of huggingface_hub's HTTP library.
    """
    body = bytearray()
    with _answer(url, headers) as answer:
        if answer.status != 200:
            raise StatusError(answer.status)
        for piece in answer.pieces:
            clock.count(len(piece))
            body += piece
            if len(body) > largest:
                raise AnswerTooLargeError(f"more than {largest} bytes")
    return bytes(body)


class Wanted(NamedTuple):
    """A file to download.

    Attributes:
        name: For the progress bar.
        url: Where it is.
        size: Bytes that it has; None if that is not known.
        largest: Bytes, no more than which are ever written.
    """

    name: str
    url: str
    size: int | None
    largest: int


def download(wanted: Wanted, headers: dict[str, str], target: Path, clock: Clock) -> None:
    """Write the body of an answer to a file; a lost connection is taken up where it was.

    Args:
        wanted: The file.
        headers: Of the request.
        target: Written to; what it holds afterwards is complete unless an error is raised.
        clock: Of the exchange.

    Raises:
        StatusError: As it says.
        AnswerTooLargeError: It is larger than allowed.
        FileError: The target cannot be written.
        Exception: Of huggingface_hub's HTTP library, when no more bytes come.
    """
    from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]

    done, tries, connections = 0, _MOST_TRIES, _MOST_CONNECTIONS
    clock.count(0)
    with in_cache(target):
        file = target.open("wb")
    progress: Any = tqdm
    with file, progress(desc=wanted.name, total=wanted.size, unit="B", unit_scale=True) as bar:
        while True:
            before = done
            try:
                asked = {**headers, "Range": f"bytes={done}-"} if done else headers
                with _answer(wanted.url, asked) as answer:
                    if answer.status not in (200, 206):
                        raise StatusError(answer.status)
                    if answer.status == 200 and done:  # the whole file again
                        file.seek(0)
                        file.truncate()
                        done = 0
                        bar.reset()
                    stated = _length(answer.headers)
                    for piece in answer.pieces:
                        clock.count(len(piece))
                        done += len(piece)
                        if done > wanted.largest:
                            raise AnswerTooLargeError(f"more than {wanted.largest} bytes")
                        with in_cache(target):
                            file.write(piece)
                        bar.update(len(piece))
                    if stated is None or done >= stated:
                        return
                    raise ConnectionError(f"{done} of {stated} bytes")
            except (StatusError, AnswerTooLargeError, FileError):
                raise
            except Exception as error:
                tries, connections = _MOST_TRIES if done > before else tries - 1, connections - 1
                if not tries or not connections or not _is_lost(error):
                    raise
                clock.count(0)
                time.sleep(_PAUSE)


def _is_lost(error: Exception) -> bool:
    """Whether a connection was lost: the types differ between the HTTP libraries, their names hardly do."""
    return not _LOST.isdisjoint(kind.__name__ for kind in type(error).__mro__)


def _length(headers: Mapping[str, str]) -> int | None:
    """The size of the whole file, as an answer states it."""
    text = headers.get("Content-Range", "").rpartition("/")[2] or headers.get("Content-Length", "")
    return int(text) if text.isdecimal() and len(text) < 20 else None


@contextmanager
def _answer(url: str, headers: dict[str, str]) -> Iterator[_Answer]:
    """An answer whose body has not been read yet, after redirects.

    A redirect's own body is never read; none leads away from https; and the token stays with the host that it
    was meant for.
    """
    headers = {**headers, "Accept-Encoding": "identity"}
    for _ in range(_MOST_REDIRECTS + 1):
        with _opened(url, headers) as answer:
            if answer.status not in _REDIRECTS or "Location" not in answer.headers:
                if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
                    raise ValueError("a compressed answer, though none was asked for")
                yield answer
                return
            there = urljoin(url, answer.headers["Location"])
        origin, target = urlsplit(url), urlsplit(there)
        if target.scheme not in ("http", "https") or (origin.scheme == "https") > (target.scheme == "https"):
            raise ValueError(f"a redirect from {origin.scheme} to {target.scheme or 'nowhere'}")
        if (origin.scheme, origin.netloc) != (target.scheme, target.netloc):
            headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
        url = there
    raise ValueError(f"more than {_MOST_REDIRECTS} redirects")


@contextmanager
def _opened(url: str, headers: dict[str, str]) -> Iterator[_Answer]:
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

    session: Any = get_session()
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    if callable(getattr(session, "stream", None)):  # httpx, from huggingface_hub 1.0 on
        with session.stream("GET", url, headers=headers, timeout=timeout, follow_redirects=False) as response:
            yield _Answer(response.status_code, response.headers, response.iter_raw())
        return
    options = {"headers": headers, "timeout": timeout, "stream": True, "allow_redirects": False}
    with session.get(url, **options) as response:
        yield _Answer(
            response.status_code, response.headers, response.raw.stream(_PIECE, decode_content=False)
        )

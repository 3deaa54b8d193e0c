"""A file or folder by URL, shown without what is secret in it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import quote, unquote

from csl_plugin.errors import OptionError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.:-]+://")
_WEB = ("http", "https")
_UNQUERIED = ("memory", "s3", "s3a", "gs", "gcs")  # where a question mark is part of a name
_OWNER = re.compile(r"([a-z][a-z0-9+.-]*://)[^/\s]*@", re.IGNORECASE)
_QUERY = re.compile(
    r"((?:https?|az|abfss?)://[^\s?#]*)[?#]\S+?(?=['\"),.;\]>]*(?:\s|$))", re.IGNORECASE
)  # up to what quotes the URL
_SHORTEST = 4  # characters of a secret that is looked for in what a store says
_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}")


@dataclass(frozen=True)
class Listed:
    """What a store says about an object or a folder.

    Args:
        size: In bytes; None where it does not say.
        tag: Its ETag, else the time of its last change; None where it says neither.
        is_folder: Whether it is none that holds bytes.
    """

    size: int | None
    tag: str | None
    is_folder: bool = False


@dataclass(frozen=True)
class RemotePath:
    """A file or folder by URL. As text it has no user, password, query or fragment: they may be secret.

    It has the parts of a `pathlib.Path` that need no store.

    Args:
        url: With all that is needed to open it.
        listed: What its store said when it was listed, if it was.

    Example:
        >>> path = RemotePath("https://me:secret@host/frames/a%20b.png?token=secret")
        >>> path.name, path.stem, path.suffix, str(path)
        ('a b.png', 'a b', '.png', 'https://***@host/frames/a%20b.png?***')
        >>> RemotePath("s3://bucket/out/") / "a.npy"
        RemotePath('s3://bucket/out/a.npy')
    """

    url: str
    listed: Listed | None = field(default=None, compare=False)

    @property
    def scheme(self) -> str:
        """What stands before the colon."""
        return self.url.partition(":")[0]

    @property
    def is_web(self) -> bool:
        """Whether a web server has it, where names are quoted and nothing can be written."""
        return self.scheme in _WEB

    @property
    def bare(self) -> str:
        """The URL without query, fragment and closing slashes; with the user and the password."""
        return (re.split("[?#]", self.url)[0] if self.is_web else self.url).rstrip("/")

    @property
    def name(self) -> str:
        """The last part of the path."""
        last = self.bare.rpartition("/")[2]
        return unquote(last) if self.is_web else last

    @property
    def is_plain(self) -> bool:
        """Whether the name can be that of a file in a folder: outputs here are named after it."""
        separators = "/\\:" if os.name == "nt" else "/"
        return self.name not in ("", ".", "..") and not {*separators, "\0"} & {*self.name}

    @property
    def suffix(self) -> str:
        """Of the name, with the dot; empty if there is none."""
        stem, dot, suffix = self.name.rpartition(".")
        return dot + suffix if stem and suffix else ""

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return self.name.removesuffix(self.suffix) if self.suffix else self.name

    @property
    def parent(self) -> Self:
        """The folder."""
        return type(self)(self.bare.rpartition("/")[0])

    @property
    def names_a_file(self) -> bool:
        """Whether the last part has a suffix, by which files are told from folders without a request."""
        is_host = self.scheme != "memory" and "/" not in self.bare.partition("://")[2]
        return not (is_host or self.url.endswith("/")) and bool(_SUFFIX.fullmatch(self.suffix))

    def __truediv__(self, name: str) -> Self:
        return type(self)(f"{self.bare}/{quote(name) if self.is_web else name}")

    def with_name(self, name: str) -> Self:
        """Another file of the folder."""
        return self.parent / name

    def is_below(self, folder: Self) -> bool:
        """Whether it is a folder, or in it."""
        return f"{self.bare}/".startswith(f"{folder.bare}/")

    def __getstate__(self) -> dict[str, Any]:
        """For another process.

        Raises:
            OptionError: It is in the memory of this one.
        """
        if self.scheme == "memory":
            got, hint = f"{self} in another process", "Use one job: one process has the memory."
            raise OptionError("url", got, "a store that several processes see", hint)
        return vars(self)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What may be secret in the URL, quoted or not, the longest first."""
        owner, _, ends = _parts(self.url)
        parts = [owner, owner.partition(":")[2], ends[1:]]
        every = {*parts, *map(unquote, parts), *map(quote, parts)}
        return tuple(sorted((part for part in every if len(part) >= _SHORTEST), key=len, reverse=True))

    def __str__(self) -> str:
        return url_shown(self.url)

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"


def is_url(text: str) -> bool:
    """Whether a text is a URL, not the path of a file of this machine."""
    return _URL.match(text) is not None


def url_shown(url: str) -> str:
    """A URL in which user, password, query and fragment are replaced by stars, whatever is in them.

    Example:
        >>> url_shown("https://me:it's@host/f (1)/a.png?token=c)d")
        'https://***@host/f (1)/a.png?***'
    """
    owner, path, ends = _parts(url)
    shown = f"{url.partition('://')[0]}://{'***@' if owner else ''}{path}"
    return shown + (f"{ends[0]}***" if ends[1:] else ends)


def without_secrets(text: str) -> str:
    """A text with URLs in which users, passwords, queries and fragments are replaced by stars.

    Example:
        >>> without_secrets("403, url='https://a:b@host/x?X-Amz-Signature=c'")
        "403, url='https://***@host/x?***'"
    """
    return _QUERY.sub(r"\1?***", _OWNER.sub(r"\1***@", text))


def _parts(url: str) -> tuple[str, str, str]:
    """Of a URL: user and password, what is shown, and query and fragment with their mark."""
    scheme, _, rest = url.partition("://")
    marked = re.search("[?#]", rest) if scheme.lower() not in _UNQUERIED else None
    cut = marked.start() if marked else len(rest)
    whole, ends = rest[:cut], rest[cut:]
    host, _, below = whole.partition("/")
    if "@" in host:
        owner = host.rpartition("@")[0]
        return owner, whole[len(owner) + 1 :], ends
    port = host.partition(":")[2]
    if port and not port.isdigit() and "@" in below:  # a password with a slash, which is not quoted
        owner, _, bare = whole.rpartition("@")
        return owner, bare, ends
    return "", whole, ends

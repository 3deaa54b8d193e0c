"""What a Hub states about a file's content, and the comparison with it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

_CHUNK = 1 << 20
_SHA256, _SHA1 = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")


class Digest(NamedTuple):
    """A digest by its kind: "sha256" of the content, or "git", the SHA-1 of the content as git stores it."""

    kind: str
    value: str

    def __str__(self) -> str:
        return f"{'sha256' if self.kind == 'sha256' else 'git hash'} {self.value}"


def digest_in(name: str) -> Digest | None:
    """The digest that an ETag is, as does the name of a file in the cache; None where it is none.

    Example:
        >>> digest_in("0" * 64).kind, digest_in("0" * 40).kind, digest_in("an answer's version")
        ('sha256', 'git', None)
    """
    if _SHA256.fullmatch(name):
        return Digest("sha256", name)
    return Digest("git", name) if _SHA1.fullmatch(name) else None


def digest_of(path: Path, kind: str) -> Digest:
    """The digest of a file's content."""
    if kind == "sha256":
        digest = hashlib.sha256()
    else:
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return Digest(kind, digest.hexdigest())

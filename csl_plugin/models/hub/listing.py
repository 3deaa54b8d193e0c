"""The Hub's list of a repository's files."""

from __future__ import annotations

from typing import Any

from csl_plugin.io.json_files import parse_json
from csl_plugin.models.hub.digests import Digest, digest_in


def listed_files(answer: bytes) -> dict[str, Digest | None]:
    """The digests of the files in an answer of `/api/models/OWNER/NAME/revision/COMMIT?blobs=true`, by name.

    That of a file that is stored as LFS is its SHA-256, that of others their hash of git; None if not given.

    Raises:
        FileError: It is no strict JSON.
        ValueError: It is no such answer.

    Example:
        >>> answer = b'{"siblings": [{"rfilename": "a.txt", "blobId": "%s"}]}' % (b"0" * 40)
        >>> listed_files(answer)["a.txt"].kind
        'git'
    """
    values: Any = parse_json(answer, "the Hub", "a list of files")
    files = values.get("siblings") if isinstance(values, dict) else None
    if not isinstance(files, list):
        raise ValueError("no list of files")
    return {
        file["rfilename"]: _digest(file)
        for file in files
        if isinstance(file, dict) and isinstance(file.get("rfilename"), str)
    }


def _digest(file: dict[str, Any]) -> Digest | None:
    stored = file.get("lfs")
    given = stored.get("sha256") if isinstance(stored, dict) else file.get("blobId")
    return digest_in(given) if isinstance(given, str) else None

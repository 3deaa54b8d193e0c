"""Names from users, files and servers, checked before they become part of a path or of a message."""

from __future__ import annotations

import re

from csl_plugin.arrays import shown
from csl_plugin.errors import FileError, OptionError

_HASH = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_UNSAFE = frozenset('~^:?*[]<>|"' + chr(92))
_LONGEST = 200
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
)


def is_hash(text: str) -> bool:
    """Whether a text is a full hash of git: 40 or 64 hexadecimal digits in lower case.

    Example:
        >>> is_hash("0" * 40), is_hash("main")
        (True, False)
    """
    return _HASH.fullmatch(text) is not None


def is_plain(name: str) -> bool:
    """Whether a name is that of a file in a folder, on every system: no separator, no drive, no device.

    Example:
        >>> [is_plain(name) for name in ("model.safetensors", "../model", "a/b", "C:x", "nul.txt", "")]
        [True, False, False, False, False, False]
    """
    if len(name) > _LONGEST or not _PLAIN.fullmatch(name) or name.endswith("."):
        return False
    return name.partition(".")[0].lower() not in _DEVICES


def is_repository(name: str) -> bool:
    """Whether a text is OWNER/NAME as the Hub allows it.

    Example:
        >>> [is_repository(name) for name in ("facebook/detr", "detr", "../detr", "a/b/c")]
        [True, False, False, False]
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    if name.count("/") != 1 or not name.isascii() or len(name) > _LONGEST:
        return False
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def checked_revision(revision: str | None) -> str | None:
    """A commit, tag or branch, which the cache uses as a path.

    Raises:
        OptionError: It is none that git allows, or its path would leave the folder of revisions.
    """
    if revision is None:
        return None
    if (
        not isinstance(revision, str)
        or len(revision) > _LONGEST
        or not all(map(_names_ref, revision.split("/")))
    ):
        raise OptionError(
            "revision", shown(revision), "a commit, tag or branch", "See the repository's history."
        )
    return revision


def _names_ref(part: str) -> bool:
    """Whether git, and every system, allows a part of a branch's name."""
    if not part.strip() or not part.isprintable() or part[0] in " .-" or part.endswith((" ", ".", ".lock")):
        return False
    if ".." in part or "@{" in part or not _UNSAFE.isdisjoint(part):
        return False
    return part.partition(".")[0].lower() not in _DEVICES


def is_etag(text: str) -> bool:
    """Whether a text may be the version of a file: printable, and without a way out of a folder.

    Example:
        >>> [is_etag(text) for text in ("0x8DC+/=", "../../x", "/etc/x", "a" + chr(0))]
        [True, False, False, False]
    """
    printable = text.isascii() and text.isprintable() and 0 < len(text) <= _LONGEST
    return printable and ".." not in text and chr(92) not in text and not text.startswith("/")


def checked_variant(variant: str | None) -> str | None:
    """A variant of weights, which is part of a file's name.

    Raises:
        OptionError: It is no plain word.
    """
    if variant is None:
        return None
    if not isinstance(variant, str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", variant):
        hint = 'Such as "fp16", for model.fp16.safetensors.'
        raise OptionError("variant", shown(variant), "letters, digits, _ and -", hint)
    return variant


def checked_subfolder(subfolder: str | None) -> str | None:
    """A folder inside a folder or a repository, which becomes part of a path.

    Raises:
        OptionError: It is no path of plain names.

    Example:
        >>> checked_subfolder("models/segmenter")
        'models/segmenter'
    """
    if subfolder is None:
        return None
    if not isinstance(subfolder, str) or not all(map(is_plain, subfolder.split("/"))):
        hint = 'Such as "segmenter", for segmenter/config.json.'
        raise OptionError("subfolder", shown(subfolder), "names with / between them", hint)
    return subfolder


def checked_answer(argument: str, what: str, value: str, valid: bool) -> str:
    """A name that a server stated.

    Raises:
        FileError: It is not valid.
    """
    if not valid:
        hint = "Check HF_ENDPOINT: this is no answer of a Hub. Nothing was written."
        raise FileError(argument, f"{what} {shown(value)}", "a plain name", hint)
    return value

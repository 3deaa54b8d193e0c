"""The files of a folder by stem: an image, its scores, its regions and its output share one stem."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from csl_plugin.errors import FileError


def known_suffix(path: Path, suffixes: Sequence[str], hint: str) -> str:
    """The file's suffix in lower case.

    Args:
        path: The file.
        suffixes: In lower case, with the dot.
        hint: How to fix another suffix, a sentence.

    Raises:
        FileError: It is not one of `suffixes`.
    """
    suffix = path.suffix.lower()
    if suffix not in suffixes:
        expected = "one of " + ", ".join(suffixes)
        raise FileError(str(path), f"the suffix {path.suffix!r}", expected, hint)
    return suffix


def files_by_stem(path: str | os.PathLike[str], suffixes: Sequence[str]) -> dict[str, Path]:
    """The files of a folder, or the single file, with one of the suffixes.

    Hidden files and files in subfolders are omitted. All other names with such a suffix are listed, readable
    or not, so that none is dropped silently.

    Args:
        path: A folder or a file.
        suffixes: Lower case, with the dot; the case of a file's suffix is ignored.

    Returns:
        Paths by stem (the name without its last suffix), sorted by stem; empty when there are none.

    Raises:
        FileError: The path does not exist, the file has another suffix, or two files have the same stem.
    """
    path = Path(path)
    wanted = "one of " + ", ".join(suffixes)
    try:
        found = sorted(path.iterdir()) if path.is_dir() else [path]
    except OSError as error:
        got = error.strerror or str(error)
        raise FileError(str(path), got, "a readable folder", "Check its permissions.") from error
    if not path.exists():
        hint = "Check the name; a relative path starts at the current folder."
        raise FileError(str(path), "nothing there", "a folder or a file", hint)
    if not path.is_dir() and path.suffix.lower() not in suffixes:
        raise FileError(str(path), f"a file {path.suffix or 'without a suffix'}", wanted, "Convert it.")
    by_stem: dict[str, Path] = {}
    for file in found:
        if file.suffix.lower() not in suffixes or (file.name.startswith(".") and file != path):
            continue
        if file.stem in by_stem:
            got = f"{by_stem[file.stem].name} and {file.name}"
            hint = "Move one of the two to another folder."
            raise FileError(str(path), got, "one file of each stem", hint)
        by_stem[file.stem] = file
    return dict(sorted(by_stem.items()))

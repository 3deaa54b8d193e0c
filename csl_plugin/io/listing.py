"""The files of a folder by stem: what names an image names its scores, its regions and its output."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from csl_plugin.errors import FileError


def files_by_stem(path: str | os.PathLike[str], suffixes: Sequence[str]) -> dict[str, Path]:
    """The files of a folder, or the one file, that have one of the suffixes.

    Hidden files and subfolders' files are left out. Anything else with a fitting name is listed, readable
    or not, so that nothing is dropped in silence.

    Args:
        path: A folder or a file.
        suffixes: In lower case, with the dot; the case of a file's suffix does not matter.

    Returns:
        Paths by stem (the name without its last suffix), in the order of the stems; empty when the folder
        holds none.

    Raises:
        FileError: Nothing is there, the one file has another suffix, or two files have the same stem.
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

"""The file that a command writes its one result to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from csl_plugin.errors import CSLError, FileError


def check_replaceable(file: Path, load: Callable[[Path], Any], what: str) -> None:
    """Refuse a path that cannot be written, or that holds anything else than an earlier result.

    Args:
        file: The path.
        load: Reads a result; raises a CSLError for another file.
        what: The result, such as "a threshold".

    Raises:
        FileError: Such a path.
    """
    if os.path.lexists(file):
        try:
            load(file)
        except CSLError as error:
            hint = "Name another file; only an earlier result of this command is replaced."
            got = "a folder" if file.is_dir() else f"a file that holds no {what.partition(' ')[2]}"
            raise FileError(str(file), got, f"nothing there, or {what}", hint) from error
    parent = next((folder for folder in file.parents if os.path.lexists(folder)), file.parent)
    if not (parent.is_dir() and os.access(parent, os.W_OK | os.X_OK)):
        hint = "Name a file in another folder."
        raise FileError(str(file), f"{parent}, where no file can be written", "a writable folder", hint)

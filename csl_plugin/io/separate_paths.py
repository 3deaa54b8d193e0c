"""Inputs and outputs kept apart, so that nothing that is read can be overwritten or removed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from stat import S_ISDIR

from csl_plugin.errors import OptionError
from csl_plugin.places import Place, RemotePath


def check_separate(out: Path, outputs: Sequence[Path], inputs: Iterable[Place], *, argument: str) -> None:
    """Refuse an output folder that holds an input, or outputs that fall on inputs; links are followed.

    Args:
        out: The output folder.
        outputs: Files to be written below it.
        inputs: Files and folders that are read. Paths where nothing is are left out.
        argument: What the error calls the folder.

    Raises:
        OptionError: An input is in the output folder, or an output is an input or in a folder of inputs.
    """
    root = os.path.realpath(out)
    parents: dict[Path, str] = {}
    folders: set[str] = set()
    files: set[str] = set()
    for path in inputs:
        if isinstance(path, RemotePath):
            continue
        try:
            is_folder = S_ISDIR(path.stat().st_mode)
        except (OSError, ValueError):  # the reader names it
            continue
        found = os.path.realpath(path) if is_folder else _real(path, parents)
        (folders if is_folder else files).add(found)
        if found == root or found.startswith(f"{root}{os.sep}"):
            raise _holds(out, path, argument)
    for output in outputs:
        on_input = bool(files) and _real(output, parents) in files
        if on_input or (output.parent != out and _real_folder(output.parent, parents) in folders):
            raise _holds(output.parent, output.parent, argument)


def _real(path: Path, parents: dict[Path, str]) -> str:
    if path.is_symlink():
        return os.path.realpath(path)
    return f"{_real_folder(path.parent, parents)}{os.sep}{path.name}"


def _real_folder(folder: Path, known: dict[Path, str]) -> str:
    """The real path of a folder, found once for all files in it."""
    if folder not in known:
        known[folder] = os.path.realpath(folder)
    return known[folder]


def _holds(folder: Path, path: Path, argument: str) -> OptionError:
    got = f"{folder}, which holds inputs" + (f" such as {path}" if path != folder else "")
    hint = "Name another folder, so that no input is overwritten."
    return OptionError(argument, got, "a folder of its own", hint)

"""What in an output folder is somebody else's: it is named, and neither replaced nor removed."""

from __future__ import annotations

import os
from pathlib import Path

from csl_plugin.arrays import shown
from csl_plugin.errors import FileError, OptionError, reason_of
from csl_plugin.io.atomic import as_write_error
from csl_plugin.io.folder_lock import LOCK_NAME
from csl_plugin.io.job_settings import SETTINGS_NAME
from csl_plugin.io.journal import JOURNAL_NAME
from csl_plugin.io.shard_files import SHARDS_NAME

_NAMED = 3
_NO_CONTENT = {SHARDS_NAME, "lost+found", "Thumbs.db", "desktop.ini"}


def check_is_folder(out: Path) -> None:
    """Refuse what is no folder.

    Raises:
        FileError: A file is there, or the system takes no such name.
    """
    try:
        is_other = out.exists() and not out.is_dir()
    except (OSError, ValueError) as error:  # a name that the system does not take
        hint = "Name another folder."
        raise FileError(shown(str(out)), reason_of(error), "the path of a folder", hint) from error
    if is_other:
        raise FileError(str(out), "a file", "a folder, or nothing there", "Name another folder.")


def check_places(out: Path) -> None:
    """Refuse what is where a command keeps its own files, and leads elsewhere or is none.

    Through a link it would append to, or empty, somebody else's file.

    Raises:
        FileError: A link, or not a file, at the path of a lock or a journal.
    """
    shards = out / SHARDS_NAME
    with as_write_error(out):
        if shards.is_symlink() or (os.path.lexists(shards) and not shards.is_dir()):
            raise _misplaced(shards, "a folder")
        for path in (out / LOCK_NAME, out / JOURNAL_NAME):
            if path.is_symlink() or (path.exists() and not path.is_file()):
                raise _misplaced(path, "a file")
        if shards.is_dir():
            with os.scandir(shards) as entries:
                other = next((entry for entry in entries if not entry.is_file(follow_symlinks=False)), None)
            if other is not None:
                raise _misplaced(Path(other), "a file")


def _misplaced(path: Path, expected: str) -> FileError:
    got = "a link" if path.is_symlink() else "something else"
    hint = "Remove it, or name another folder: the command keeps its records there."
    return FileError(str(path), got, f"{expected}, or nothing there", hint)


def check_own(out: Path, argument: str) -> None:
    """Refuse a folder that holds something and no settings.

    Args:
        out: The folder.
        argument: What the error calls it.

    Raises:
        OptionError: No job made it.
    """
    if not out.is_dir() or (out / SETTINGS_NAME).exists():
        return
    with as_write_error(out):
        found = sorted(entry.name for entry in os.scandir(out) if not _is_no_content(entry.name))
    if found:
        named = ", ".join(found[:_NAMED]) + (f" and {len(found) - _NAMED} more" if found[_NAMED:] else "")
        got = f"{out}, which holds {named}, and no {SETTINGS_NAME} of an earlier job"
        expected = "an empty or new folder, or one that this command made"
        raise OptionError(argument, got, expected, "Name another folder: nothing here is replaced.")


def _is_no_content(name: str) -> bool:
    return name.startswith(".") or name in _NO_CONTENT


def foreign_file(out: Path, output: Path) -> FileError:
    """The error of something that no job wrote at the path of an output.

    Args:
        out: The output folder.
        output: The path in it.
    """
    got = "a folder" if output.is_dir() else "a file that this command did not write"
    hint = "Move it, or name another folder: only files that this command wrote are replaced."
    recorded = any((out / name).exists() for name in (JOURNAL_NAME, SHARDS_NAME))
    if not recorded and output.is_file():
        got = f"a file, and no {JOURNAL_NAME} that says that this command wrote it"
        hint = f"Move it, or name another folder. Earlier versions wrote no {JOURNAL_NAME}."
    return FileError(str(output), got, "nothing there", hint)

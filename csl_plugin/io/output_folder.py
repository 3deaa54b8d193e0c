"""The output folder of a job. It stores the settings, so that another job cannot mix in its results."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from csl_plugin.errors import FileError, OptionError
from csl_plugin.io.atomic import atomic_path
from csl_plugin.io.limits import as_file_error, check_file


def check_separate(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Refuse to write into a folder that is read from.

    Raises:
        OptionError: One of `outputs` is one of `inputs` (which exist), or the folder of one that is a file.
    """
    read = [path if path.is_dir() else path.parent for path in inputs]
    for path in outputs:
        if path.exists() and any(path.samefile(folder) for folder in read):
            hint = "Name another folder, so that no input is overwritten."
            raise OptionError("OUT", f"{path}, which holds inputs", "a folder of its own", hint)


def claim_folder(
    settings_file: Path,
    settings: Mapping[str, Any],
    outputs: Sequence[Path],
    *,
    overwrite: bool,
    argument: str = "OUT",
) -> bool:
    """Store the settings in the output folder, or refuse a folder that other settings made.

    With `overwrite` the outputs are removed before the settings are written. So the outputs in the folder
    always belong to the settings beside them, whenever a job stops.

    Args:
        settings_file: A JSON file in the output folder; both are created.
        settings: What the outputs will be made with; JSON values.
        outputs: Files that jobs with this folder write.
        overwrite: Remove the outputs and start again.
        argument: What an error calls the folder.

    Returns:
        Whether an earlier job with the same settings made the folder.

    Raises:
        OptionError: Other settings made the outputs, or another program did.
        FileError: The folder cannot be written, or its settings cannot be read.
    """
    out = settings_file.parent
    if out.exists() and not out.is_dir():
        raise FileError(str(out), "a file", "a folder, or nothing there", "Name another folder.")
    if overwrite:
        with as_file_error(out, "a folder whose files can be removed"):
            for output in outputs:
                output.unlink(missing_ok=True)
    elif settings_file.exists():
        _check_same(settings_file, settings)
        return True
    elif foreign := next((output for output in outputs if output.exists()), None):
        got = f"{foreign}, and no {settings_file.name} with its settings"
        hint = "Name another folder, or replace such files with --overwrite."
        raise OptionError(argument, got, "a new folder, or one that this command made", hint)
    with atomic_path(settings_file) as temporary:
        temporary.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    return False


def _check_same(path: Path, settings: Mapping[str, Any]) -> None:
    check_file(path)
    with as_file_error(path, "the settings of an earlier job"):
        before = dict(json.loads(path.read_text(encoding="utf-8")))
    changed = [name for name in (before | dict(settings)) if before.get(name) != settings.get(name)]
    if changed:
        got = ", ".join(f"{name} {settings.get(name)!r}" for name in changed)
        expected = ", ".join(f"{name} {before.get(name)!r}" for name in changed) + f", as stored in {path}"
        hint = "Name another folder, or start again with --overwrite."
        raise OptionError("settings", got, expected, hint)

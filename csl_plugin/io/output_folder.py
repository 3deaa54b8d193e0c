"""The output folder of a command: what made it is written down, so that a later run cannot mix."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from csl_plugin.errors import FileError, OptionError
from csl_plugin.io.atomic import atomic_path
from csl_plugin.io.limits import check_file, damage_named

SETTINGS_NAME = "csl-plugin.json"


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


def claim(out: Path, settings: dict[str, Any], outputs: Sequence[Path], overwrite: bool) -> None:
    """Write the settings into the output folder, or refuse a folder that was made with others.

    With `overwrite` the outputs are removed before the settings are written: whenever the run ends, what
    lies there was made with the settings that lie beside it.

    Args:
        out: The output folder; created.
        settings: What the outputs will be made with; JSON values.
        outputs: All files that a run over the same images can write.
        overwrite: Make everything again.

    Raises:
        OptionError: Other settings made what is there, or something else did.
        FileError: The folder cannot be written, or its settings cannot be read.
    """
    path = out / SETTINGS_NAME
    if out.exists() and not out.is_dir():
        raise FileError(str(out), "a file", "a folder, or nothing there", "Name another folder.")
    if overwrite:
        with damage_named(out, "a folder whose files can be removed"):
            for output in outputs:
                output.unlink(missing_ok=True)
    elif path.exists():
        _check_same(path, settings)
        return
    elif foreign := next((output for output in outputs if output.exists()), None):
        got = f"{foreign}, and no {SETTINGS_NAME} that says how it was made"
        hint = "Name another folder, or replace such files with --overwrite."
        raise OptionError("OUT", got, "a new folder, or one that this command made", hint)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _check_same(path: Path, settings: dict[str, Any]) -> None:
    check_file(path)
    with damage_named(path, "the settings of an earlier run"):
        before = dict(json.loads(path.read_text(encoding="utf-8")))
    changed = [name for name in (before | settings) if before.get(name) != settings.get(name)]
    if changed:
        got = ", ".join(f"{name} {settings.get(name)!r}" for name in changed)
        expected = ", ".join(f"{name} {before.get(name)!r}" for name in changed) + f", as {path} says"
        hint = "Name another folder, or make everything again with --overwrite."
        raise OptionError("settings", got, expected, hint)

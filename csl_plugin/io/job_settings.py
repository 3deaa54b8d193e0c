"""The settings of a job, in its output folder: what its files were made with."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import torch

from csl_plugin._version import __version__
from csl_plugin.errors import FileError, OptionError
from csl_plugin.io.atomic import atomic_path
from csl_plugin.io.json_files import read_json
from csl_plugin.io.json_schema import Place, in_json, text
from csl_plugin.io.json_values import as_stored, differences
from csl_plugin.places import Place as FilePlace
from csl_plugin.places import RemotePath

SETTINGS_NAME = "csl-plugin.json"
"""The file in an output folder with the settings that its files were made with."""

Settings: TypeAlias = Mapping[str, Any]
"""JSON values by name, with the name of the command as "command".

"places", the folders of the inputs by name, and "frames" and "frames_sha256", which of them the job is for,
decide no file: an output folder goes on with others where its files were made from the same inputs.
"""

PLACES = "places"
_OPEN = (PLACES, "frames", "frames_sha256")

_LARGEST = 4 << 20
_HINT = "Name another folder, or start again with --overwrite."


def versions() -> dict[str, str]:
    """Of this package, torch and numpy, by name: a part of every job's settings."""
    return {"csl_plugin": __version__, "torch": str(torch.__version__), "numpy": np.__version__}


def fingerprint(settings: Settings) -> str:
    """The start of the sha256 of settings as canonical JSON, without places and frames."""
    deciding = {name: value for name, value in settings.items() if name not in _OPEN}
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:32]


def same_settings(before: Settings, now: Settings) -> bool:
    """Whether stored settings are these, `as_stored`, places and frames too."""
    return bool(before == now)


def check_unchanged(loaded: Settings, settings: Settings) -> None:
    """Refuse what another process of a job loaded, if it is not what the job began with.

    Args:
        loaded: Settings of what it loaded.
        settings: Of the job, `as_stored`.

    Raises:
        OptionError: They differ; it names how.
    """
    found = list(differences(flat_settings(settings), flat_settings(as_stored(loaded))))
    if found:
        got = ", ".join(_named(name, now) for name, _, now in found)
        expected = ", ".join(_named(name, began) for name, began, _ in found)
        hint = "It changed while the job began, or it differs in every process: start again, or use one job."
        raise OptionError("jobs", f"{got} in another process", expected, hint)


def read_settings(path: FilePlace) -> Settings | None:
    """The settings that an earlier job stored; None if there are none.

    Raises:
        FileError: The file holds no settings.
    """
    if isinstance(path, RemotePath):
        from csl_plugin.io.remote import look_up

        if look_up(path) is None:
            return None
    elif not os.path.lexists(path):
        return None
    expected = "the settings of an earlier job"
    try:
        stored: Settings = read_json(path, expected, largest=_LARGEST)
        place = Place(str(path))
        if not isinstance(stored, dict) or "command" not in stored:
            raise place.error(in_json(stored), f"{expected}, with its command", _HINT)
        text(stored["command"], place["command"])
    except FileError as error:
        raise FileError(error.argument, error.got, error.expected, _HINT) from error
    return stored


def write_settings(path: FilePlace, settings: Settings) -> None:
    """Store the settings of a job, atomically.

    Raises:
        FileError: The file cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def other_settings(path: FilePlace, before: Settings, now: Settings) -> OptionError:
    """The error of a folder that other settings made; it names each that differs.

    Args:
        path: Of the stored settings.
        before: These.
        now: Those of the present job, `as_stored`.
    """
    moved = fingerprint(before) == fingerprint(now)
    found = list(differences(flat_settings(before), flat_settings(now)))
    got = ", ".join(_named(name, value) for name, _, value in found)
    expected = ", ".join(_named(name, value) for name, value, _ in found)
    hint = _HINT
    if moved:
        hint += " A job goes on with inputs that were moved if they kept their times: mv, cp -p or rsync -a."
    return OptionError("settings", got, f"{expected}, as stored in {path}", hint)


def flat_settings(settings: Settings) -> Settings:
    """Settings with the places among them, as they are shown."""
    places = settings.get(PLACES)
    if not isinstance(places, Mapping):
        return settings
    return {**{name: value for name, value in settings.items() if name != PLACES}, **places}


def _named(name: str, value: Any) -> str:
    """A setting in full, so that what differs is seen, however long it is."""
    if value is None:
        return f"no {name}"
    return f"{name} {value!r}" if isinstance(value, str) else f"{name} {json.dumps(value)}"

"""What a run has done, frame by frame, on disk: enough to go on after a crash, too exact to mix two runs."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from csl_plugin.errors import FileError, OptionError
from csl_plugin.io import MAX_BYTES, atomic_path
from csl_plugin.io.limits import check_file, damage_named, too_large

State: TypeAlias = dict[str, NDArray[Any]]

SETTINGS_NAME = "settings.json"
_STAMP = "made_with"
_UNFIT = re.compile(r'^\.|[\x00-\x1f\x7f"%*/:<>?\\|]')


def fingerprint(settings: Mapping[str, Any]) -> str:
    """sha256 of the settings as canonical JSON."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def sources_of(paths: Sequence[Path]) -> str:
    """Name, size and time of change of the files that a record was made from, as one string."""
    return json.dumps([[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in paths])


def file_stem(name: str) -> str:
    """A frame's name as a file name, reversible and without a path in it.

    Example:
        >>> file_stem("aachen/000001 a"), file_stem("..")
        ('aachen%2F000001 a', '%2E.')
    """
    return _UNFIT.sub(lambda found: f"%{ord(found[0]):02X}", name)


def claim(out: Path, settings: Mapping[str, Any], *, overwrite: bool) -> None:
    """Write the settings into the output folder, or refuse a folder that other settings made.

    Args:
        out: The folder; created.
        settings: JSON values.
        overwrite: Forget the records and results that are there.

    Raises:
        OptionError: Other settings made what is there; the message names each that differs.
        FileError: The folder cannot be written, or its settings cannot be read.
    """
    path = out / SETTINGS_NAME
    if out.exists() and not out.is_dir():
        raise FileError(str(out), "a file", "a folder, or nothing there", "Name another folder.")
    if overwrite:
        with damage_named(out, "a folder whose files can be removed"):
            for made in [*out.glob("records/*.npz"), *out.glob("result.*"), out / "report.html"]:
                made.unlink(missing_ok=True)
    elif path.exists():
        _check_same(path, settings)
        _sweep(out)
        return
    elif any(out.glob("records/*.npz")):
        hint = "Name another folder, or make everything again with --overwrite."
        raise OptionError("--out", f"{out}, with records and no {SETTINGS_NAME}", "a new folder", hint)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _sweep(out: Path) -> None:
    # What a killed process was writing; no process of this run writes before the folder is claimed.
    with damage_named(out, "a folder whose files can be removed"):
        for left in out.rglob(".csl-plugin-*.tmp"):
            left.unlink(missing_ok=True)


def _check_same(path: Path, settings: Mapping[str, Any]) -> None:
    check_file(path)
    with damage_named(path, "the settings of an earlier run"):
        before = dict(json.loads(path.read_text(encoding="utf-8")))
    changed = [name for name in (before | dict(settings)) if before.get(name) != settings.get(name)]
    if changed:
        got = ", ".join(f"{name} {settings.get(name)!r}" for name in changed)
        expected = ", ".join(f"{name} {before.get(name)!r}" for name in changed) + f", as {path} says"
        hint = "Name another folder with --out, or make everything again with --overwrite."
        raise OptionError("settings", got, expected, hint)


@dataclass(frozen=True)
class Records:
    """The records of one pass over the frames, one .npz file each.

    Args:
        folder: Where they lie.
        stamp: The fingerprint of the settings that make them.
        suffix: Of the file names, ending in ".npz".
        strict: Whether a record of other settings is refused; else it counts as not made.
    """

    folder: Path
    stamp: str
    suffix: str = ".npz"
    strict: bool = True

    def path(self, frame: str) -> Path:
        """The file of a frame."""
        return self.folder / f"{file_stem(frame)}{self.suffix}"

    def write(self, frame: str, sources: str, states: Mapping[str, State]) -> None:
        """Write a frame's record, whole or not at all.

        Args:
            frame: Its name.
            sources: What it was made from, as `sources_of` says it.
            states: Of each metric, by a name without a slash.

        Raises:
            FileError: The place cannot be written.
        """
        members: State = {_STAMP: np.array([self.stamp, sources])}
        for name, state in states.items():
            members |= {f"{name}/{key}": values for key, values in state.items()}
        with atomic_path(self.path(frame)) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **members)

    def made(self, frame: str, sources: str) -> bool:
        """Whether the frame's record is there, whole, and made from these sources.

        Raises:
            FileError: Other settings made the record.
        """
        path = self.path(frame)
        if not path.exists():
            return False
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                stamp, before = (str(value) for value in archive[_STAMP])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return False
        if stamp != self.stamp:
            if not self.strict:
                return False
            hint = "Take it away, or make everything again with --overwrite."
            raise FileError(str(path), "a record of other settings", "records of one run", hint)
        return before == sources

    def remove(self, frame: str) -> None:
        """Take the frame's record away, if there is one.

        Raises:
            FileError: It cannot be removed.
        """
        with damage_named(self.path(frame), "a file that can be removed"):
            self.path(frame).unlink(missing_ok=True)

    def read(self, frame: str, metric: str) -> State:
        """The state of one metric of a frame.

        Raises:
            FileError: The record is missing, damaged or too large.
        """
        path = self.path(frame)
        check_file(path)
        with damage_named(path, "a record of this command"):
            with zipfile.ZipFile(path) as archive:
                if sum(info.file_size for info in archive.infolist()) > MAX_BYTES:
                    raise too_large(path, "arrays of more than that")
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                names = [name for name in arrays.files if name.startswith(f"{metric}/")]
                return {name.removeprefix(f"{metric}/"): arrays[name] for name in names}


@dataclass(frozen=True)
class States(Sequence[State]):
    """The states of one metric over frames, each read from its record when it is asked for."""

    records: Records
    metric: str
    frames: Sequence[str]

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return States(self.records, self.metric, self.frames[index])
        return self.records.read(self.frames[index], self.metric)

    def __iter__(self) -> Iterator[State]:
        return (self.records.read(frame, self.metric) for frame in self.frames)

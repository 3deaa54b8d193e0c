"""Records of finished frames on disk, from which a stopped job resumes; other settings are refused."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.errors import FileError
from csl_plugin.io import MAX_BYTES, atomic_path
from csl_plugin.io.limits import as_file_error, check_file, too_large
from csl_plugin.io.output_folder import claim_folder
from csl_plugin.metrics import State

SETTINGS_NAME = "settings.json"
_FINGERPRINT = "made_with"
_ESCAPED = re.compile(r'^\.|[\x00-\x1f\x7f"%*/:<>?\\|]')


def fingerprint(settings: Mapping[str, Any]) -> str:
    """sha256 of the settings as canonical JSON."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def file_states(paths: Sequence[Path]) -> str:
    """Name, size and modification time of the files that a record was made from, as JSON."""
    return json.dumps([[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in paths])


def file_stem(name: str) -> str:
    """A frame's name as a file name: reversible, and never a path.

    Example:
        >>> file_stem("aachen/000001 a"), file_stem("..")
        ('aachen%2F000001 a', '%2E.')
    """
    return _ESCAPED.sub(lambda found: f"%{ord(found[0]):02X}", name)


def claim_records(out: Path, settings: Mapping[str, Any], *, overwrite: bool) -> None:
    """Store the settings in the output folder, or refuse a folder that other settings made.

    Args:
        out: The folder; created.
        settings: JSON values.
        overwrite: Remove existing records and results.

    Raises:
        OptionError: Other settings made the folder; the message names each that differs.
        FileError: The folder cannot be written, or its settings cannot be read.
    """
    outputs = [*out.glob("records/*.npz")]
    if overwrite:
        outputs += [*out.glob("result.*"), out / "report.html"]
    if claim_folder(out / SETTINGS_NAME, settings, outputs, overwrite=overwrite, argument="--out"):
        # Temporary files of a killed process; this job writes none before the folder is claimed.
        with as_file_error(out, "a folder whose files can be removed"):
            for left in out.rglob(".csl-plugin-*.tmp"):
                left.unlink(missing_ok=True)


@dataclass(frozen=True)
class Records:
    """The records of one pass over the frames, one .npz file each.

    Args:
        folder: Their folder.
        fingerprint: Of the settings that make them.
        suffix: Of the file names, ending in ".npz".
        strict: Whether a record of other settings is an error; else it counts as missing.
    """

    folder: Path
    fingerprint: str
    suffix: str = ".npz"
    strict: bool = True

    def path(self, frame: str) -> Path:
        """The file of a frame."""
        return self.folder / f"{file_stem(frame)}{self.suffix}"

    def write(self, frame: str, sources: str, states: Mapping[str, State]) -> None:
        """Write a frame's record atomically.

        Args:
            frame: Its name.
            sources: What it was made from, as `file_states` gives it.
            states: Of each metric, by a name without a slash.

        Raises:
            FileError: The path cannot be written.
        """
        members: dict[str, NDArray[Any]] = {_FINGERPRINT: np.array([self.fingerprint, sources])}
        for name, state in states.items():
            members |= {f"{name}/{key}": values for key, values in state.items()}
        with atomic_path(self.path(frame)) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **members)

    def is_current(self, frame: str, sources: str) -> bool:
        """Whether the frame's record exists, is complete, and was made from these sources.

        Raises:
            FileError: Other settings made the record.
        """
        path = self.path(frame)
        if not path.exists():
            return False
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                found, before = (str(value) for value in archive[_FINGERPRINT])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return False
        if found != self.fingerprint:
            if not self.strict:
                return False
            hint = "Remove it, or recompute everything with --overwrite."
            raise FileError(str(path), "a record of other settings", "records of one job", hint)
        return before == sources

    def remove(self, frame: str) -> None:
        """Remove the frame's record, if it exists.

        Raises:
            FileError: It cannot be removed.
        """
        with as_file_error(self.path(frame), "a file that can be removed"):
            self.path(frame).unlink(missing_ok=True)

    def read(self, frame: str, metric: str) -> State:
        """The state of one metric of a frame.

        Raises:
            FileError: The record is missing, damaged or too large.
        """
        path = self.path(frame)
        check_file(path)
        with as_file_error(path, "a record of this command"):
            with zipfile.ZipFile(path) as archive:
                if sum(info.file_size for info in archive.infolist()) > MAX_BYTES:
                    raise too_large(path, "arrays of more than that")
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                names = [name for name in arrays.files if name.startswith(f"{metric}/")]
                return {name.removeprefix(f"{metric}/"): arrays[name] for name in names}


@dataclass(frozen=True)
class States(Sequence[State]):
    """The states of one metric over frames, each read from its record on access."""

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

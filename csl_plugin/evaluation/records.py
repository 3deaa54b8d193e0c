"""Records of finished frames on disk, from which a stopped job resumes."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.io import atomic_path
from csl_plugin.io.numpy_files import read_arrays
from csl_plugin.io.output_folder import OutputFolder
from csl_plugin.metrics import State

COMPONENTS = ".components.npz"
"""How the names of the records of the second pass end."""

_ESCAPED = re.compile(r'^\.|[\x00-\x1f\x7f"%*/:<>?\\|]')


def file_stem(name: str) -> str:
    """A frame's name as a file name: reversible, and never a path.

    Example:
        >>> file_stem("aachen/000001 a"), file_stem("..")
        ('aachen%2F000001 a', '%2E.')
    """
    return _ESCAPED.sub(lambda found: f"%{ord(found[0]):02X}", name)


@dataclass(frozen=True)
class Records:
    """The records of one pass over the frames, one .npz file each.

    Args:
        out: The output folder; the records are in OUT/records.
        suffix: Of the file names, ending in ".npz".
    """

    out: OutputFolder
    suffix: str = ".npz"

    def path(self, frame: str) -> Path:
        """The file of a frame."""
        return self.out.path / "records" / f"{file_stem(frame)}{self.suffix}"

    def is_current(self, frame: str, sources: str, others: Sequence[Path] = ()) -> bool:
        """Whether a frame is done: its files are as they were written, and made from these sources.

        The files of a frame that is not done are removed. A warning names each that was damaged or replaced.

        Raises:
            FileError: A file cannot be removed.
        """
        from tqdm import tqdm

        path = self.path(frame)
        files = [*others, path]
        if self.out.is_done(files, sources):
            return True
        for changed in self.out.changed(files):
            reason = "is damaged, or was changed since it was written; the frame is made again"
            tqdm.write(f"warning: {changed} {reason}", file=sys.stderr)
        self.out.discard(path.name)
        return False

    def writing(self, frame: str, sources: str, others: Sequence[Path] = ()) -> AbstractContextManager[None]:
        """Write the frame's record in this block, and its other files before it.

        Args:
            frame: Its name.
            sources: What the files are made from, as `is_current` compares it.
            others: Its other files.
        """
        path = self.path(frame)
        return self.out.writing(path.name, [*others, path], sources, digests=True)

    def write(self, frame: str, states: Mapping[str, State]) -> None:
        """Write a frame's record atomically.

        Args:
            frame: Its name.
            states: Of each metric, by a name without a slash.

        Raises:
            FileError: The path cannot be written.
        """
        members: dict[str, NDArray[Any]] = {}
        for name, state in states.items():
            members |= {f"{name}/{key}": values for key, values in state.items()}
        with atomic_path(self.path(frame)) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **members)

    def read(self, frame: str, metric: str) -> State:
        """The state of one metric of a frame.

        Raises:
            FileError: The record is missing, damaged or too large.
        """
        return read_arrays(self.path(frame), f"{metric}/")


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

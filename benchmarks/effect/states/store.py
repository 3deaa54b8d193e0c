"""States in files, each with the identity of what it was made from."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.io import atomic_path

Arrays = Mapping[str, NDArray[Any]]
_IDENTITY = "identity"
_DAMAGED = (OSError, ValueError, KeyError, zipfile.BadZipFile)


@dataclass(frozen=True)
class Unit:
    """What one file holds: all scores of a network on a frame, after one row."""

    measurement: str
    frame_set: str
    network: str
    frame: str
    row: str


class StateStore:
    """WORK/<measurement>/<set>/<network>/<frame>/<row>.npz.

    Args:
        work: The folder.
    """

    def __init__(self, work: Path) -> None:
        self._work = work

    def holds(self, unit: Unit, identity: str) -> bool:
        """Whether the file is there, whole, and made from what the identity names."""
        try:
            with np.load(self._path(unit), allow_pickle=False) as stored:
                return str(stored[_IDENTITY]) == identity
        except _DAMAGED:
            return False

    def write(self, unit: Unit, identity: str, states: Mapping[str, Arrays]) -> None:
        """Store the arrays of every score."""
        named: dict[str, Any] = {
            f"{score}/{name}": array for score, state in states.items() for name, array in state.items()
        }
        path = self._path(unit)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **{_IDENTITY: np.array(identity), **named})

    def read(self, unit: Unit, score: str) -> dict[str, NDArray[Any]]:
        """The arrays of one score."""
        with np.load(self._path(unit), allow_pickle=False) as stored:
            start = f"{score}/"
            return {name.removeprefix(start): stored[name] for name in stored.files if name.startswith(start)}

    def discard(self, units: Sequence[Unit]) -> None:
        """Remove files, so that they are made anew."""
        for unit in units:
            self._path(unit).unlink(missing_ok=True)

    def _path(self, unit: Unit) -> Path:
        place = self._work / unit.measurement / unit.frame_set / unit.network.replace(" ", "-")
        return place / unit.frame / f"{unit.row}.npz"


def identity_from(parts: Sequence[str]) -> str:
    """A digest of what decides a file."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

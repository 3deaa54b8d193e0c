"""The journal of an output folder in a store: one small object for each file that a job wrote.

    OUT/csl-plugin.journal/<unit>-<name>.json
    {"unit": "a", "name": "a.npy", "size": 512, "tag": "9e10...", "source": "...", "settings": "..."}

with the starts of the sha256 of the unit of work and of the file's name. Before a file is written its object
says no more than unit and name: the file is then one of ours, and not finished. So jobs and shards need no
common file.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from csl_plugin.errors import FileError
from csl_plugin.io.json_files import read_json
from csl_plugin.io.json_schema import Place as JsonPlace
from csl_plugin.io.json_schema import integer, text
from csl_plugin.io.json_schema import record as json_object
from csl_plugin.io.remote.store import list_folder, put_bytes, remove
from csl_plugin.places import RemotePath

JOURNAL = "csl-plugin.journal"
"""The folder of these objects, in an output folder."""

_EXPECTED = "what a journal says of a file"
_LARGEST = 1 << 18


@dataclass(frozen=True)
class StoreEntry:
    """What is known of a file.

    Args:
        unit: The unit of work that writes it.
        name: Of the file, below the folder.
        size: In bytes; None while it is not finished.
        tag: The store's ETag or time of it.
        source: What it was made from.
        settings: Fingerprint of the settings that it was made with.
    """

    unit: str
    name: str
    size: int | None = None
    tag: str | None = None
    source: str | None = None
    settings: str | None = None


class StoreJournal:
    """The journal of one folder; each entry is read when it is asked for.

    Args:
        folder: The output folder.
    """

    def __init__(self, folder: RemotePath) -> None:
        self._place = folder / JOURNAL
        self._keys: dict[str, str] = {}  # by the digest of the file's name
        self._read: dict[str, StoreEntry] = {}
        for path in list_folder(self._place):
            unit, _, name = path.stem.partition("-")
            self._keys[name] = unit

    def of(self, name: str) -> StoreEntry | None:
        """The entry of a file; None if no job wrote it.

        Raises:
            FileError: The store does not give it, or it is none.
        """
        digest = _digest(name)
        if digest not in self._keys:
            return None
        if digest not in self._read:
            self._read[digest] = self._load(digest)
        return self._read[digest]

    def names_of(self, unit: str) -> list[str]:
        """The files of a unit of work."""
        wanted = _digest(unit)
        return [self._named(digest) for digest, found in list(self._keys.items()) if found == wanted]

    def all(self) -> list[StoreEntry]:
        """Every entry: a request for each."""
        return [found for digest in list(self._keys) if (found := self.of(self._named(digest)))]

    def put(self, entry: StoreEntry) -> None:
        """Store what is known of a file.

        Raises:
            FileError: The store does not take it.
        """
        digest, unit = _digest(entry.name), _digest(entry.unit)
        before = self._keys.get(digest)
        said = {name: value for name, value in asdict(entry).items() if value is not None}
        put_bytes(self._path(unit, digest), json.dumps(said, separators=(",", ":")).encode())
        self._keys[digest], self._read[digest] = unit, entry
        if before not in (None, unit):
            remove(self._path(str(before), digest))

    def drop(self, name: str) -> None:
        """Forget a file.

        Raises:
            FileError: The store does not do it.
        """
        digest = _digest(name)
        unit = self._keys.pop(digest, None)
        self._read.pop(digest, None)
        if unit is not None:
            remove(self._path(unit, digest))

    def _named(self, digest: str) -> str:
        if digest not in self._read:
            self._read[digest] = self._load(digest)
        return self._read[digest].name

    def _load(self, digest: str) -> StoreEntry:
        path = self._path(self._keys[digest], digest)
        found = _entry(read_json(path, _EXPECTED, largest=_LARGEST), JsonPlace(str(path)))
        if _digest(found.name) != digest or found.name.startswith("/") or ".." in found.name.split("/"):
            hint = "Remove it: the file is then no longer known as one that a command wrote."
            raise FileError(str(path), f"an entry of {found.name!r}", _EXPECTED, hint)
        return found

    def _path(self, unit: str, digest: str) -> RemotePath:
        return self._place / f"{unit}-{digest}.json"


def _digest(words: str) -> str:
    return hashlib.sha256(words.encode(errors="surrogatepass")).hexdigest()[:32]


def _entry(value: Any, place: JsonPlace) -> StoreEntry:
    texts = {"unit": text, "name": text, "tag": text, "source": text, "settings": text}
    made: StoreEntry = json_object(StoreEntry, {**texts, "size": integer(0, 1 << 62)}, "unit", "name")(
        value, place
    )
    return made

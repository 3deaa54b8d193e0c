"""The journal of an output folder: which files a command wrote there, and what each was made from.

One JSON object a line, appended in one write before a unit of work, such as an image, and after it:

    {"unit": "a", "writes": ["a.npy"]}
    {"unit": "a", "wrote": {"a.npy": [512, 1700000000000000000, null]}, "kept": [],
     "from": "...", "with": "..."}

with the size, the time and, where a later reader checks it, the sha256 of each file. Of a unit's earlier
files only those under "kept" are still there. A line that a crash tore is skipped.
"""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import RLock
from typing import Any

from csl_plugin.io.atomic import as_write_error
from csl_plugin.io.file_states import FileState

JOURNAL_NAME = "csl-plugin.jsonl"

_EARLIER = -1


@dataclass(frozen=True, slots=True)
class Entry:
    """What the journal knows of one file.

    Args:
        unit: The unit of work that writes it.
        place: Of the last line about it, in bytes from the start of the journal; -1 in an earlier journal.
        is_open: Whether that line is the start of work whose end is not recorded.
        written: Its state when work on it last ended; None if none has.
        source: What it was made from; None if the work failed.
        settings: Fingerprint of the settings that it was made with.
    """

    unit: str
    place: int
    is_open: bool = False
    written: FileState | None = None
    source: str | None = None
    settings: str | None = None


class Journal:
    """The journal of one folder. Threads and processes may append to it at the same time.

    Args:
        path: The file; it is made with the first line.
        root: The folder that the names of files start from; that of the journal if None.
        earlier: Lines of other journals, which came before those of this one.
        place: Where this one's lines begin that `earlier` does not hold, in bytes.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     journal = Journal(Path(folder, JOURNAL_NAME))
        ...     journal.start("a", ["a.npy"])
        ...     _ = Path(folder, "a.npy").write_text("scores")
        ...     journal.end("a", {"a.npy": None}, "a.png", "rule mean")
        ...     Journal(journal.path).entries["a.npy"].source
        'a.png'
    """

    def __init__(
        self, path: Path, *, root: Path | None = None, earlier: Iterable[bytes] = (), place: int = 0
    ) -> None:
        self.path = path
        self.entries: dict[str, Entry] = {}
        self._root = path.parent if root is None else root
        self._of_unit: defaultdict[str, set[str]] = defaultdict(set)
        self._place = place
        self._guard = RLock()
        for line in earlier:
            self._take(line, _EARLIER)
        self.refresh()

    @property
    def place(self) -> int:
        """How many bytes of the journal are read."""
        return self._place

    def files_of(self, unit: str) -> list[str]:
        """The files that a unit of work wrote or writes."""
        return sorted(self._of_unit.get(unit, ()))

    def start(self, unit: str, files: Sequence[str]) -> None:
        """Record, safely on disk, that a unit of work will write these files.

        Raises:
            FileError: The journal cannot be written.
        """
        self._append(lambda: {"unit": unit, "writes": list(files)}, sync=True)

    def end(
        self,
        unit: str,
        files: Mapping[str, str | None],
        source: str | None,
        settings: str | None,
        kept: Sequence[str] = (),
    ) -> None:
        """Record what a unit of work wrote.

        Args:
            unit: The unit.
            files: The sha256 of each file, or None.
            source: What they were made from; None if the work failed.
            settings: Fingerprint of the settings that they were made with.
            kept: Files of the unit that are there as they were before.

        Raises:
            FileError: The journal cannot be written.
        """

        def record() -> Mapping[str, Any]:
            # Under the journal's lock: of two jobs that write one file, the last line has its last state.
            wrote = {name: FileState.of(self._root / name) for name in files}
            states = {name: [state.size, state.mtime_ns, files[name]] for name, state in wrote.items()}
            return {"unit": unit, "wrote": states, "kept": list(kept), "from": source, "with": settings}

        self._append(record, sync=False)

    def clear(self) -> None:
        """Forget everything.

        Raises:
            FileError: The journal cannot be written.
        """
        with self._guard, as_write_error(self.path):
            self.path.write_bytes(b"")
            self.entries.clear()
            self._of_unit.clear()
            self._place = 0

    def refresh(self) -> None:
        """Read the lines that this and other processes appended since.

        Raises:
            FileError: The journal cannot be read.
        """
        with self._guard, as_write_error(self.path):
            try:
                size = self.path.stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return
            if size < self._place:  # it was joined to the journal of the folder, and began anew
                self._place = 0
            if size <= self._place:
                return
            with self.path.open("rb") as file:
                file.seek(self._place)
                data = file.read(size - self._place)
            for line in data[: data.rfind(b"\n") + 1].splitlines(keepends=True):
                self._take(line, self._place)
                self._place += len(line)

    def _append(self, record: Callable[[], Mapping[str, Any]], *, sync: bool) -> None:
        with self._guard:
            append(self.path, lambda: json.dumps(record(), separators=(",", ":")).encode() + b"\n", sync=sync)
            self.refresh()

    def _take(self, line: bytes, place: int) -> None:
        try:
            record = json.loads(line)
            unit, started, kept = record["unit"], record.get("writes"), record.get("kept", [])
            files = {name: FileState(*_checked(state)) for name, state in record.get("wrote", {}).items()}
            source, settings = record.get("from"), record.get("with")
            lists = isinstance(kept, list) and isinstance(started or [], list)
            known = lists and all(map(_is_inside, [*(started or ()), *files]))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return
        texts = all(text is None or isinstance(text, str) for text in (source, settings))
        if not (isinstance(unit, str) and known and texts):
            return
        if started is not None:
            for name in started:
                self._set(name, replace(self._before(name, unit), place=place, is_open=True))
            return
        for name in self._of_unit[unit] - files.keys():
            if name in kept:
                self._set(name, replace(self.entries[name], is_open=False))
            else:
                self._of_unit[unit].discard(name)
                del self.entries[name]
        for name, file in files.items():
            self._set(name, Entry(unit, place, False, file, source, settings))

    def _before(self, name: str, unit: str) -> Entry:
        entry = self.entries.get(name)
        return entry if entry is not None and entry.unit == unit else Entry(unit, self._place)

    def _set(self, name: str, entry: Entry) -> None:
        before = self.entries.get(name)
        if before is not None:
            self._of_unit[before.unit].discard(name)
        self.entries[name] = entry
        self._of_unit[entry.unit].add(name)


def append(path: Path, lines: Callable[[], bytes], *, sync: bool) -> None:
    """Append lines to a journal, in one go; a torn line before them stays one of its own.

    Args:
        path: The journal.
        lines: Gives the lines, under the journal's lock.
        sync: Whether they are safely on disk afterwards.

    Raises:
        FileError: The journal cannot be written.
    """
    with as_write_error(path), _appended(path) as file:
        data = lines()
        size = os.fstat(file).st_size
        if size and _last_byte(file, size) != b"\n":
            data = b"\n" + data
        while data:
            data = data[os.write(file, data) :]
        if sync:
            os.fsync(file)


def _checked(state: Any) -> tuple[int, int, str | None]:
    size, mtime_ns, sha256 = state
    if type(size) is int and type(mtime_ns) is int and (sha256 is None or isinstance(sha256, str)):
        return size, mtime_ns, sha256
    raise TypeError


def _is_inside(name: Any) -> bool:
    """Whether a recorded name is a path below the folder, as the commands write them."""
    if not isinstance(name, str) or name in ("", ".") or "\0" in name:
        return False
    if os.name == "nt" and ("\\" in name or ":" in name):
        return False
    return not name.startswith("/") and ".." not in name.split("/")


@contextmanager
def _appended(path: Path) -> Iterator[int]:
    """A descriptor to append with, locked: a network file system appends in turn only under a lock."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        file = os.open(path, flags, 0o666)
    except FileNotFoundError:  # its folder was joined, where no lock keeps the others from it
        path.parent.mkdir(exist_ok=True)
        file = os.open(path, flags, 0o666)
    try:
        if sys.platform != "win32":
            import fcntl

            with suppress(OSError):  # without locks a local append is still whole
                fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)


def _last_byte(file: int, size: int) -> bytes:
    os.lseek(file, size - 1, os.SEEK_SET)
    return os.read(file, 1)

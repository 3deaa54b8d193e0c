"""What the shards of a job keep in its output folder: a journal and a lock each, until they are joined.

A shard alone writes to its journal, so nothing depends on how a file system appends for several machines. The
lines of all journals hold in the order of the runs: that of the folder is the oldest, and each start of a
shard begins a run, which is later than all that it finds there:

    {"run": 2}

Jobs with shards and jobs without are never at work at the same time, nor are those of other numbers of
shards. So a folder of journals is there exactly from the start of the first shard until a job without joins
them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from csl_plugin._shards import Shard
from csl_plugin.errors import OptionError
from csl_plugin.io.atomic import as_write_error, atomic_path, remove_temporary
from csl_plugin.io.folder_lock import is_held, shard_lock
from csl_plugin.io.journal import JOURNAL_NAME, Journal, append

SHARDS_NAME = "csl-plugin.shards"
"""The folder in an output folder with the journals and the locks of shards."""

_FILE = re.compile(r"([1-9][0-9]{0,4})-of-([1-9][0-9]{0,4})(\.[0-9a-f]{32})?\.(jsonl|lock)")
_JOURNAL, _LOCK = "jsonl", "lock"
_LAST = 1 << 53  # no job begins as many runs


@dataclass(frozen=True)
class _Run:
    number: int
    name: str
    lines: Sequence[bytes]


@contextmanager
def taken_shard(out: Path, shard: Shard) -> Iterator[None]:
    """Hold a shard of an output folder, and begin a run of it after the block's begin.

    Raises:
        OptionError: Another job is at work at the shard.
        FileError: The folder cannot be written.
    """
    with as_write_error(out):
        (out / SHARDS_NAME).mkdir(exist_ok=True)
    with shard_lock(_path(out, shard, _LOCK), str(shard)):
        yield


def begin_run(out: Path, shard: Shard) -> None:
    """Begin a run of a shard, whose lines are later than all that are there.

    Raises:
        FileError: A journal cannot be read or written.
    """
    number = 1 + max((run.number for path in _journals(out) for run in _runs(path)[0]), default=0)
    append(_path(out, shard, _JOURNAL), lambda: _line_of(number), sync=True)


def journal_of(out: Path, shard: Shard | None) -> Journal:
    """The journal that a job appends to, which knows what all others hold.

    Args:
        out: The output folder.
        shard: Of the job; a job without one has joined the journals of all shards.

    Raises:
        FileError: A journal cannot be read.
    """
    if shard is None:
        return Journal(out / JOURNAL_NAME)
    own, place = _path(out, shard, _JOURNAL), 0
    runs: list[_Run] = []
    for path in _journals(out):
        found, size = _runs(path)
        runs += found
        place = size if path == own else place
    earlier = [*_lines(out / JOURNAL_NAME)[0], *_in_order(runs)]
    return Journal(own, root=out, earlier=earlier, place=place)


def check_beside(out: Path, shard: Shard | None, argument: str) -> None:
    """Refuse to work beside the jobs that are at work in an output folder, unless they are shards alike.

    Args:
        out: The output folder.
        shard: Of this job.
        argument: What an error calls the folder.

    Raises:
        OptionError: One of the two has a shard and the other none, or they have other numbers of shards.
    """
    hint = "Wait until it has ended."
    is_divided = any(_journals(out))
    if shard is None and is_divided:
        got = f"{out}, in which shards of the job are at work"
        raise OptionError(argument, got, "one in which all shards have ended", hint)
    if shard is not None and not is_divided:
        got = f"{out}, in which a job of all images is at work"
        raise OptionError(argument, got, "a folder of its own", hint)
    if shard is not None:
        for other, path in _files(out, _LOCK):
            if other.count != shard.count and is_held(path):
                got = f"{shard}, while shard {other} is at work"
                raise OptionError("shard", got, f"one of {other.count}", hint)


def join(out: Path) -> list[Shard]:
    """Append the journals of all shards to that of the folder, and remove them; nobody may be at work there.

    Returns:
        The shards, in order.

    Raises:
        FileError: A journal cannot be read or written.
    """
    found = _files(out, _JOURNAL)
    with as_write_error(out):
        # A shard that goes on all the same, where a file system has no locks, begins a new journal.
        aside = [
            path.rename(path.with_name(f"{shard.number}-of-{shard.count}.{uuid4().hex}.{_JOURNAL}"))
            for shard, path in found
        ]
    if aside:
        whole = aside[-1] if len(aside) == 1 else _merged(aside)
        lines = b"".join(_in_order(_runs(whole)[0]))
        append(out / JOURNAL_NAME, lambda: lines, sync=True)
        aside = [*{*aside, whole}]
    remove_temporary([out / SHARDS_NAME])
    for path in [*aside, *(path for _, path in _files(out, _LOCK))]:
        with suppress(OSError):
            path.unlink()
    with suppress(OSError):
        (out / SHARDS_NAME).rmdir()
    return sorted({shard for shard, _ in found})


def _merged(paths: Sequence[Path]) -> Path:
    """One journal of all lines, as a run that is later than theirs; the others stay, empty, for their names.

    Removed one by one after they were joined, those that a killed job left would say again what is outdated.
    """
    runs = [run for path in paths for run in _runs(path)[0]]
    shard, _, kind = paths[-1].name.split(".")
    whole = paths[-1].with_name(f"{shard}.{uuid4().hex}.{kind}")
    with atomic_path(whole) as temporary:
        temporary.write_bytes(_line_of(1 + max(run.number for run in runs)) + b"".join(_in_order(runs)))
    with as_write_error(whole):
        for path in paths:
            os.truncate(path, 0)
    return whole


def _line_of(number: int) -> bytes:
    return json.dumps({"run": number}).encode() + b"\n"


def _path(out: Path, shard: Shard, kind: str) -> Path:
    return out / SHARDS_NAME / f"{shard.number}-of-{shard.count}.{kind}"


def _files(out: Path, kind: str) -> list[tuple[Shard, Path]]:
    place = out / SHARDS_NAME
    with as_write_error(place):
        try:
            names = sorted(path.name for path in place.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
    found = [match for match in map(_FILE.fullmatch, names) if match and match[4] == kind]
    return [(Shard(int(match[1]), int(match[2])), place / match[0]) for match in found]


def _journals(out: Path) -> list[Path]:
    return [path for _, path in _files(out, _JOURNAL)]


def _runs(path: Path) -> tuple[list[_Run], int]:
    """The runs in a journal, and how many bytes they have; a line that is still written is in none."""
    lines, size = _lines(path)
    runs: list[_Run] = []
    number, begin = 0, 0
    for index, line in enumerate(lines):
        if (next_number := _begun(line)) is not None:
            runs.append(_Run(number, path.name, lines[begin:index]))
            number, begin = next_number, index + 1
    return [*runs, _Run(number, path.name, lines[begin:])], size


def _begun(line: bytes) -> int | None:
    """The number of the run that a line begins."""
    if not line.startswith(b'{"run"'):
        return None
    try:
        number = json.loads(line)["run"]
    except (ValueError, KeyError, RecursionError):
        return None
    return number if type(number) is int and 0 < number <= _LAST else None


def _in_order(runs: Sequence[_Run]) -> list[bytes]:
    return [line for run in sorted(runs, key=lambda run: (run.number, run.name)) for line in run.lines]


def _lines(path: Path) -> tuple[list[bytes], int]:
    with as_write_error(path):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return [], 0
    whole = data[: data.rfind(b"\n") + 1]
    return whole.splitlines(keepends=True), len(whole)

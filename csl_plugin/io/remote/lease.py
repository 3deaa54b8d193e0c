"""Who is at work in a folder of a store, which has no locks: one small object for each job.

A job writes its object, then looks for those of others: of two that start together at least one sees the
other, where a store lists what was written before, as S3, Google's and Azure's do. A job that is killed
leaves its object: it counts for 15 minutes after it was last renewed, and not at all where its process was on
this machine and is gone.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

from csl_plugin._shards import Shard
from csl_plugin.errors import CSLError, FileError, OptionError
from csl_plugin.io.json_files import read_json
from csl_plugin.io.remote.store import list_folder, put_bytes, remove
from csl_plugin.places import RemotePath

LEASES = "csl-plugin.lock"
"""The folder of these objects, in an output folder."""

_LASTS, _RENEWED = 900.0, 60.0
_LARGEST = 4096
_EXPECTED = "what says who is at work"


class Lease:
    """The object of one job, which its processes renew while they work.

    Args:
        path: Of the object.
        job: The shard, or "all".
    """

    def __init__(self, path: RemotePath, job: str) -> None:
        self.path = path
        self._said = {"job": job, "id": uuid4().hex, "host": socket.gethostname(), "pid": os.getpid()}
        self._last = 0.0

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_last": 0.0}

    def write(self) -> None:
        """Say that the job is at work.

        Raises:
            FileError: The store does not take it.
        """
        put_bytes(self.path, json.dumps({**self._said, "time": time.time()}).encode())
        self._last = time.monotonic()

    def renew(self) -> None:
        """Say so again, if it was not said for a minute.

        Raises:
            OptionError: Another job removed the object, or wrote its own, since this one seemed dead.
        """
        if self._last and time.monotonic() - self._last < _RENEWED:
            return
        said = _read(self.path)
        if said is None or said.get("id") != self._said["id"]:
            hint = "Start again once it has ended; what is finished is kept."
            raise OptionError("OUT", f"{self.path.parent.parent}, which another job took over", "it", hint)
        self.write()

    def end(self) -> None:
        """Remove the object, if it is this job's still."""
        said = _read(self.path)
        if said is not None and said.get("id") == self._said["id"]:
            remove(self.path)


@contextmanager
def leased(folder: RemotePath, shard: Shard | None, argument: str) -> Iterator[Lease]:
    """Be at work in a folder, beside other shards of the same count alone.

    Args:
        folder: The output folder.
        shard: Of the job; None if it does all.
        argument: What an error calls the folder.

    Raises:
        OptionError: Another job is at work in it.
        FileError: The store cannot be read or written.
    """
    lease = Lease(folder / LEASES / f"{uuid4().hex}.json", "all" if shard is None else str(shard))
    lease.write()
    try:
        _refuse_others(folder, shard, lease, argument)
        yield lease
    finally:
        with suppress(CSLError):  # it ends by itself after a while
            lease.end()


def _refuse_others(folder: RemotePath, shard: Shard | None, own: Lease, argument: str) -> None:
    for path in list_folder(folder / LEASES):
        said = None if path == own.path else _read(path)
        if said is None or _is_beside(str(said.get("job")), shard):
            continue
        if _is_over(said):
            remove(path)
            continue
        got = f"{folder}, in which another job is at work ({said.get('job')}, on {said.get('host')})"
        hint = f"Wait until it has ended. If it was killed, wait 15 minutes, or remove {path}."
        raise OptionError(argument, got, "a folder of its own", hint)


def _is_beside(job: str, shard: Shard | None) -> bool:
    """Whether a job may be at work at the same time: another shard of as many."""
    return shard is not None and job.endswith(f"/{shard.count}") and job != str(shard)


def _is_over(said: dict[str, Any]) -> bool:
    when, pid = said.get("time"), said.get("pid")
    if isinstance(when, (int, float)) and time.time() - when > _LASTS:
        return True
    here = said.get("host") == socket.gethostname() and isinstance(pid, int) and pid > 0
    if not here or sys.platform == "win32":  # where asking a process ends it
        return False
    try:
        os.kill(pid, 0)  # type: ignore[arg-type]
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _read(path: RemotePath) -> dict[str, Any] | None:
    """What an object says; None if it is gone, or says nothing."""
    try:
        said = read_json(path, _EXPECTED, largest=_LARGEST)
    except FileError:
        return None
    return said if isinstance(said, dict) else None

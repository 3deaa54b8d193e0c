"""Advisory locks: whether other jobs are at work in an output folder, and whether one is at the same shard.

The system releases it when the process ends, however it ends. Some network file systems have no locks; there
jobs go on without.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeAlias

from csl_plugin.errors import OptionError
from csl_plugin.io.atomic import as_write_error

LOCK_NAME = ".csl-plugin.lock"
"""The file in an output folder that is locked; it stays there, empty."""

Hold: TypeAlias = Literal["alone", "shared", "none"]

_NO_LOCKS = {
    errno.ENOLCK,
    errno.ENOSYS,
    errno.EINVAL,
    errno.EOPNOTSUPP,
    getattr(errno, "ENOTSUP", errno.EINVAL),
}
_BUSY = {errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK, getattr(errno, "EDEADLOCK", errno.EDEADLK)}
_WAIT, _PAUSE = 60.0, 0.05
_FIRST_BYTE, _SHARES = 1 << 30, 64  # Windows locks bytes: far behind the content, which nobody reads

_held: set[int] = set()


class FolderLock:
    """A lock that is held; `folder_lock` takes it.

    Attributes:
        hold: "alone" if no other job is at work in the folder, "shared" if others may be, and "none" where
            the file system has no locks.
    """

    def __init__(self, descriptor: int, hold: Hold) -> None:
        self._descriptor = descriptor
        self.hold: Hold = hold

    def share(self) -> None:
        """Let other jobs that share the folder in."""
        if self.hold == "alone":
            end = time.monotonic() + _WAIT
            # The system lets go of a lock before it takes it the other way: another may come between.
            while not _try_lock(self._descriptor, alone=False) and time.monotonic() < end:
                time.sleep(_PAUSE)
            self.hold = "shared"


@contextmanager
def folder_lock(folder: Path, *, shared: bool, argument: str) -> Iterator[FolderLock]:
    """Hold the lock of an output folder.

    It is held alone if no other job is at work in the folder.

    Args:
        folder: An existing folder.
        shared: Whether a folder in which others share the work will do.
        argument: What an error calls the folder.

    Raises:
        OptionError: Another job is at work in the folder, and one of the two does not share it.
        FileError: The folder cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as out, folder_lock(Path(out), shared=False, argument="OUT") as lock:
        ...     lock.hold
        'alone'
    """
    with _locked(folder / LOCK_NAME, shared=shared) as (descriptor, hold):
        if hold is None:
            hint = "Wait until it has ended, or name another folder."
            raise OptionError(
                argument, f"{folder}, in which another job is at work", "a folder of its own", hint
            )
        yield FolderLock(descriptor, hold)


@contextmanager
def shard_lock(path: Path, shard: str) -> Iterator[None]:
    """Hold the lock of a shard, which one job at a time may have.

    Args:
        path: The file that is locked.
        shard: Its name, for the error.

    Raises:
        OptionError: Another job is at work at the shard.
        FileError: The folder cannot be written.
    """
    with _locked(path, shared=False) as (_, hold):
        if hold is None:
            got, hint = f"{shard}, at which another job is at work", "Wait until it has ended."
            raise OptionError("shard", got, "a shard of its own", hint)
        yield


def is_held(path: Path) -> bool:
    """Whether another job holds the lock of a shard; where the file system has no locks, nobody does.

    Raises:
        FileError: The folder cannot be written.
    """
    with _locked(path, shared=False) as (_, hold):
        return hold is None


@contextmanager
def _locked(path: Path, *, shared: bool) -> Iterator[tuple[int, Hold | None]]:
    with as_write_error(path.parent):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
    _held.add(descriptor)
    try:
        yield descriptor, _taken(descriptor, shared=shared)
    finally:
        if descriptor in _held:  # else this is a forked process, which holds no lock
            _held.discard(descriptor)
            os.close(descriptor)


def _taken(descriptor: int, *, shared: bool) -> Hold | None:
    try:
        if _try_lock(descriptor, alone=True):
            return "alone"
        end = time.monotonic() + _WAIT
        while shared:  # one that shares holds the lock alone while it starts
            if _try_lock(descriptor, alone=False):
                return "shared"
            if time.monotonic() > end:
                break
            time.sleep(_PAUSE)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return "none"
    return None


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int, *, alone: bool) -> bool:
        if not alone:
            _release(descriptor)
        for first, count in [(0, _SHARES)] if alone else [(share, 1) for share in range(_SHARES)]:
            os.lseek(descriptor, _FIRST_BYTE + first, os.SEEK_SET)
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, count)
            except OSError as error:
                if error.errno not in _BUSY:
                    raise
            else:
                return True
        return False

    def _release(descriptor: int) -> None:
        os.lseek(descriptor, _FIRST_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_UNLCK, _SHARES)
        except OSError:  # it held none
            return

else:
    import fcntl

    def _try_lock(descriptor: int, *, alone: bool) -> bool:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _BUSY:
                raise
            return False
        return True


def _forget() -> None:
    """Close the locks in a forked process: one that outlives its parent would hold them on."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

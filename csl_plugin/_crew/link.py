"""The first process's end of one worker: the process, its pipe, and the thread that serves it."""

from __future__ import annotations

import multiprocessing
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from csl_plugin._crew.endings import as_sendable
from csl_plugin._crew.messages import Begin, Done, Failed, Ready, Stop, Take, Wanted
from csl_plugin._crew.sharing import Sharing
from csl_plugin._crew.worker import serve
from csl_plugin.errors import OptionError

_LOOK = 1.0  # another process may hold the other end of the pipe open, so its end is not waited for alone


@dataclass(frozen=True)
class Lost:
    """A worker ended before its work was done.

    Args:
        code: Its exit code, if it has ended.
        positions: Of the items that it had.
    """

    code: int | None
    positions: tuple[int, ...]


class Link:
    """A worker that is started.

    Args:
        load: What it calls first, pickled.
        processes: How many compute at the same time.
        sharing: Where its items come from, and what it says goes to.

    Raises:
        OptionError: It cannot be started.
    """

    def __init__(self, load: bytes, processes: int, sharing: Sharing) -> None:
        self._sharing = sharing
        self._held: set[int] = set()
        self._at_work = False
        self._guard = threading.Lock()
        self._process, self._connection = _started(processes)
        self._thread = threading.Thread(target=self._talk, args=(load,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; at once, if nothing of it can be half written."""
        with self._guard:
            if self._at_work:
                with suppress(OSError):
                    self._connection.send(Stop())
                return
        self._process.terminate()

    def join(self, end: float) -> None:
        """Wait until it has ended, and kill it at a time of `time.monotonic`."""
        self._thread.join(max(0.0, end - time.monotonic()))
        self.kill()

    def kill(self) -> None:
        """End it at once, if it has not ended."""
        self._process.kill()
        self._process.join()
        self._thread.join()
        self._connection.close()
        self._process.close()

    def _talk(self, load: bytes) -> None:
        try:
            self._connection.send_bytes(load)
            while self._answered(self._received()):
                pass
        except (EOFError, OSError):
            self._process.join(_LOOK)
            self._sharing.put(Lost(self._process.exitcode, tuple(sorted(self._held))))
        except Exception as error:  # an item that cannot be pickled, as of a user's data set
            self._sharing.put(Failed(as_sendable(error)))
        self._sharing.end()
        self._rest()

    def _received(self) -> Any:
        while not self._connection.poll(_LOOK):
            if self._process.exitcode is not None and not self._connection.poll():
                raise EOFError
        return self._connection.recv()

    def _answered(self, message: Any) -> bool:
        """Answer a message; whether another one is to come."""
        match message:
            case Ready():
                self._rest()
                loop = self._sharing.wait()
                if loop is not None:
                    self._say(Begin(loop), begins=True)
            case Wanted():
                given = self._sharing.take()
                if isinstance(given, Take):
                    self._held.add(given.position)
                self._say(given)
            case _:
                if isinstance(message, Done):
                    self._held.discard(message.position)
                self._sharing.put(message)
        return not isinstance(message, Failed)

    def _say(self, message: Any, *, begins: bool = False) -> None:
        with self._guard:
            self._at_work |= begins
            self._connection.send(message)

    def _rest(self) -> None:
        if self._at_work:
            self._at_work = False
            self._sharing.rest()
            self._sharing.put(Ready())  # it wakes who waits for the last one


def _started(processes: int) -> tuple[SpawnProcess, Connection]:
    ends: tuple[Connection, ...] = ()
    try:
        ends = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=serve,
            args=(ends[1], processes),
            kwargs={"to_stderr": sys.stdout is sys.stderr},
            daemon=True,  # whatever happens here, it does not outlive this process
        )
        process.start()
    except (OSError, RuntimeError) as error:
        for end in ends:
            end.close()
        got = f"a process that cannot be started ({' '.join(str(error).split())[:200]})"
        hint = "Use fewer jobs, or raise the limit that is named (see `ulimit -a`)."
        if isinstance(error, RuntimeError):
            hint = 'Put the call below `if __name__ == "__main__":`; each process imports the script.'
        raise OptionError("jobs", got, "processes that share the work", hint) from error
    ends[1].close()  # so that the end of the process is the end of the pipe
    return process, ends[0]

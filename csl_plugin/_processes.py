"""Processes of this machine that share the items of a job; concurrent.futures starts and watches them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from itertools import islice
from typing import Any, TypeVar

from csl_plugin._opencv import opencv
from csl_plugin.errors import CSLError, reason_of

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

# A server that has imported torch is forked; after a fork of this process the threads of torch would hang.
_START = "forkserver" if sys.platform == "linux" else "spawn"
_AHEAD = 2  # items for each process, so that none waits while an earlier item takes longer


class LostError(CSLError):
    """A process ended before its work was done, as where memory runs out."""


def available_cores() -> int:
    """How many cores this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def import_early(modules: Sequence[str]) -> None:
    """Import modules for the processes to come, in a process of its own, while this one goes on.

    On Linux they are forked from that process and need not import anything again. Elsewhere, and where such a
    process is there already, nothing happens.

    Args:
        modules: Full names.
    """
    if _START != "forkserver":
        return
    from multiprocessing import forkserver

    multiprocessing.set_forkserver_preload(list(modules))
    with _interrupts_held():
        forkserver.ensure_running()


def in_processes(
    jobs: int, prepare: Callable[[], Callable[[ItemT], ResultT]], items: Iterable[ItemT]
) -> Generator[tuple[ItemT, ResultT], None, None]:
    """Call a function for every item in processes that are started for it; each has its share of the cores.

    The processes end with the generator, and with this process. On any error, Ctrl-C included, or where the
    generator is closed before its end, they are ended at once, whatever they are at.

    Args:
        jobs: Number of processes. This one only waits for them.
        prepare: Called once in each process; returns the function. What cannot be sent, such as a network, is
            loaded by it. It can be pickled.
        items: What can be pickled; drawn as they are needed.

    Yields:
        Each item with its result, in the order of the items.

    Raises:
        LostError: A process ended. What others had finished by then is yielded before.
        CSLError: What `prepare` or the function raised; its text if it is no error of this package.
    """
    if sys.platform == "win32":
        jobs = min(jobs, 61)  # what one process can wait for there
    waiting = iter(items)
    given: deque[tuple[ItemT, Future[Any]]] = deque()
    threads = max(1, available_cores() // jobs)
    begin = (prepare, threads, dict(os.environ))
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context(_START), _begin, begin)
    try:
        while True:
            with _interrupts_held():
                for item in islice(waiting, _AHEAD * jobs - len(given)):
                    given.append((item, pool.submit(_result, item)))
            if not given:
                break
            item, future = given[0]
            result = future.result()
            given.popleft()
            yield item, result
        pool.shutdown()
    except BrokenProcessPool as error:
        for item, future in given:
            if future.done() and future.exception() is None:
                yield item, future.result()
        hint = (
            "The system ends processes where memory runs out: use fewer jobs. What is finished is kept; the "
            'same call goes on with the rest. A script has the call below `if __name__ == "__main__":`.'
        )
        got = "a process that ended before its work was done"
        raise LostError("jobs", got, "processes that run to their end", hint) from error
    except Exception as error:  # an item that cannot be pickled, no room for another process
        raise _sendable(error) from error
    finally:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C waits for the end of the block; a process that is started in it never gets one."""
    if sys.platform == "win32":
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # else the first process starts it, which lets Ctrl-C through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_function: Callable[[], Callable[[Any], Any]]
"""In a worker: returns the function that is called for every item."""


def _begin(prepare: Callable[[], Callable[[Any], Any]], threads: int, environment: Mapping[str, str]) -> None:
    import torch

    os.environ.clear()  # a forked process has that of the server, which may be older
    os.environ.update(environment)

    global _function
    _function = cache(prepare)  # called with the first item, whose result its error then is
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the first process, which ends this one
    sys.stdout = sys.stderr  # the first process alone answers there
    torch.set_num_threads(min(threads, torch.get_num_threads()))
    opencv().setNumThreads(min(threads, opencv().getNumThreads()))
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A pool's process would wait for ever for the next item of a parent that was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101
    parent.join()
    os._exit(1)


def _result(item: Any) -> Any:
    try:
        return _function()(item)
    except Exception as error:
        raise _sendable(error) from error


def _sendable(error: Exception) -> CSLError:
    """The error, or one of this package with its text."""
    if isinstance(error, CSLError) and type(error).__init__ is CSLError.__init__:
        return error
    hint = "Use fewer jobs; with one job it ends in the process that was started, with its own error."
    got = f"{type(error).__name__}: {reason_of(error)}"
    return CSLError("jobs", got, "processes that run to their end", hint)
